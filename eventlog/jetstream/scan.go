package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// scanBatch is how many records Scan asks for at once, and the most it passes
// on. scanBytes bounds an answer, unless one record is larger.
const (
	scanBatch = 512
	scanBytes = 2 << 20
	// scanAhead is how many requests are on their way.
	scanAhead = 2
	// scanIdle is how long a consumer outlives a gateway that does not delete it,
	// or a caller that takes nothing.
	scanIdle = 30 * time.Second
)

// Scan calls fn with the records from seq on, in order, as Read answers them; fn
// owns the slice. It returns nil when it has passed on all that there were, which
// may be a little before the end of the log. Otherwise it returns the error of fn
// or of the context, or one that wraps ErrUnavailable; Read may still answer then.
//
// A long run costs less than by Read, a fraction where the log is embedded, and
// nothing is read ahead of fn by more than a few answers. To begin costs a
// millisecond or two.
func (s *stream) Scan(ctx context.Context, seq uint64, fn func([]event.Record) error) error {
	b, err := s.ends(ctx)
	if seq = max(seq, b.First); err != nil || seq > b.Last {
		return err
	}
	if s.local != nil && s.local.blocks != "" {
		seq, err = s.scanBlocks(ctx, seq, fn)
		if !errors.Is(err, errLayout) {
			return err
		}
		s.local.strange(s.e.logger, err)
	}
	return s.scanConsumer(ctx, seq, fn)
}

// scanConsumer has JetStream read.
func (s *stream) scanConsumer(ctx context.Context, seq uint64, fn func([]event.Record) error) error {
	c, err := s.newScan(ctx, seq)
	if err != nil {
		return err
	}
	defer c.close()
	timer := time.NewTimer(readTimeout)
	defer timer.Stop()
	for {
		timer.Reset(readTimeout)
		select {
		case a := <-c.answers:
			s.mindHoles(seq, a.recs)
			if n := len(a.recs); n > 0 {
				seq = a.recs[n-1].Seq + 1
			}
			if end, err := s.pass(a, fn); end || err != nil {
				return err
			}
		case <-timer.C:
			return fmt.Errorf("%w: scan: no answer", eventlog.ErrUnavailable)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.e.ctx.Done():
			return fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
		}
	}
}

// pass shows what is durable of an answer. What is not is the end.
func (s *stream) pass(a scanned, fn func([]event.Record) error) (end bool, err error) {
	recs, err := s.shown(a.recs)
	if err == nil && len(recs) > 0 {
		err = fn(recs)
	}
	if err == nil {
		err = a.err
	}
	return a.end || len(recs) < len(a.recs), err
}

// A scan reads by a consumer of its own, which JetStream serves at half the cost
// of direct gets. Its requests are answered in order, the next before the last
// is used up.
type scan struct {
	nc      *nats.Conn
	js      jetstream.Stream
	name    string // of the consumer
	subject string // of requests
	inbox   string // where they are answered
	request []byte
	sub     *nats.Subscription
	answers chan scanned
	ctx     context.Context
	cancel  context.CancelFunc

	// Used by the subscription's goroutine alone.
	recs  []event.Record
	asked int    // records that were asked for and have not come
	count uint64 // records that have come
}

// scanned is some of what came.
type scanned struct {
	recs []event.Record
	end  bool
	err  error
}

