package app

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/replay"
	"github.com/hookstream/hookstream/request"
	"github.com/hookstream/hookstream/server"
)

// metrics is everything /metrics shows. docs/operating.md says what each means
// and which to watch.
type metrics struct {
	registry *prometheus.Registry

	requests, calls, decided, connsClosed, commits *prometheus.CounterVec
	breakers                                       *prometheus.GaugeVec
	requestTime, verifyTime                        *prometheus.HistogramVec
	appendTime                                     prometheus.Histogram
	commitTime, callTime                           *prometheus.HistogramVec
	appendErrors                                   prometheus.Counter
	factory                                        promauto.Factory
}

// fast are the buckets of what takes from microseconds to seconds.
var fast = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func newMetrics() *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(r)
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	times := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return f.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: fast}, labels)
	}
	m := &metrics{
		registry:    r,
		factory:     f,
		requests:    counters("hookstream_requests_total", "Requests that arrived at the ingress, by source and what became of them.", "source", "result"),
		connsClosed: counters("hookstream_ingress_connections_closed_total", "Connections of senders that were given up for new ones, or refused.", "reason"),
		decided:     counters("hookstream_inbox_settled_total", "Requests decided by the verifier of remote providers.", "source", "result"),
		calls:       counters("hookstream_calls_total", "Calls of the API, by method and gRPC code.", "method", "code"),
		commits:     counters("hookstream_log_entries_total", "Entries made durable, by stream.", "stream"),
		requestTime: times("hookstream_request_seconds", "Time from the arrival of a request to its answer.", "result"),
		verifyTime:  times("hookstream_verification_seconds", "Time that the verification of a request took.", "outcome"),
		commitTime:  times("hookstream_log_commit_seconds", "Time that a group of entries took to be published and to be synced.", "stream", "step"),
		callTime:    times("hookstream_call_seconds", "Time that a call took; for a stream, its life.", "method"),
		appendTime: f.NewHistogram(prometheus.HistogramOpts{
			Name: "hookstream_append_seconds", Help: "Time that it took to make an event durable.", Buckets: fast,
		}),
		appendErrors: f.NewCounter(prometheus.CounterOpts{Name: "hookstream_append_errors_total", Help: "Events that could not be made durable; their senders were told to try again."}),
		breakers: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hookstream_verification_paused", Help: "1 while a source's provider is not asked because it does not answer.",
		}, []string{"source"}),
	}
	f.NewGaugeVec(prometheus.GaugeOpts{Name: "hookstream_build_info", Help: "Always 1."}, []string{"version"}).WithLabelValues(Version).Set(1)
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// gauge shows what fn answers when it is asked for.
func (m *metrics) gauge(name, help string, fn func() float64) {
	m.factory.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, fn)
}

// engine shows what the engine keeps.
func (m *metrics) engine(e *jetstream.Engine) {
	m.gauge("hookstream_log_missing_events", "Events that the log has lost: not dropped by retention, and not there.", func() float64 {
		return float64(e.Missing())
	})
	m.gauge("hookstream_inbox_pending", "Requests whose verification is not decided.", func() float64 {
		rows, _ := e.Inbox().Pending()
		return float64(rows)
	})
	m.gauge("hookstream_acks_bytes", "Size of the journal of what was settled; 0 on a cluster, which has none.", func() float64 {
		size, _ := queue.On(e).AcksBytes()
		return float64(size)
	})
	m.gauge("hookstream_acks_max_bytes", "Size of that journal with which acknowledgements are refused.", func() float64 {
		_, limit := queue.On(e).AcksBytes()
		return float64(limit)
	})
	m.gauge("hookstream_log_healthy", "1 while the log can be read and written.", func() float64 {
		if e.Healthy() != nil {
			return 0
		}
		return 1
	})
}

