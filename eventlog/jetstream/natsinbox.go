package jetstream

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/index"
)

// natsInbox is the Inbox on a JetStream stream with one durable consumer. Rows
// lie on one subject per source. What is known of a question lies on a subject
// of the row's key, so that the last word on it can be read.
type natsInbox struct {
	e        *Engine
	js       jetstream.Stream
	rows     jetstream.Consumer
	commit   *committer
	outcomes *nats.Conn // nil: embedded

	waiting waiters
	pending atomic.Int64 // undecided rows, as of the last look and what was put since
	rowSize atomic.Int64 // average
}

const verifierConsumer = "VERIFIER"

// claimTime is how long a row stays with a gateway that says nothing more. One
// that works on it says so in time.
const claimTime = 20 * time.Second

const headerRowKey = "Hookstream-Key"

func (e *Engine) openInbox(ctx context.Context) (*natsInbox, error) {
	js, err := e.EnsureStream(ctx, jetstream.StreamConfig{
		Name:        StreamInbox,
		Description: "Hookstream: requests whose verification needs the sender's answer",
		Subjects:    []string{SubjectRows + ".>", SubjectAsked + ".>"},
		MaxAge:      e.opts.InboxMaxAge,
		MaxBytes:    -1,
		// The last word on a question must come from the leader.
		AllowDirect: false,
	})
	if err != nil {
		return nil, err
	}
	var rows jetstream.Consumer
	err = e.patiently(ctx, func() error {
		rows, err = e.openVerifier(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("inbox: %w", err)
	}
	b := &natsInbox{e: e, js: js, rows: rows, waiting: waiters{m: make(map[index.Hash]map[chan []byte]struct{})}}
	if err := e.patiently(ctx, func() error { return b.look(ctx) }); err != nil {
		return nil, err
	}
	if b.commit, err = e.committerFor(ctx, StreamInbox, js.CachedInfo().State.LastSeq, func() {}); err != nil {
		return nil, err
	}
	if e.node == nil {
		err = b.listen(ctx)
	}
	return b, err
}

// openVerifier answers the consumer that hands rows out.
func (e *Engine) openVerifier(ctx context.Context) (jetstream.Consumer, error) {
	cfg := jetstream.ConsumerConfig{
		Durable:       verifierConsumer,
		FilterSubject: SubjectRows + ".>",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       claimTime,
		MaxDeliver:    -1,
		// Rows that wait for another try count as pending: with less than the
		// inbox may hold, one dead API would stop the others.
		MaxAckPending: int(e.opts.InboxMaxRows) + maxQueue,
	}
	rows, _, err := e.Consumer(ctx, StreamInbox, cfg)
	if err != nil || e.node == nil || rows.CachedInfo().NumAckPending == 0 {
		return rows, err
	}
	// Embedded, whoever held rows is dead: this process is the only one, and it
	// has just started. A claim that lasts no time ends all of them.
	cfg.AckWait = time.Millisecond
	if _, err := e.js.UpdateConsumer(ctx, StreamInbox, cfg); err != nil {
		return nil, err
	}
	select {
	case <-time.After(releaseTime):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	cfg.AckWait = claimTime
	return e.js.UpdateConsumer(ctx, StreamInbox, cfg)
}

// releaseTime is how long JetStream takes to look at its claims after their
// time was changed (100 ms), and to spare.
const releaseTime = 300 * time.Millisecond

// listen hears the outcomes of every gateway on a cluster.
func (b *natsInbox) listen(ctx context.Context) error {
	nc, err := b.e.connect(ctx, "outcomes")
	if err != nil {
		return err
	}
	b.outcomes = nc
	_, err = nc.Subscribe(SubjectOutcome+".*", func(m *nats.Msg) {
		raw, err := hex.DecodeString(m.Subject[len(SubjectOutcome)+1:])
		if err == nil && len(raw) == len(index.Hash{}) {
			b.waiting.tell(index.Hash(raw), m.Data)
		}
	})
	if err != nil {
		return err
	}
	return b.e.patiently(ctx, nc.Flush)
}

// look counts the undecided rows.
func (b *natsInbox) look(ctx context.Context) error {
	info, err := b.rows.Info(ctx)
	if err != nil {
		return fmt.Errorf("%w: inbox: %w", eventlog.ErrUnavailable, err)
	}
	st, err := b.js.Info(ctx)
	if err != nil {
		return fmt.Errorf("%w: inbox: %w", eventlog.ErrUnavailable, err)
	}
	b.pending.Store(int64(info.NumPending) + int64(info.NumAckPending))
	if st.State.Msgs > 0 {
		b.rowSize.Store(int64(st.State.Bytes / st.State.Msgs))
	}
	return nil
}

func (b *natsInbox) Pending() (rows, bytes int64) {
	rows = max(b.pending.Load(), 0)
	return rows, rows * b.rowSize.Load()
}

func (b *natsInbox) Put(ctx context.Context, r eventlog.Row) (uint64, error) {
	rows, bytes := b.Pending()
	if rows >= b.e.opts.InboxMaxRows || bytes >= b.e.opts.InboxMaxBytes {
		return 0, fmt.Errorf("%w: %d requests wait for their verification", eventlog.ErrFull, rows)
	}
	if b.e.events.full.Load() {
		return 0, fmt.Errorf("%w: the file system has less than %d bytes left", eventlog.ErrFull, b.e.opts.MinFreeBytes)
	}
	if len(r.Data) > b.e.opts.MaxEntryBytes {
		return 0, fmt.Errorf("%w: %d bytes", eventlog.ErrTooLarge, len(r.Data))
	}
	got, err := b.commit.commit(ctx, &nats.Msg{
		Subject: rowSubject(r.Source),
		Header:  nats.Header{headerRowKey: []string{r.Key}, headerRowSource: []string{r.Source}},
		Data:    r.Data,
	})
	if err == nil {
		b.pending.Add(1)
	}
	return got.Seq, err
}

const headerRowSource = "Hookstream-Source"

func rowSubject(source string) string { return Tokens(SubjectRows, source) }

// Work pulls rows and spreads them over the workers.
func (b *natsInbox) Work(ctx context.Context, workers int, fn func(context.Context, *eventlog.Claim)) error {
	it, err := b.rows.Messages(jetstream.PullMaxMessages(2*workers), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return fmt.Errorf("%w: inbox: %w", eventlog.ErrUnavailable, err)
	}
	stop := context.AfterFunc(ctx, it.Drain) // what was fetched is given back
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, workers)
	for {
		slots <- struct{}{}
		m, err := it.Next()
		switch {
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return workEnd(ctx, err)
		case err != nil: // the iterator goes on by itself
			b.e.logger.Debug("inbox", "err", err)
			<-slots
			continue
		case ctx.Err() != nil:
			_ = m.Nak()
			<-slots
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			b.handle(ctx, m, fn)
		})
	}
}

func workEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: inbox: %w", eventlog.ErrUnavailable, err)
}

