package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	engine "github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Acks remembers what was settled in an embedded engine. JetStream writes the
// state of a queue down ten times a second and does not sync it, so that a crash
// would bring back what was settled a moment before, and a damaged file all of it.
// Here it is written like an event, and never forgotten: neither time nor a clock
// ends it, only a snapshot of all that is settled, which is as durable, makes what
// lies before it superfluous.
//
// On a cluster a quorum confirms: there is no Acks.
type Acks struct {
	e      *Engine
	js     jetstream.Stream
	writer *engine.Writer
	set    settledSet

	grown   atomic.Int64 // bytes since the last snapshot
	size    atomic.Int64 // of the last snapshot
	compact chan struct{}
	// unpurged is where the last snapshot begins before which nothing could be
	// purged; 0: all was.
	unpurged uint64
	limits   ackLimits

	// mu guards waiting. What is written, and the set, is without it: write is the one
	// goroutine that writes, and purges.
	mu      sync.Mutex
	waiting []*keeping
	wake    chan struct{}
	wg      sync.WaitGroup
}

// ackLimits bound the journal.
type ackLimits struct {
	// look is how often it is looked at.
	look time.Duration
	// grow is how much is written at least before a snapshot follows.
	grow int64
	// full is how much there may be at most, with which nothing more is taken: no
	// snapshot can be made then, or purging fails.
	full int64
}

var defaultAckLimits = ackLimits{look: 5 * time.Second, grow: 4 << 20, full: 1 << 30}

// Ack is one settled message of a queue.
type Ack struct {
	Queue string
	Seq   uint64
}

// keeping is one caller's settled messages.
type keeping struct {
	acks []Ack
	err  error
	done chan struct{}
}

// OpenAcks opens the memory of an embedded engine. It answers nil for an engine
// that has none.
func (e *Engine) OpenAcks(ctx context.Context) (*Acks, error) {
	e.acks.mu.Lock()
	defer e.acks.mu.Unlock()
	var err error
	if e.acks.one == nil {
		e.acks.one, err = e.openAcks(ctx, defaultAckLimits)
	}
	return e.acks.one, err
}

// AcksBytes answers how large the journal of what was settled is, about, and how
// large it may become; zeros when there is none.
func (e *Engine) AcksBytes() (size, limit int64) {
	e.acks.mu.Lock()
	defer e.acks.mu.Unlock()
	if e.acks.one == nil {
		return 0, 0
	}
	return e.acks.one.Bytes()
}

// oneAcks is that of an engine: a snapshot of one of two would purge what the
// other knows.
//
// mu is held while it is opened, so that nobody opens a second one meanwhile.
type oneAcks struct {
	mu  sync.Mutex
	one *Acks
}

func (e *Engine) openAcks(ctx context.Context, limits ackLimits) (*Acks, error) {
	if !e.Embedded() {
		return nil, nil
	}
	js, err := e.EnsureStream(ctx, jetstream.StreamConfig{
		Name:        engine.StreamAcks,
		Description: "Hookstream: what was settled",
		Subjects:    []string{engine.SubjectAcks, engine.SubjectSettled},
		MaxBytes:    -1,
	})
	if err != nil {
		return nil, err
	}
	a := &Acks{e: e, js: js, limits: limits, wake: make(chan struct{}, 1), compact: make(chan struct{}, 1)}
	if err := a.read(ctx); err != nil {
		return nil, fmt.Errorf("read what was settled: %w", err)
	}
	state := js.CachedInfo().State
	a.grown.Store(int64(state.Bytes)) // a snapshot soon, if there is much
	if err := a.cutOff(ctx); err != nil {
		return nil, err
	}
	if a.writer, err = e.Writer(ctx, engine.StreamAcks, state.LastSeq); err != nil {
		return nil, err
	}
	a.wg.Go(a.write)
	a.wg.Go(a.mind)
	e.AtClose(a.close)
	return a, nil
}

// Settled reports whether a message of a queue was settled, in this life or an
// earlier one. JetStream may have forgotten it and hand it out again.
func (a *Acks) Settled(queue string, seq uint64) bool { return a.set.has(queue, seq) }

// Queues answers the names of all queues that something was settled of.
func (a *Acks) Queues() []string { return a.set.names(false) }

// Forget forgets what was settled of a queue that will not be there again.
func (a *Acks) Forget(queue string) { a.set.forget(queue) }

// Bytes answers how large the journal is, about, and how large it may become.
func (a *Acks) Bytes() (size, limit int64) { return a.grown.Load() + a.size.Load(), a.limits.full }

// read takes everything that is in the stream.
func (a *Acks) read(ctx context.Context) error {
	last := a.js.CachedInfo().State.LastSeq
	if a.js.CachedInfo().State.Msgs == 0 {
		return nil
	}
	cons, err := a.js.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{MaxResetAttempts: 1})
	if err != nil {
		return err
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(1024))
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		seq, left, err := a.readOne(ctx, it)
		if err != nil {
			return err
		}
		if seq >= last || left == 0 {
			return nil
		}
	}
}

