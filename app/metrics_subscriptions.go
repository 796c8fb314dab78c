package app

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookstream/hookstream/subscription"
)

// maxLabelledSubscriptions bounds the series of /metrics: beyond it, those that
// come last by their ids are counted together, as the subscription "(others)".
const (
	maxLabelledSubscriptions = 500
	otherSubscriptions       = "(others)" // no id can be that
)

// subscriptions shows what subscriptions hand out on this gateway. A subscription
// that is deleted takes its series with it.
func (m *metrics) subscriptions(manager *subscription.Manager) {
	m.registry.MustRegister(newSubscriptionCollector(manager.Stats))
}

// subscriptionCollector asks for the figures when it is asked.
type subscriptionCollector struct {
	stats   func() map[string]subscription.Stats
	figures []subscriptionFigure
}

type subscriptionFigure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(subscription.Stats) int64
}

func newSubscriptionCollector(stats func() map[string]subscription.Stats) *subscriptionCollector {
	c := &subscriptionCollector{stats: stats}
	add := func(kind prometheus.ValueType, name, help string, of func(subscription.Stats) int64) {
		desc := prometheus.NewDesc("hookstream_subscription_"+name, help, []string{"subscription"}, nil)
		c.figures = append(c.figures, subscriptionFigure{desc, kind, of})
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	add(gauge, "outstanding_events", "Deliveries in force on this gateway.", func(s subscription.Stats) int64 { return s.Outstanding })
	add(gauge, "outstanding_bytes", "Bytes of their events.", func(s subscription.Stats) int64 { return s.OutstandingBytes })
	add(gauge, "consumers", "Open streams and waiting pulls on this gateway.", func(s subscription.Stats) int64 { return int64(s.Consumers) })
	add(counter, "delivered_total", "Deliveries handed out.", func(s subscription.Stats) int64 { return s.Delivered })
	add(counter, "redelivered_total", "Those of them that were not the first of their event.", func(s subscription.Stats) int64 { return s.Redelivered })
	add(counter, "acked_total", "Deliveries acknowledged.", func(s subscription.Stats) int64 { return s.Acked })
	add(counter, "nacked_total", "Deliveries given back, to be handed out again.", func(s subscription.Stats) int64 { return s.Retried })
	add(counter, "skipped_total", "Deliveries given up by a consumer.", func(s subscription.Stats) int64 { return s.Skipped })
	add(counter, "extended_total", "Extensions of a deadline.", func(s subscription.Stats) int64 { return s.Extended })
	add(counter, "parked_total", "Events parked, by a consumer or after the last attempt.", func(s subscription.Stats) int64 { return s.Parked })
	add(counter, "expired_total", "Deliveries whose deadline passed.", func(s subscription.Stats) int64 { return s.Expired })
	add(counter, "released_total", "Deliveries given back because their stream ended.", func(s subscription.Stats) int64 { return s.Released })
	add(counter, "refused_acks_total", "Acknowledgements refused: expired and invalid tokens.", func(s subscription.Stats) int64 { return s.Refused })
	add(counter, "missed_events_total", "Events that the log dropped, or lost, before they were settled.", func(s subscription.Stats) int64 { return s.Missed })
	add(counter, "pulls_total", "Calls of Pull.", func(s subscription.Stats) int64 { return s.Pulls })
	return c
}

// Describe implements prometheus.Collector.
func (c *subscriptionCollector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *subscriptionCollector) Collect(out chan<- prometheus.Metric) {
	stats := c.stats()
	ids := slices.Sorted(maps.Keys(stats))
	for _, f := range c.figures {
		var others int64
		for i, id := range ids {
			if i >= maxLabelledSubscriptions {
				others += f.of(stats[id])
				continue
			}
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(f.of(stats[id])), id)
		}
		if len(ids) > maxLabelledSubscriptions {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(others), otherSubscriptions)
		}
	}
}