// retrySoon is when a row comes back about which its worker said nothing.
const retrySoon = time.Second

func (b *natsInbox) handle(ctx context.Context, m jetstream.Msg, fn func(context.Context, *eventlog.Claim)) {
	md, err := m.Metadata()
	if err != nil {
		b.e.logger.Error("inbox: a row without metadata", "err", err)
		return
	}
	h := m.Headers()
	held := &heldRow{natsInbox: b, msg: m}
	c := eventlog.NewClaim(eventlog.Claim{
		Row:       eventlog.Row{Source: h.Get(headerRowSource), Key: h.Get(headerRowKey), Data: m.Data()},
		ID:        md.Sequence.Stream,
		Attempt:   int(md.NumDelivered),
		StoreTime: md.Timestamp,
	}, held)
	defer keepAlive(m)()
	fn(ctx, c)
	if !held.decided {
		_ = m.NakWithDelay(retrySoon)
	}
}

// keepAlive tells, until the answered function is called, that a row is being
// worked on.
func keepAlive(m jetstream.Msg) (stop func()) {
	done := make(chan struct{})
	// Most rows are decided before they need it: a timer costs less than a
	// goroutine.
	first := time.AfterFunc(claimTime/4, func() {
		t := time.NewTicker(claimTime / 4)
		defer t.Stop()
		for {
			_ = m.InProgress()
			select {
			case <-t.C:
			case <-done:
				return
			}
		}
	})
	return func() { first.Stop(); close(done) }
}

