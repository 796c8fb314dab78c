package queue

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/nats-io/nats.go"
)

// A Puller takes from one queue, no more than it asked for.
//
// Each pull has an inbox to itself until it is over: JetStream does not say which
// pull a message answers, and says nothing when one was answered in full. So it is
// known to the message what may still come, and when the pull was sent that a
// message answers, however late it arrives.
type Puller struct {
	e       *Engine
	cfg     Config
	pin     *Pin
	nc      *nats.Conn
	api     string
	receive func(Hand)
	ended   func()

	receiving sync.Mutex // one call of receive at a time; no other is held then

	// mu guards what follows, and what each slot says is under it. The Pin's is taken
	// under it; receive and ended are called without it, for they may ask to pull.
	mu     sync.Mutex
	slots  []*slot
	empty  bool      // the last pull of what is there found nothing more
	rest   time.Time // no pulls before: JetStream refused one
	absent bool      // nobody answered for the queue: see Absent
	closed bool
}

// slot is an inbox with the pull that is open on it, if any.
type slot struct {
	p     *Puller
	inbox string
	sub   *nats.Subscription

	// Of the puller, under its mu.
	left   int       // what the open pull may still bring; 0: it is over
	at     time.Time // when the last one was sent
	pin    string    // that it brought along
	losses uint64    // of the connection, when it was sent
}

// maxSlots bounds the pulls of one puller that are open at once. What there is
// room for meanwhile is asked for together, when one is over.
const maxSlots = 8

// slots answers how many pulls may be open. What is pinned is handed out in order,
// which only one inbox keeps: nats.go has a goroutine for each.
func (c Config) slots() int {
	if c.Pinned {
		return 1
	}
	return maxSlots
}

// pullTime is how long a pull waits. It bounds how long a lost one is missed, and
// how old the hold of what it brings can be.
const pullTime = 4 * time.Second

// glanceTime is how long a pull of what is there may take.
const glanceTime = 100 * time.Millisecond

// restTime is the pause after a pull that was refused.
const restTime = 200 * time.Millisecond

// Pull opens a puller. pin is shared by all pullers of the queue on one gateway.
// receive is called with what was asked for, one at a time, and must not block; ended
// whenever a pull is over.
func (e *Engine) Pull(c Config, pin *Pin, receive func(Hand), ended func()) (*Puller, error) {
	nc, err := e.Deliveries()
	if err != nil {
		return nil, err
	}
	return &Puller{
		e: e, cfg: c, pin: pin, nc: nc, receive: receive, ended: ended,
		api: e.API("CONSUMER.MSG.NEXT." + c.stream() + "." + c.Name),
	}, nil
}

func (p *Puller) newSlot() (*slot, error) {
	s := &slot{p: p, inbox: p.nc.NewInbox()}
	var err error
	if s.sub, err = p.nc.Subscribe(s.inbox, s.receive); err != nil {
		return nil, jetstream.Unavailable("queue", err)
	}
	// nats.go would drop what a full subscription does not take; what was asked
	// for is bounded.
	if err := s.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, jetstream.Unavailable("queue", err)
	}
	return s, nil
}

// pullRequest is what JetStream takes.
type pullRequest struct {
	Batch   int           `json:"batch"`
	Expires time.Duration `json:"expires,omitempty"`
	NoWait  bool          `json:"no_wait,omitempty"`
	Group   string        `json:"group,omitempty"`
	ID      string        `json:"id,omitempty"`
}

// Fill asks for up to n, those that were asked for included. What is there is
// asked for in one go; when nothing is left, one pull of a single message waits
// for what comes. So little comes to a gateway that has stopped to pull.
func (p *Puller) Fill(n int) {
	losses := p.losses()
	p.mu.Lock()
	left := p.left(losses)
	n, empty := n-left, p.empty
	p.mu.Unlock()
	switch {
	case n <= 0 || empty && left > 0:
	case empty:
		p.ask(1, true, losses)
	default:
		p.ask(min(n, maxPull), false, losses)
	}
}

// losses of the connection until now. The connection's lock is taken for it, which all
// pullers share: so it is asked once for all that is done at a time. A pull that is
// sent over the next connection with the count before is taken for lost, and heard.
func (p *Puller) losses() uint64 { return p.nc.Stats().Reconnects }

// FillOne has one pull of a single message wait for what comes, whatever may be
// there.
func (p *Puller) FillOne() {
	losses := p.losses()
	if p.asked(losses) == 0 {
		p.ask(1, true, losses)
	}
}

// maxPull bounds one request.
const maxPull = 1000

// FillNow asks for up to n of what is there now, and waits for nothing.
func (p *Puller) FillNow(n int) {
	losses := p.losses()
	if n -= p.asked(losses); n > 0 {
		p.ask(min(n, maxPull), false, losses)
	}
}

// ask asks for nothing shortly after a refusal.
func (p *Puller) ask(n int, wait bool, losses uint64) {
	p.mu.Lock()
	s, req := p.open(n, wait, losses)
	p.mu.Unlock()
	if s == nil {
		return
	}
	data, _ := json.Marshal(req) // cannot fail
	if err := p.nc.PublishRequest(p.api, s.inbox, data); err != nil {
		s.end(refused)
	}
}