// cutOff forgets what was settled of a log that is not there any more: numbers
// begin anew then, and new events must not be taken for settled.
func (a *Acks) cutOff(ctx context.Context) error {
	last := make(map[string]uint64)
	for _, stream := range [...]string{engine.StreamEvents, engine.StreamParked} {
		st, err := a.e.JS().Stream(ctx, stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", stream, err)
		}
		last[stream] = st.CachedInfo().State.LastSeq
	}
	for _, name := range a.set.names(false) {
		stream := engine.StreamEvents
		if strings.HasSuffix(name, replaySuffix) {
			stream = engine.StreamParked
		}
		if a.set.cut(name, last[stream]) {
			a.grown.Store(max(a.grown.Load(), a.limits.grow)) // or it is there again at the next start
			a.e.Logger().Warn("more was settled than the log has: it is another log, and what was settled is forgotten", "queue", name, "last", last[stream])
		}
	}
	return nil
}

func (a *Acks) readOne(ctx context.Context, it jetstream.MessagesContext) (seq, left uint64, err error) {
	// What JetStream said is there and does not send is not waited for for ever.
	ctx, cancel := context.WithTimeout(ctx, engine.RequestTimeout)
	defer cancel()
	m, err := it.Next(jetstream.NextContext(ctx))
	if err != nil {
		return 0, 0, engine.Unavailable("acks", err)
	}
	md, err := m.Metadata()
	if err != nil {
		return 0, 0, err
	}
	if m.Subject() == engine.SubjectSettled {
		err = parseSettled(m.Data(), a.set.restore)
	} else {
		var acks []Ack
		acks, err = parseAcks(m.Data())
		a.set.add(acks)
	}
	return md.Sequence.Stream, md.NumPending, err
}

// Keep returns when the acks are as durable as an event. Callers at the same
// time share one write.
func (a *Acks) Keep(ctx context.Context, acks []Ack) error {
	if size, limit := a.Bytes(); size >= limit {
		return fmt.Errorf("%w: the journal of acknowledgements has %d bytes and cannot be made smaller", eventlog.ErrFull, size)
	}
	k := &keeping{acks: acks, done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, k)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	select {
	case <-k.done:
		return k.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.e.Context().Done():
		return fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
	}
}

// maxAcks bounds one message: ten bytes each at most.
const maxAcks = 20_000

// write keeps what has come meanwhile, again and again.
func (a *Acks) write() {
	for {
		select {
		case <-a.wake:
		case <-a.compact: // here, so that nothing is written meanwhile
			a.snapshot()
		case <-a.e.Context().Done():
			return
		}
		for {
			group := a.group()
			if len(group) == 0 {
				break
			}
			a.keep(group)
		}
	}
}

func (a *Acks) group() []*keeping {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, acks := 0, 0
	for n < len(a.waiting) && (n == 0 || acks+len(a.waiting[n].acks) <= maxAcks) {
		acks += len(a.waiting[n].acks)
		n++
	}
	group := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	return group
}

func (a *Acks) keep(group []*keeping) {
	var all []Ack
	for _, k := range group {
		all = append(all, k.acks...)
	}
	data := appendAcks(nil, all)
	_, err := a.writer.Write(a.e.Context(), &nats.Msg{Subject: engine.SubjectAcks, Data: data})
	a.grown.Add(int64(len(data)) + ackOverhead)
	if err == nil {
		a.set.add(all)
	}
	for _, k := range group {
		k.err = err
		close(k.done)
	}
}

// ackOverhead is what a message costs beside its data, about.
const ackOverhead = 64

// mind has a snapshot made when there is enough to be gained.
func (a *Acks) mind() {
	t := time.NewTicker(a.limits.look)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-a.e.Context().Done():
			return
		}
		if a.grown.Load() < max(a.limits.grow, 2*a.size.Load()) {
			continue
		}
		a.raise()
		select {
		case a.compact <- struct{}{}:
		default:
		}
	}
}

// raise asks JetStream up to where everything is settled: much of that nobody
// acknowledged, because it was not selected, and the runs would never join. It
// may be asked, because what it has settled once it never hands out again while it
// lives, and it is kept here before that can end.
func (a *Acks) raise() {
	for _, name := range a.set.names(true) {
		if strings.HasSuffix(name, replaySuffix) {
			continue // of another stream; few
		}
		ctx, cancel := context.WithTimeout(a.e.Context(), engine.RequestTimeout)
		st, err := a.e.QueueState(ctx, Config{Name: name})
		cancel()
		if err == nil && st.Floor <= a.e.Durable() { // or its state is damaged
			a.set.raise(name, st.Floor)
		}
	}
}

// replaySuffix ends the names of queues of what was replayed.
const replaySuffix = "-replays"

