package hub

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/internal/question"
	"github.com/hookstream/hookstream/provider"
)

// A Log is what the hub reads of the log of events: what its methods promise is said
// at eventlog.Log.
type Log interface {
	Incarnation() event.Incarnation
	Bounds(ctx context.Context) (eventlog.Bounds, error)
	SeqAt(ctx context.Context, t time.Time) (uint64, error)
	Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error)
	Tail(ctx context.Context, seq uint64, fn func([]event.Record) error) error
}

// Options are what a Hub is made of. Log is required.
type Options struct {
	// Log is what is read.
	Log Log
	// Decoders by provider, as it is named in Event.provider and in the schema.
	Decoders map[string]provider.Decoder
	// Sensitive answers the kinds of sensitive fields that a source,
	// `sources/{source}`, includes now; none for one that does not exist. It is
	// called often and must be quick. nil: none includes any.
	Sensitive func(source string) event.Kinds
	// Sources answers the resource names of all sources there are now, which a
	// selector without sources covers. nil: none.
	Sources func() []string

	// RingEvents and RingBytes bound the newest events that are cached,
	// with what was made of them. 0: 32,768 and 64 MiB.
	RingEvents int
	RingBytes  int64
	// ChunkBytes bounds what is cached of the log for streams that read it. 0: 32
	// MiB.
	ChunkBytes int64
	// MaxStreams bounds the open streams. 0: 10,000.
	MaxStreams int

	// Index has streams pass over what they do not want, and Holes answers which runs of
	// numbers behind its first event the log has no events for, in order. nil: streams
	// read everything.
	Index Index
	Holes func(ctx context.Context) ([]eventlog.Missing, error)

	// Logger receives what an operator should know. nil: nothing.
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	if o.RingEvents == 0 {
		o.RingEvents = 32768
	}
	if o.RingBytes == 0 {
		o.RingBytes = 64 << 20
	}
	if o.ChunkBytes == 0 {
		o.ChunkBytes = 32 << 20
	}
	if o.MaxStreams == 0 {
		o.MaxStreams = 10_000
	}
	if o.Sensitive == nil {
		o.Sensitive = func(string) event.Kinds { return 0 }
	}
	if o.Sources == nil {
		o.Sources = func() []string { return nil }
	}
	if o.Holes == nil {
		o.Index = nil
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Hub lets any number of streams read one log. All methods may be called from
// many goroutines at once.
type Hub struct {
	opts     Options
	log      Log
	inc      event.Incarnation
	logger   *slog.Logger
	decoders map[string]payloadDecoder
	filters  *filters
	routes   routes
	ring     *ring
	chunks   *chunks
	bounds   question.Shared[struct{}, eventlog.Bounds]
	whole    question.Shared[struct{}, whole]
	scratch  sync.Pool // of *[]*entry

	ctx    context.Context // ends with Run
	cancel context.CancelFunc
	ready  chan struct{} // closed when the ring answers

	streams streams
	counters
}

// New prepares a hub. Streams wait until Run has begun.
func New(o Options) (*Hub, error) {
	if o.Log == nil {
		return nil, errors.New("hub: a log is required")
	}
	o.setDefaults()
	decoders, err := placeDecoders(o.Decoders)
	if err != nil {
		return nil, err
	}
	filters, err := newFilters()
	if err != nil {
		return nil, err
	}
	h := &Hub{
		opts: o, log: o.Log, inc: o.Log.Incarnation(), logger: o.Logger,
		decoders: decoders, filters: filters,
		ring:  newRing(o.RingEvents, o.RingBytes),
		ready: make(chan struct{}),
	}
	h.chunks = newChunks(h, o.ChunkBytes)
	// A question is one of JetStream's, and thousands of streams that open at once would
	// have it answer them before the events of senders.
	h.bounds.Ask = func(_ struct{}, sent func()) (eventlog.Bounds, error) {
		sent()
		return h.log.Bounds(h.ctx)
	}
	h.whole.Ask = h.askWhole
	h.scratch.New = func() any { s := make([]*entry, 0, pageEvents); return &s }
	h.streams.init(o.MaxStreams)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

// Run follows the log until ctx is done or the log cannot be followed any more,
// and ends all streams then: with ErrDraining, or with the log's error, which it
// answers. It is called once.
func (h *Hub) Run(ctx context.Context) error {
	defer h.cancel()
	err := h.follow(ctx)
	if ctx.Err() != nil {
		h.ring.end(ErrDraining)
	} else {
		h.ring.end(err)
	}
	return err
}

func (h *Hub) follow(ctx context.Context) error {
	b, err := h.boundsPatiently(ctx)
	if err != nil {
		return err
	}
	h.ring.begin(b.Last + 1)
	close(h.ready)
	return h.log.Tail(ctx, b.Last+1, func(recs []event.Record) error { return h.receive(ctx, recs) })
}

// receive puts the next records of the log into the ring.
func (h *Hub) receive(ctx context.Context, recs []event.Record) error {
	if err := h.mindGap(ctx, recs[0].Seq); err != nil {
		return err
	}
	es := make([]*entry, len(recs))
	for i, rec := range recs {
		es[i] = h.newEntry(rec, &h.ring.used)
	}
	h.ring.add(es)
	return nil
}

// mindGap empties the ring when records before seq were dropped before they were
// seen, so that streams notice: they look into the log. A hole they notice by the
// numbers.
func (h *Hub) mindGap(ctx context.Context, seq uint64) error {
	_, next := h.ring.span()
	if seq == next {
		return nil
	}
	b, err := h.boundsPatiently(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && b.First <= next {
		return nil
	}
	h.ring.begin(seq) // who does not know looks into the log
	return nil
}

// boundsTries is how often the log is asked before it is done without, and
// boundsPause the wait between.
const (
	boundsTries = 20
	boundsPause = 100 * time.Millisecond
)

// boundsPatiently asks again when a question fails: the log may be cut off for a
// moment.
func (h *Hub) boundsPatiently(ctx context.Context) (b eventlog.Bounds, err error) {
	for range boundsTries {
		if b, err = h.log.Bounds(ctx); err == nil {
			return b, nil
		}
		h.logger.Warn("the log does not tell its bounds, asking again", "err", err)
		select {
		case <-time.After(boundsPause):
		case <-ctx.Done():
			return b, context.Cause(ctx)
		}
	}
	return b, err
}

// Incarnation is that of the log: see eventlog.Log.
func (h *Hub) Incarnation() event.Incarnation { return h.inc }

// head answers the last sequence that is known to be published.
func (h *Hub) head(b eventlog.Bounds) uint64 {
	_, next := h.ring.span()
	return max(b.Last, next-1)
}

// at answers the event at seq; eventlog.ErrNotFound when there is none or it was
// dropped.
func (h *Hub) at(ctx context.Context, seq uint64) (*entry, error) {
	if e := h.ring.get(seq); e != nil {
		return e, nil
	}
	recs, err := h.log.Read(ctx, seq, 1, 1)
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 || recs[0].Seq != seq || recs[0].Lost {
		return nil, eventlog.ErrNotFound
	}
	return h.newEntry(recs[0], nil), nil
}

// counters only grow.
type counters struct {
	deliveries, deliveredBytes, frames     atomic.Int64
	fellBehind, gaps                       atomic.Int64
	filterFailures, decodeFailures, broken atomic.Int64
}