// open answers a slot for a pull of n, nil when there is none now. The caller
// holds mu.
func (p *Puller) open(n int, wait bool, losses uint64) (*slot, pullRequest) {
	now := time.Now()
	if p.closed || now.Before(p.rest) {
		return nil, pullRequest{}
	}
	s := p.free(losses)
	if s == nil {
		return nil, pullRequest{}
	}
	req := pullRequest{Batch: n, Expires: pullTime}
	if !wait {
		// Without an end JetStream would keep it, when another gateway is faster.
		req.NoWait, req.Expires = true, glanceTime
	}
	if p.cfg.Pinned {
		req.Group, req.ID = pinGroup, p.pin.known()
	}
	s.left, s.at, s.pin, s.losses = n, now, req.ID, losses
	return s, req
}

// free answers a slot without an open pull. The caller holds mu.
func (p *Puller) free(losses uint64) *slot {
	p.abandonLost(losses)
	for _, s := range p.slots {
		if s.left == 0 {
			return s
		}
	}
	if len(p.slots) >= p.cfg.slots() {
		return nil
	}
	s, err := p.newSlot()
	if err != nil {
		return nil // the connection is gone, and asked for later
	}
	p.slots = append(p.slots, s)
	return s
}

// Asked answers how many of what was asked for may still come.
func (p *Puller) Asked() int { return p.asked(p.losses()) }

func (p *Puller) asked(losses uint64) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left(losses)
}

// left answers how many may still come. The caller holds mu.
func (p *Puller) left(losses uint64) (n int) {
	p.abandonLost(losses)
	for _, s := range p.slots {
		n += s.left
	}
	return n
}

// Due answers when to ask again though nothing is heard until then: a pull that is
// open is taken for lost, or the pause after a refusal is over. Zero: never.
func (p *Puller) Due() (at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && time.Now().Before(p.rest) {
		at = p.rest
	}
	for _, s := range p.slots {
		if lost := s.at.Add(lostTime); s.left > 0 && (at.IsZero() || lost.Before(at)) {
			at = lost
		}
	}
	return at
}

// Absent reports whether the last pull that ended did so because nobody answers for
// the queue: it may have been deleted, or have no leader for a moment.
func (p *Puller) Absent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.absent
}

// lostTime is when a pull of which nothing was heard is taken for lost.
const lostTime = pullTime + time.Second

// abandonLost gives up pulls that were lost: those of a connection that was, and
// those that are over by their own clock. What comes of them all the same is
// taken, and dated by them. The caller holds mu.
func (p *Puller) abandonLost(losses uint64) {
	now := time.Now()
	p.slots = slices.DeleteFunc(p.slots, func(s *slot) bool {
		lost := s.left > 0 && (s.losses != losses || now.Sub(s.at) > lostTime)
		if lost {
			s.linger()
		}
		return lost
	})
}

// linger goes on listening for a while and then ends the inbox.
func (s *slot) linger() {
	time.AfterFunc(lingering, func() { _ = s.sub.Unsubscribe() })
}

// lingering is how long what comes late is still taken. JetStream takes what
// nobody hears for handed out.
const lingering = 30 * time.Second

func (s *slot) receive(m *nats.Msg) {
	if status := m.Header.Get("Status"); status != "" && m.Reply == "" {
		s.status(status, m.Header.Get("Description"))
		return
	}
	p := s.p
	p.pin.learn(m.Header.Get(headerPin))
	h, err := parseHand(m, s.answered())
	if err != nil {
		p.e.Logger().Error("a queue handed out what is no message of ours", "queue", p.cfg.Name, "err", err)
		return
	}
	p.receiving.Lock()
	defer p.receiving.Unlock()
	p.receive(h)
}

// answered counts a message and answers when the pull was sent that it answers.
func (s *slot) answered() time.Time {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	s.left = max(s.left-1, 0)
	p.empty, p.absent = false, false
	return s.at
}

// consumerDeleted describes the end of pulls that were open when their queue was
// deleted.
const consumerDeleted = "Consumer Deleted"

func (s *slot) status(status, description string) {
	switch status {
	case "100": // nothing but a sign of life
		return
	case "404", "408": // nothing there
		s.end(over)
		return
	case "423": // somebody else's turn, or nobody's
		s.forgetPin()
	case "503": // nobody answers
		s.end(absent)
		return
	}
	if description == consumerDeleted {
		s.end(absent)
		return
	}
	s.end(refused)
}

// forgetPin forgets the pin that a pull brought along. When it was given the pin
// only later, or is not known any more, the next one with that pin is refused too.
func (s *slot) forgetPin() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.pin.refused(s.pin)
}

// outcome is how a pull ended.
type outcome int

const (
	over    outcome = iota // nothing more is there
	refused                // for now
	absent                 // nobody answers for the queue
)

// end ends the open pull: nothing more comes of it.
func (s *slot) end(how outcome) {
	p := s.p
	p.mu.Lock()
	s.left = 0
	p.empty, p.absent = true, how == absent
	if how != over {
		p.rest = time.Now().Add(restTime)
	}
	closed := p.closed
	p.mu.Unlock()
	if !closed {
		p.ended()
	}
}

// Stop ends the puller. What was asked for may come until it is over, so that
// take is called for some seconds more: JetStream takes what nobody hears for
// handed out.
func (p *Puller) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	slots := p.slots
	time.AfterFunc(lostTime, func() {
		for _, s := range slots {
			_ = s.sub.Unsubscribe()
		}
	})
}
