package eventlog

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// A Puller takes from one queue, no more than it asked for.
type Puller struct {
	e     *Engine
	cfg   QueueConfig
	pin   *Pin
	nc    *nats.Conn
	api   string
	inbox string
	sub   *nats.Subscription
	take  func(Hand)
	ended func()

	mu     sync.Mutex
	next   uint64
	left   int             // of all pulls, may still come
	asked  map[uint64]pull // those that may not be answered in full
	empty  bool            // the last pull of what is there found nothing more
	rest   time.Time       // no pulls before: JetStream refused one
	closed bool
}

// pull is one request for more.
type pull struct {
	n   int
	at  time.Time
	pin string // that it brought along
}

// pullTime is how long a pull waits. It bounds how long a lost one, after a
// reconnect, is missed, and how old the hold of what it brings can be.
const pullTime = 4 * time.Second

// glanceTime is how long a pull of what is there may take.
const glanceTime = 100 * time.Millisecond

// restTime is the pause after a pull that was refused.
const restTime = 200 * time.Millisecond

// Pull opens a puller. pin is shared by all pullers of the queue on one gateway.
// take is called with what was asked for, one at a time, and must not block; ended
// whenever a pull ended unanswered or was refused.
func (e *Engine) Pull(c QueueConfig, pin *Pin, take func(Hand), ended func()) (*Puller, error) {
	nc, err := e.queueConn()
	if err != nil {
		return nil, err
	}
	p := &Puller{
		e: e, cfg: c, pin: pin, nc: nc, take: take, ended: ended, asked: make(map[uint64]pull),
		api:   "$JS.API.CONSUMER.MSG.NEXT." + c.stream() + "." + c.Name,
		inbox: nats.NewInbox() + ".",
	}
	if p.sub, err = nc.Subscribe(p.inbox+"*", p.receive); err != nil {
		return nil, unavailable("queue", err)
	}
	// nats.go would drop what a full subscription does not take; what was asked
	// for is bounded.
	if err := p.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, unavailable("queue", err)
	}
	return p, nil
}

// queueConn answers the connection that all queues share, opened when first
// needed.
func (e *Engine) queueConn() (*nats.Conn, error) {
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	if e.queues.nc != nil {
		return e.queues.nc, nil
	}
	nc, err := e.connect("queues")
	if err != nil {
		return nil, unavailable("queue", err)
	}
	e.queues.nc, e.queues.confirms = nc, newConfirms(nc)
	return nc, e.queues.confirms.listen()
}

// Connection answers how often the connection of the queues and the bus was lost
// and made anew, and whether it stands now. While it was lost, others may have
// settled what this gateway was handed.
func (e *Engine) Connection() (losses uint64, up bool) {
	nc, err := e.queueConn()
	if err != nil {
		return 0, false
	}
	return nc.Stats().Reconnects, nc.IsConnected()
}

// queues is what all queues of an engine share.
type queues struct {
	mu       sync.Mutex
	nc       *nats.Conn
	confirms *confirms
	closers  []func()
}

// atClose has fn called when the engine closes.
func (q *queues) atClose(fn func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closers = append(q.closers, fn)
}

func (q *queues) close() {
	q.mu.Lock()
	closers := q.closers
	q.closers = nil
	q.mu.Unlock()
	for _, fn := range closers {
		fn()
	}
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
	p.mu.Lock()
	p.expire(time.Now())
	n, empty := n-p.left, p.empty
	waits := empty && p.left > 0
	p.mu.Unlock()
	switch {
	case n <= 0 || waits:
	case empty:
		p.ask(1, true)
	default:
		p.ask(min(n, maxPull), false)
	}
}

// maxPull bounds one request.
const maxPull = 1000

// FillNow asks for up to n of what is there now, and waits for nothing.
func (p *Puller) FillNow(n int) {
	if n -= p.Asked(); n > 0 {
		p.ask(min(n, maxPull), false)
	}
}

// ask asks for nothing shortly after a refusal.
func (p *Puller) ask(n int, wait bool) {
	p.mu.Lock()
	now := time.Now()
	if p.closed || now.Before(p.rest) {
		p.mu.Unlock()
		return
	}
	no := p.next
	p.next++
	req := pullRequest{Batch: n, Expires: pullTime}
	if !wait {
		// Without an end JetStream would keep it, when another gateway is faster.
		req.NoWait, req.Expires = true, glanceTime
	}
	if p.cfg.Pinned {
		req.Group, req.ID = pinGroup, p.pin.known()
	}
	p.asked[no] = pull{n, now, req.ID}
	p.left += n
	p.mu.Unlock()
	data, _ := json.Marshal(req) // cannot fail
	if err := p.nc.PublishRequest(p.api, p.inbox+strconv.FormatUint(no, 10), data); err != nil {
		p.end(no, nil, true)
	}
}

// Asked answers how many of what was asked for may still come.
func (p *Puller) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(time.Now())
	return p.left
}

// lostTime is when a pull of which nothing was heard is taken for lost.
const lostTime = pullTime + time.Second

// expire forgets pulls that were answered in full, which nobody tells, and those
// that were lost. The caller holds mu.
func (p *Puller) expire(now time.Time) {
	for no, a := range p.asked {
		if now.Sub(a.at) > lostTime {
			delete(p.asked, no)
		}
	}
	if len(p.asked) == 0 || p.left <= 0 {
		p.left = 0
		clear(p.asked)
	}
}

func (p *Puller) receive(m *nats.Msg) {
	// What is handed out comes on its own subject; only a status comes on that of
	// the pull.
	if no, ok := strings.CutPrefix(m.Subject, p.inbox); ok && m.Reply == "" {
		p.status(no, m.Header)
		return
	}
	p.pin.learn(m.Header.Get(headerPin))
	h, err := parseHand(m, p.answered())
	if err != nil {
		p.e.logger.Error("a queue handed out what is no message of ours", "queue", p.cfg.Name, "err", err)
		return
	}
	p.take(h)
}

// answered counts a message and answers when the oldest pull was sent that it
// may answer.
func (p *Puller) answered() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	oldest := now
	p.expire(now)
	for _, a := range p.asked {
		if a.at.Before(oldest) {
			oldest = a.at
		}
	}
	if len(p.asked) == 0 {
		oldest = now.Add(-lostTime) // its pull was given up
	}
	p.left--
	p.empty = false
	p.expire(now)
	return oldest
}

func (p *Puller) status(number string, h nats.Header) {
	no, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return
	}
	switch h.Get("Status") {
	case "100": // nothing but a sign of life
		return
	case "404", "408": // nothing there
		p.end(no, h, false)
		return
	case "423": // somebody else's turn, or nobody's
		p.forgetPin(no)
	}
	p.end(no, h, true)
}

// forgetPin forgets the pin that a pull brought along. When it was given the pin
// only later, or is not known any more, the next one with that pin is refused too.
func (p *Puller) forgetPin(no uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pin.refused(p.asked[no].pin)
}

// headerLeft says how many messages of a pull that ended did not come.
const headerLeft = "Nats-Pending-Messages"

func (p *Puller) end(no uint64, h nats.Header, refused bool) {
	p.mu.Lock()
	delete(p.asked, no)
	if n, err := strconv.Atoi(h.Get(headerLeft)); err == nil {
		p.left -= n
	} else { // it does not say
		p.left = 0
		for _, a := range p.asked {
			p.left += a.n
		}
	}
	p.expire(time.Now())
	p.empty = true
	if refused {
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
	time.AfterFunc(lostTime, func() { _ = p.sub.Unsubscribe() })
}
