package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/nats-io/nats.go"
)

// A Word is what is said about one message that a queue handed out.
type Word struct {
	Seq, Turn uint64
	Attempt   int
	// Say is what becomes of it.
	Say Say
	// Delay before Back hands it out again; 0: at once.
	Delay time.Duration
	// Until is when the message may be in other hands. Nothing is said then that
	// would be heard about what those hold. Zero: whenever.
	Until time.Time
}

// late reports whether it is too late for the word, when it takes a while to
// arrive.
func (w Word) late(while time.Duration) bool {
	return !w.Until.IsZero() && time.Until(w.Until) <= while
}

// Say is what becomes of a message.
type Say int

const (
	// Settled: it is never handed out again.
	Settled Say = iota
	// Back: it is handed out again, to whichever gateway.
	Back
	// Held: the time to hold it begins anew.
	Held
)

func (w Word) payload() []byte {
	switch {
	case w.Say == Held:
		return []byte("+WPI")
	case w.Say == Back && w.Delay > 0:
		return fmt.Appendf(nil, `-NAK {"delay": %d}`, w.Delay.Nanoseconds())
	case w.Say == Back:
		return []byte("-NAK")
	}
	return nil // settled
}

// subject that JetStream expects the word on. Time and what was pending then are
// not looked at.
func (c Config) subject(w Word) string {
	b := make([]byte, 0, 96)
	b = append(b, "$JS.ACK."...)
	b = append(b, c.stream()...)
	b = append(b, '.')
	b = append(b, c.Name...)
	for _, n := range [...]uint64{uint64(w.Attempt), w.Seq, w.Turn, 0, 0} {
		b = append(b, '.')
		b = strconv.AppendUint(b, n, 10)
	}
	return string(b)
}

// Say says words about messages of a queue and returns at once; whether they
// are heard is not known. What is not settled is handed out again in the end.
func (e *Engine) Say(c Config, words ...Word) {
	nc, err := e.Deliveries()
	if err != nil {
		return
	}
	// A word that lies in a connection that is cut off arrives before the connection
	// is left, or never.
	while := time.Duration(0)
	if !e.Embedded() {
		while = jetstream.LeaveTime
	}
	for _, w := range words {
		if w.late(while) {
			continue
		}
		if err := nc.Publish(c.subject(w), w.payload()); err != nil {
			return
		}
	}
}

// Confirm says words and returns when JetStream has answered to all: on a
// cluster a quorum has what is settled then. It answers which were confirmed. An
// embedded JetStream confirms what it has not yet written: see Acks.
func (e *Engine) Confirm(ctx context.Context, c Config, words []Word) ([]bool, error) {
	confirms, err := e.confirming()
	if err != nil {
		return make([]bool, len(words)), err
	}
	ctx, cancel := context.WithTimeout(ctx, jetstream.AckTimeout)
	defer cancel()
	return confirms.say(ctx, c, words)
}

// confirms collects the answers to words on one subscription.
type confirms struct {
	nc    *nats.Conn
	inbox string

	// mu guards what follows, and what is counted in each run of words. Nothing is
	// taken under it.
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]*confirming
}

// confirming is a run of words, numbered from first.
type confirming struct {
	first uint64
	ok    []bool
	left  int
	done  chan struct{}
}

func newConfirms(nc *nats.Conn) *confirms {
	return &confirms{nc: nc, inbox: nc.NewInbox() + ".", waiting: make(map[uint64]*confirming)}
}

func (c *confirms) listen() error {
	sub, err := c.nc.Subscribe(c.inbox+"*", c.answer)
	if err != nil {
		return jetstream.Unavailable("queue", err)
	}
	return jetstream.Unavailable("queue", sub.SetPendingLimits(-1, -1))
}

func (c *confirms) answer(m *nats.Msg) {
	no, err := strconv.ParseUint(m.Subject[len(c.inbox):], 10, 64)
	if err != nil || m.Header.Get("Status") != "" { // nobody listens: not confirmed
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	run := c.waiting[no]
	if run == nil {
		return
	}
	delete(c.waiting, no)
	run.ok[no-run.first] = true
	if run.left--; run.left == 0 {
		close(run.done)
	}
}

func (c *confirms) say(ctx context.Context, q Config, words []Word) ([]bool, error) {
	if len(words) == 0 {
		return nil, nil
	}
	run := c.begin(len(words))
	var err, late error
	for i, w := range words {
		if w.late(0) { // the others are not
			late = errLate
			c.leaveOut(run, i)
			continue
		}
		msg := &nats.Msg{Subject: q.subject(w), Reply: c.inbox + strconv.FormatUint(run.first+uint64(i), 10), Data: w.payload()}
		if err = c.nc.PublishMsg(msg); err != nil {
			break
		}
	}
	if err == nil {
		select {
		case <-run.done:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	return c.finish(run), jetstream.Unavailable("queue: settle", cmp.Or(err, late))
}

var errLate = errors.New("it is too late to say so")

func (c *confirms) begin(n int) *confirming {
	c.mu.Lock()
	defer c.mu.Unlock()
	run := &confirming{first: c.next, ok: make([]bool, n), left: n, done: make(chan struct{})}
	c.next += uint64(n)
	for i := range n {
		c.waiting[run.first+uint64(i)] = run
	}
	return run
}

// leaveOut waits for no answer to a word that is not said.
func (c *confirms) leaveOut(run *confirming, i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, run.first+uint64(i))
	if run.left--; run.left == 0 {
		close(run.done)
	}
}

// finish forgets what was not answered. An answer that comes later finds nobody.
func (c *confirms) finish(run *confirming) []bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if run.left > 0 {
		for i := range run.ok {
			delete(c.waiting, run.first+uint64(i))
		}
	}
	return run.ok
}
