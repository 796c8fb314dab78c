package simulator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// A Sender sends the webhooks of one or more senders to the ingress of a gateway. One
// Run at a time.
type Sender struct {
	opts   SenderOptions
	client *http.Client
	rand   *rand.Rand
}

// NewSender makes a Sender. It answers ErrRemote for a target that is not on the
// loopback interface, unless that is allowed.
func NewSender(opts SenderOptions) (*Sender, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Sender{opts: opts, client: NewClient(opts.Connections+16, opts.AllowRemote), rand: newRand(opts.Seed)}, nil
}

// Run sends until the count, the duration, the script or the context ends, and
// answers what came of it. The end of the context is no error: posts under way
// are given up, and the report says so. It answers an error when the script holds
// a message that there is no target for.
func (s *Sender) Run(ctx context.Context) (Report, error) {
	defer s.client.CloseIdleConnections()
	r := &run{
		Sender: s, posting: ctx, sending: ctx, begin: time.Now(),
		report: Report{Statuses: make(map[int]int)},
	}
	if s.opts.Duration > 0 {
		var cancel context.CancelFunc
		r.sending, cancel = context.WithTimeout(ctx, s.opts.Duration)
		defer cancel()
	}
	var connections sync.WaitGroup
	for range s.opts.Connections {
		connections.Go(r.connection)
	}
	connections.Wait()
	r.retries.Wait()
	r.report.Elapsed = time.Since(r.begin)
	return r.report, r.err
}

// A run is what one Run knows.
type run struct {
	*Sender
	posting context.Context // ends what is under way
	sending context.Context // ends what is to be begun
	begin   time.Time
	retries sync.WaitGroup

	mu       sync.Mutex
	over     bool
	err      error
	events   int
	retrying int
	report   Report

	telling sync.Mutex // OnResult
}

// connection sends one event after the other.
func (r *run) connection() {
	for {
		m, d, at, ok := r.next()
		if !ok || !Wait(r.sending.Done(), time.Until(at)) {
			return
		}
		if !r.send(m, d) {
			return
		}
	}
}

// A draw is what chance has in store for an event.
type draw struct {
	Wrong
	twice bool
}

// next answers the next event and when it is due.
func (r *run) next() (m Message, d draw, at time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over || r.sending.Err() != nil || r.opts.Count > 0 && r.events >= r.opts.Count {
		return m, d, at, false
	}
	if m, ok = r.opts.Script.Next(); !ok {
		r.over = true
		return m, d, at, false
	}
	if r.opts.Rate > 0 {
		at = r.begin.Add(time.Duration(float64(r.events) / r.opts.Rate * float64(time.Second)))
	}
	r.events++
	return m, r.draw(), at, true
}

// draw draws always the same number of times, so that a share does not change
// what a seed means for the others.
func (r *run) draw() draw {
	forge, flip, twice := r.rand.Float64(), r.rand.Float64(), r.rand.Float64()
	d := draw{Wrong: Wrong{Where: r.rand.Uint64()}, twice: twice < r.opts.Duplicate}
	switch {
	case forge < r.opts.Forge:
		d.Fault = FaultForged
	case flip < r.opts.Flip:
		d.Fault = FaultFlipped
	}
	return d
}

// send sends one event. False: there is no use in going on.
func (r *run) send(m Message, chance draw) bool {
	d, err := r.prepare(m, chance)
	if err != nil {
		r.fail(err)
		return false
	}
	r.count(func(rep *Report) { rep.Events++ })
	res := r.attempt(d, 0)
	if d.twice {
		again := d
		again.fault = FaultDuplicate
		r.attempt(again, 0)
	}
	r.conclude(d, res)
	return true
}

func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.err == nil {
		r.err = err
	}
}

func (r *run) count(change func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.report)
}

// prepare makes what is made at the moment of sending.
func (s *Sender) prepare(m Message, chance draw) (delivery, error) {
	for _, t := range s.opts.Targets {
		if t.Repertoire().Provider == m.Provider {
			return delivery{
				Sending: t.Prepare(m, chance.Wrong), Manners: t.Manners(),
				provider: m.Provider, typ: m.Type, url: t.URL(), fault: chance.Fault, twice: chance.twice,
			}, nil
		}
	}
	return delivery{}, fmt.Errorf("simulator: no target for a message of %q", m.Provider)
}

// attempt posts once, and tells what came of it.
func (r *run) attempt(d delivery, attempt int) Result {
	res := Result{
		Provider: d.provider, Type: d.typ, EventID: d.EventID, Token: d.Token, Body: d.Body,
		Fault: d.fault, Attempt: attempt, SendTime: time.Now(),
	}
	timeout := d.Timeout(attempt)
	if r.opts.Timeout > 0 {
		timeout = r.opts.Timeout
	}
	ctx, cancel := context.WithTimeout(r.posting, timeout)
	defer cancel()
	res.Status, res.Err = Post(ctx, r.client, d.url, d.Body, d.Header(attempt, res.SendTime))
	res.Latency = time.Since(res.SendTime)
	res.acknowledged = d.Acknowledges(res.Status)
	r.note(d, res)
	return res
}

// note tells everybody of an answer.
func (r *run) note(d delivery, res Result) {
	if d.Note != nil {
		d.Note(res)
	}
	r.count(func(rep *Report) { rep.add(res) })
	r.telling.Lock()
	defer r.telling.Unlock()
	r.opts.OnResult(res)
}