// snapshot writes down all that is settled and purges what lies before. Nothing
// else is written meanwhile, so everything before is in it. Killed at any point,
// what is read at the next start says the same.
func (a *Acks) snapshot() {
	err := a.purge() // of an earlier snapshot, before another is written
	if err == nil {
		var first uint64
		var size int64
		if first, size, err = a.writeSettled(); err == nil {
			a.size.Store(size)
			a.unpurged = first // only now that it is whole
			err = a.purge()
		}
	}
	switch {
	case err == nil:
		a.grown.Store(0)
	case a.e.Context().Err() == nil:
		size, limit := a.Bytes()
		a.e.Logger().Warn("the journal of acknowledgements cannot be made smaller; when it is full nothing can be acknowledged", "bytes", size, "limit_bytes", limit, "err", err)
	}
}

func (a *Acks) purge() error {
	if a.unpurged == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(a.e.Context(), engine.RequestTimeout)
	defer cancel()
	if err := a.js.Purge(ctx, jetstream.WithPurgeSequence(a.unpurged)); err != nil {
		return err
	}
	a.unpurged = 0
	return nil
}

// settledBytes bounds one message of a snapshot, about.
const settledBytes = 256 << 10

// settledRuns is how many runs of a queue one record has at most.
const settledRuns = 16 << 10

// writeSettled writes a snapshot and answers the sequence of its first message.
func (a *Acks) writeSettled() (first uint64, size int64, err error) {
	var b []byte
	flush := func() error {
		got, err := a.writer.Write(a.e.Context(), &nats.Msg{Subject: engine.SubjectSettled, Data: b})
		if first == 0 {
			first = got.Seq
		}
		size += int64(len(b)) + ackOverhead
		b = nil
		return err
	}
	for _, name := range a.set.names(false) {
		floor, runs := a.set.at(name)
		for more := true; more; more = len(runs) > 0 {
			n := min(len(runs), settledRuns)
			b = appendSettled(b, name, floor, runs[:n])
			if runs = runs[n:]; len(b) < settledBytes {
				continue
			}
			if err := flush(); err != nil {
				return first, size, err
			}
		}
	}
	return first, size, flush() // one message at least: there is something to purge up to
}

func (a *Acks) close() {
	a.wg.Wait()
	a.writer.Close()
}

// The form of acks: runs of one queue, its name and sequences, each as the
// difference to the one before.

func appendAcks(b []byte, acks []Ack) []byte {
	for len(acks) > 0 {
		n := 1
		for n < len(acks) && acks[n].Queue == acks[0].Queue {
			n++
		}
		b = binary.AppendUvarint(b, uint64(len(acks[0].Queue)))
		b = append(b, acks[0].Queue...)
		b = binary.AppendUvarint(b, uint64(n))
		var last int64
		for _, a := range acks[:n] {
			b = binary.AppendVarint(b, int64(a.Seq)-last)
			last = int64(a.Seq)
		}
		acks = acks[n:]
	}
	return b
}

var errAcks = errors.New("what was settled cannot be read")

func parseAcks(b []byte) (out []Ack, err error) {
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errAcks
		}
		queue := string(b[n : n+int(size)])
		b = b[n+int(size):]
		count, n := binary.Uvarint(b)
		if n <= 0 || count > uint64(len(b)) {
			return nil, errAcks
		}
		b = b[n:]
		var seq int64
		for range count {
			d, n := binary.Varint(b)
			if n <= 0 {
				return nil, errAcks
			}
			b = b[n:]
			seq += d
			out = append(out, Ack{queue, uint64(seq)})
		}
	}
	return out, nil
}

// The form of a snapshot: of each queue its name, its floor, and its runs above,
// each as the distance to the one before and its length.

func appendSettled(b []byte, queue string, floor uint64, runs []settledRun) []byte {
	b = binary.AppendUvarint(b, uint64(len(queue)))
	b = append(b, queue...)
	b = binary.AppendUvarint(b, floor)
	b = binary.AppendUvarint(b, uint64(len(runs)))
	last := floor
	for _, r := range runs {
		b = binary.AppendUvarint(b, r.first-last)
		b = binary.AppendUvarint(b, r.last-r.first)
		last = r.last
	}
	return b
}

func parseSettled(b []byte, fn func(queue string, floor uint64, runs []settledRun)) error {
	bad := false
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return v
	}
	for len(b) > 0 {
		size := number()
		if bad || size > uint64(len(b)) {
			return errAcks
		}
		queue := string(b[:size])
		b = b[size:]
		floor, count := number(), number()
		if bad || count > uint64(len(b)) {
			return errAcks
		}
		runs := make([]settledRun, 0, count)
		last := floor
		for range count {
			first := last + number()
			last = first + number()
			runs = append(runs, settledRun{first, last})
		}
		if bad {
			return errAcks
		}
		fn(queue, floor, runs)
	}
	return nil
}