// hub shows what goes out.
func (m *metrics) hub(h *hub.Hub) {
	counter := func(name, help string, fn func(hub.Stats) int64) {
		m.factory.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(fn(h.Stats())) })
	}
	m.gauge("hookstream_streams", "Open Subscribe streams.", func() float64 { return float64(h.Stats().Streams) })
	m.gauge("hookstream_stream_lag_events", "Events of the log that the slowest open stream has still to look at.", func() float64 { return float64(h.Stats().MaxLag) })
	m.gauge("hookstream_log_last_sequence", "Sequence of the newest event that subscribers are shown.", func() float64 { return float64(h.Stats().RingNext) - 1 })
	m.gauge("hookstream_ring_bytes", "Memory held by the newest events.", func() float64 { return float64(h.Stats().RingBytes) })
	m.gauge("hookstream_chunk_bytes", "Memory held by older events that streams read.", func() float64 { return float64(h.Stats().ChunkBytes) })
	counter("hookstream_deliveries_total", "Events sent to subscribers.", func(s hub.Stats) int64 { return s.Deliveries })
	counter("hookstream_delivered_bytes_total", "Encoded size of the events sent.", func(s hub.Stats) int64 { return s.DeliveredBytes })
	counter("hookstream_frames_total", "Frames sent to subscribers, of any kind.", func(s hub.Stats) int64 { return s.Frames })
	counter("hookstream_streams_fell_behind_total", "Times that a stream was too slow for the events in memory.", func(s hub.Stats) int64 { return s.FellBehind })
	counter("hookstream_stream_gaps_total", "Times that a stream lost events to retention.", func(s hub.Stats) int64 { return s.Gaps })
	counter("hookstream_log_reads_total", "Reads of the log for streams that are behind.", func(s hub.Stats) int64 { return s.LogReads })
	counter("hookstream_filter_failures_total", "Evaluations of a CEL filter that failed, so that the event did not match.", func(s hub.Stats) int64 { return s.FilterFailures })
	counter("hookstream_decode_failures_total", "Bodies that broke a decoder.", func(s hub.Stats) int64 { return s.DecodeFailures })
	counter("hookstream_broken_records_total", "Records of the log that are not events.", func(s hub.Stats) int64 { return s.BrokenRecords })
}

// refused shows what is kept of what was refused.
func (m *metrics) refused(stats func() request.Stats) {
	gauge := func(name, help string, fn func(request.Stats) int64) {
		m.gauge(name, help, func() float64 { return float64(fn(stats())) })
	}
	counter := func(name, help string, fn func(request.Stats) int64) {
		m.factory.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(fn(stats())) })
	}
	gauge("hookstream_refused_requests", "Requests that were refused and are kept.", func(s request.Stats) int64 { return int64(s.Kept) })
	gauge("hookstream_refused_bytes", "Size of the requests that were refused and are kept.", func(s request.Stats) int64 { return s.Bytes })
	gauge("hookstream_refused_waiting", "Requests that were refused and wait to be kept.", func(s request.Stats) int64 { return int64(s.Waiting) })
	counter("hookstream_refused_dropped_total", "Requests that were refused and are not kept, because too many came at once.", func(s request.Stats) int64 { return s.Dropped })
	counter("hookstream_refused_lost_total", "Requests that were refused and could not be kept.", func(s request.Stats) int64 { return s.Lost })
}

// history shows how far what lists are answered from follows the log.
func (m *metrics) history(h *history.Store) {
	m.gauge("hookstream_history_lag_events", "Newest events of the log that lists of events do not show yet.", func() float64 { return float64(h.Lag()) })
}

// replays shows what is handed out again.
func (m *metrics) replays(r *replay.Manager) {
	for _, state := range []replay.State{replay.Running, replay.Paused} {
		m.factory.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hookstream_replays", Help: "Replays that are not over, of all gateways.", ConstLabels: prometheus.Labels{"state": string(state)},
		}, func() float64 { return float64(r.Count(state)) })
	}
	m.factory.NewCounterFunc(prometheus.CounterOpts{
		Name: "hookstream_replay_queued_events_total", Help: "Events that this gateway queued to be handed out again.",
	}, func() float64 { return float64(r.Queued()) })
}

func (m *metrics) commit(stream string, entries int, publish, sync time.Duration) {
	m.commits.WithLabelValues(stream).Add(float64(entries))
	m.commitTime.WithLabelValues(stream, "publish").Observe(publish.Seconds())
	m.commitTime.WithLabelValues(stream, "sync").Observe(sync.Seconds())
}

func (m *metrics) ingress() ingress.Metrics {
	return ingress.Metrics{
		Request: func(source string, r ingress.Result, took time.Duration) {
			m.requests.WithLabelValues(source, r.String()).Inc()
			m.requestTime.WithLabelValues(r.String()).Observe(took.Seconds())
		},
		Verified: func(_ string, o provider.Outcome, took time.Duration) {
			m.verifyTime.WithLabelValues(o.String()).Observe(took.Seconds())
		},
		Appended: func(took time.Duration, err error) {
			m.appendTime.Observe(took.Seconds())
			if err != nil {
				m.appendErrors.Inc()
			}
		},
		Decided: func(source string, r ingress.Result, _ time.Duration) {
			m.decided.WithLabelValues(source, r.String()).Inc()
		},
		Given: func(refused bool) {
			what := "given_up"
			if refused {
				what = "refused"
			}
			m.connsClosed.WithLabelValues(what).Inc()
		},
		Breaker: func(source string, open bool) {
			g := m.breakers.WithLabelValues(source)
			g.Set(0)
			if open {
				g.Set(1)
			}
		},
	}
}

func (m *metrics) server() server.Metrics {
	return server.Metrics{Call: func(method string, code codes.Code, took time.Duration) {
		m.calls.WithLabelValues(method, code.String()).Inc()
		m.callTime.WithLabelValues(method).Observe(took.Seconds())
	}}
}
