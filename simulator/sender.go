package simulator

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// A Sender sends the webhooks of both providers to the ingress of a gateway. One
// Run at a time.
type Sender struct {
	opts   SenderOptions
	client *http.Client
	hook   Webhook // of Ignisign: the endpoint that the target is to the API
	rand   *rand.Rand
}

// NewSender makes a Sender. It answers ErrRemote for a target that is not on the
// loopback interface, unless that is allowed.
func NewSender(opts SenderOptions) (*Sender, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Sender{opts: opts, client: newClient(opts.Connections+16, opts.AllowRemote), rand: newRand(opts.Seed)}
	if opts.Ignisign.URL != "" {
		api := opts.Ignisign.API
		s.hook = api.webhooks.add(api.newWebhook(api.App(), endpoint{URL: opts.Ignisign.URL}), false)
	}
	return s, nil
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
		if !ok || !wait(r.sending.Done(), time.Until(at)) {
			return
		}
		if !r.send(m, d) {
			return
		}
	}
}

// A draw is what chance has in store for an event.
type draw struct {
	fault Fault
	where uint64
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
	d := draw{where: r.rand.Uint64(), twice: twice < r.opts.Duplicate}
	switch {
	case forge < r.opts.Forge:
		d.fault = FaultForged
	case flip < r.opts.Flip:
		d.fault = FaultFlipped
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

// attempt posts once, and tells what came of it.
func (r *run) attempt(d delivery, attempt int) Result {
	res := Result{
		Provider: d.provider, Type: d.typ, EventID: d.eventID, Token: d.token, Body: d.body,
		Fault: d.fault, Attempt: attempt, SendTime: time.Now(),
	}
	timeout := d.timeout(attempt)
	if r.opts.Timeout > 0 {
		timeout = r.opts.Timeout
	}
	ctx, cancel := context.WithTimeout(r.posting, timeout)
	defer cancel()
	res.Status, res.Err = post(ctx, r.client, d.url, d.body, d.header(attempt, res.SendTime))
	res.Latency = time.Since(res.SendTime)
	r.note(d, res)
	return res
}

// note tells everybody of an answer.
func (r *run) note(d delivery, res Result) {
	if d.record != "" {
		var response *Response
		if res.Err == nil {
			response = &Response{Status: res.Status, StatusText: http.StatusText(res.Status)}
		}
		r.opts.Ignisign.API.records.settle(d.record, response)
	}
	r.count(func(rep *Report) { rep.add(res) })
	r.telling.Lock()
	defer r.telling.Unlock()
	r.opts.OnResult(res)
}