func (s *stream) newScan(ctx context.Context, seq uint64) (*scan, error) {
	cons, err := s.js.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(seq, 1),
		AckPolicy: jetstream.AckNonePolicy, MaxDeliver: 1, Replicas: 1, MemoryStorage: true,
		InactiveThreshold: scanIdle,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: scan: %w", eventlog.ErrUnavailable, err)
	}
	c := &scan{nc: s.reads, js: s.js, name: cons.CachedInfo().Name, answers: make(chan scanned, 1), asked: scanAhead * scanBatch}
	c.subject = s.e.API("CONSUMER.MSG.NEXT." + StreamEvents + "." + c.name)
	c.request = fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d}`, scanBatch, max(scanBytes, s.e.opts.MaxEntryBytes+entryOverhead))
	c.ctx, c.cancel = context.WithCancel(s.e.ctx)
	c.inbox = c.nc.NewInbox()
	if c.sub, err = c.nc.Subscribe(c.inbox, c.receive); err == nil {
		err = c.sub.SetPendingLimits(-1, -1) // the requests bound it
	}
	for range scanAhead {
		if err == nil {
			err = c.nc.PublishRequest(c.subject, c.inbox, c.request)
		}
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("%w: scan: %w", eventlog.ErrUnavailable, err)
	}
	return c, nil
}

// ask keeps more than one answer on its way.
func (c *scan) ask() error {
	for c.asked <= (scanAhead-1)*scanBatch {
		if err := c.nc.PublishRequest(c.subject, c.inbox, c.request); err != nil {
			return err
		}
		c.asked += scanBatch
	}
	return nil
}

// receive is called with all that comes.
func (c *scan) receive(m *nats.Msg) {
	if len(m.Reply) == 0 {
		c.status(m)
		return
	}
	p, err := parsePlace(m.Reply)
	if c.count++; err == nil && p.count != c.count {
		err = errors.New("a message was lost")
	}
	if err != nil {
		c.pass(scanned{end: true, err: fmt.Errorf("%w: scan: %w", eventlog.ErrUnavailable, err)})
		return
	}
	if c.recs == nil {
		c.recs = make([]event.Record, 0, scanBatch)
	}
	c.recs = append(c.recs, event.Record{Seq: p.seq, Time: time.Unix(0, p.nanos).UTC(), Data: m.Data})
	c.asked--
	if p.pending == 0 || len(c.recs) == scanBatch {
		c.pass(scanned{end: p.pending == 0})
	}
}

// status is what comes instead of records: the end of a request, or what is
// wrong.
func (c *scan) status(m *nats.Msg) {
	// Without a description it is 503: a cluster that does not know the consumer
	// everywhere yet.
	description := cmp.Or(m.Header.Get("Description"), m.Header.Get("Status"))
	switch {
	case m.Header.Get("Status") != "409":
	case strings.EqualFold(description, "Batch Completed"):
		return
	case strings.EqualFold(description, "Message Size Exceeds MaxBytes"):
		left, _ := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		c.asked -= left
		c.pass(scanned{})
		return
	}
	c.pass(scanned{end: true, err: fmt.Errorf("%w: scan: %s", eventlog.ErrUnavailable, description)})
}

// pass hands over what has come, and asks for more when that is taken.
func (c *scan) pass(a scanned) {
	a.recs, c.recs = c.recs, nil
	select {
	case c.answers <- a:
	case <-c.ctx.Done():
		return
	}
	if a.end {
		return
	}
	if err := c.ask(); err != nil {
		c.pass(scanned{end: true, err: fmt.Errorf("%w: scan: %w", eventlog.ErrUnavailable, err)})
	}
}

// close lets go of the consumer; one that cannot be deleted now ends by itself.
func (c *scan) close() {
	c.cancel()
	if c.sub != nil {
		_ = c.sub.Unsubscribe()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.js.DeleteConsumer(ctx, c.name)
}

// place is what JetStream says of a message that a consumer delivers.
type place struct {
	seq, count, pending uint64
	nanos               int64
}

// parsePlace reads the subject for acknowledgements,
// $JS.ACK.<stream>.<consumer>.<times>.<seq>.<count>.<time>.<pending>; servers
// may put a domain and an account before the stream, and a token at the end.
func parsePlace(subject string) (p place, err error) {
	var Tokens [12]string
	n := 0
	for rest, more := subject, true; more && n < len(Tokens); n++ {
		Tokens[n], rest, more = strings.Cut(rest, ".")
	}
	from := 5
	if n >= 11 {
		from = 7
	}
	if n < 9 {
		return p, errors.New("not a delivery")
	}
	for i, to := range []*uint64{&p.seq, &p.count, nil, &p.pending} {
		if to == nil {
			p.nanos, err = strconv.ParseInt(Tokens[from+i], 10, 64)
		} else {
			*to, err = strconv.ParseUint(Tokens[from+i], 10, 64)
		}
		if err != nil {
			return p, fmt.Errorf("not a delivery: %w", err)
		}
	}
	return p, nil
}