// heldRow is a row in a worker's hands.
type heldRow struct {
	*natsInbox
	msg     jetstream.Msg
	decided bool
}

func (h *heldRow) Done(ctx context.Context, _ *eventlog.Claim) error {
	h.decided = true
	if err := h.msg.DoubleAck(ctx); err != nil {
		return fmt.Errorf("%w: inbox: %w", eventlog.ErrUnavailable, err)
	}
	h.pending.Add(-1)
	return nil
}

func (h *heldRow) Retry(_ *eventlog.Claim, after time.Duration) error {
	h.decided = true
	return h.msg.NakWithDelay(after)
}

// Words on a question.
const (
	wordAsked    = "asked"
	wordAnswered = "answered"
)

func questionHash(c *eventlog.Claim) index.Hash { return index.HashOf("question", c.Source, c.Key) }

func questionSubject(c *eventlog.Claim) string {
	h := questionHash(c)
	return SubjectAsked + "." + hex.EncodeToString(h[:])
}

// firstWord has JetStream refuse a word that is not the first on its subject.
var firstWord = nats.Header{"Nats-Expected-Last-Subject-Sequence": []string{"0"}}

// asking mostly is the first that is said of a question: then one message both
// finds that out and writes it down.
func (h *heldRow) Asking(ctx context.Context, c *eventlog.Claim) (bool, error) {
	err := h.word(ctx, c, wordAsked, firstWord)
	if !errors.Is(err, errNotFirst) {
		return false, err
	}
	last, err := h.js.GetLastMsgForSubject(ctx, questionSubject(c))
	if err != nil {
		return false, fmt.Errorf("%w: inbox: %w", eventlog.ErrUnavailable, err)
	}
	if string(last.Data) == wordAsked {
		return true, nil // it is written down already
	}
	return false, h.word(ctx, c, wordAsked, nil)
}

func (h *heldRow) Answered(ctx context.Context, c *eventlog.Claim) error {
	return h.word(ctx, c, wordAnswered, nil)
}

func (h *heldRow) word(ctx context.Context, c *eventlog.Claim, word string, header nats.Header) error {
	_, err := h.commit.commit(ctx, &nats.Msg{Subject: questionSubject(c), Header: header, Data: []byte(word)})
	return err
}

func (h *heldRow) Announce(c *eventlog.Claim, outcome []byte) error {
	key := outcomeHash(c.Source, c.Key)
	if h.e.node != nil { // whoever waits does so in this process
		h.waiting.tell(key, outcome)
		return nil
	}
	return h.outcomes.Publish(SubjectOutcome+"."+hex.EncodeToString(key[:]), outcome)
}

func outcomeHash(source, key string) index.Hash { return index.HashOf("outcome", source, key) }

func (b *natsInbox) Outcome(source, key string) (<-chan []byte, func()) {
	h, ch := outcomeHash(source, key), make(chan []byte, 1)
	b.waiting.add(h, ch)
	return ch, func() { b.waiting.remove(h, ch) }
}

func (b *natsInbox) close() { b.commit.close() }

// waiters are the handlers of this process that wait for an outcome.
type waiters struct {
	mu sync.Mutex
	m  map[index.Hash]map[chan []byte]struct{}
}

func (w *waiters) add(h index.Hash, ch chan []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.m[h] == nil {
		w.m[h] = make(map[chan []byte]struct{})
	}
	w.m[h][ch] = struct{}{}
}

func (w *waiters) remove(h index.Hash, ch chan []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.m[h], ch)
	if len(w.m[h]) == 0 {
		delete(w.m, h)
	}
}

func (w *waiters) tell(h index.Hash, outcome []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.m[h] {
		select {
		case ch <- outcome:
		default: // it has one
		}
	}
}
