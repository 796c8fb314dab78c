// Package load makes the load of the benchmark: posts as the senders' and
// subscriptions as the services'. It is made to cost little, because it shares
// its machine with what is measured.
package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Posts say what is posted where.
type Posts struct {
	// Addr is the server's, as host:port.
	Addr string
	// Connections are kept open; on each, one request is under way at a time.
	Connections int
	// Requests makes the requests of a connection. Required.
	Requests func() (Requests, error)
	// Rate is how many requests are due in a second, over all connections,
	// whatever the server does; latency then counts from the moment at which a
	// request was due. At 0 each connection posts when the answer before is there.
	Rate float64
	// OnSend is called before an event is posted, OnAnswer when its answer is
	// there, with the sender's id of the event. May be nil. Both are called from
	// many goroutines at once, and must not keep the id.
	OnSend   func(id []byte)
	OnAnswer func(id []byte, status int, at time.Time)
}

// Answers are what came back while it was recorded.
type Answers struct {
	// Statuses are the answers by status; 0 are requests that got none.
	Statuses map[int]int64
	// Accepted are the latencies of those that were answered 200: from the moment
	// at which they were due when there was a rate, else from the write.
	Accepted Histogram
	// Served are the same from the write.
	Served Histogram
	// WithoutRetryAfter are answers 429 and 503 that did not say when to come
	// again.
	WithoutRetryAfter int64
}

// All answers how many requests came to an end.
func (a *Answers) All() (n int64) {
	for _, count := range a.Statuses {
		n += count
	}
	return n
}

func (a *Answers) add(o *Answers) {
	for status, n := range o.Statuses {
		a.Statuses[status] += n
	}
	a.Accepted.Add(&o.Accepted)
	a.Served.Add(&o.Served)
	a.WithoutRetryAfter += o.WithoutRetryAfter
}

// A Run is posting under way. Record, Stop and Accepted may be called while it
// goes on.
type Run struct {
	recording atomic.Bool
	stopping  atomic.Bool
	accepted  atomic.Int64
	lanes     []*lane
	work      sync.WaitGroup
	closed    func()
}

// Start opens the connections and begins to post, until Stop is called or ctx
// ends. Stop must be called.
func (p Posts) Start(ctx context.Context) (*Run, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &Run{lanes: make([]*lane, p.Connections), closed: cancel}
	for i := range r.lanes {
		l, err := p.open(ctx, r)
		if err != nil {
			for _, opened := range r.lanes[:i] {
				opened.close()
			}
			cancel()
			return nil, err
		}
		r.lanes[i] = l
	}
	begin := time.Now()
	for i, l := range r.lanes {
		due := pace{}
		if p.Rate > 0 {
			every := float64(time.Second) / p.Rate
			due = pace{next: begin.Add(time.Duration(float64(i) * every)), every: time.Duration(every * float64(len(r.lanes)))}
		}
		r.work.Go(func() { l.run(ctx, due) })
	}
	return r, nil
}

func (p Posts) open(ctx context.Context, r *Run) (*lane, error) {
	requests, err := p.Requests()
	if err != nil {
		return nil, err
	}
	l := &lane{whole: r, addr: p.Addr, requests: requests, onSend: p.OnSend, onAnswer: p.OnAnswer}
	l.answers.Statuses = make(map[int]int64)
	if err := l.connect(ctx); err != nil {
		return nil, fmt.Errorf("load: connect: %w", err)
	}
	return l, nil
}

// Record says whether answers that come from now on are counted. At first they
// are not.
func (r *Run) Record(on bool) { r.recording.Store(on) }

// Accepted answers how many requests were answered 200 so far, recorded or not.
func (r *Run) Accepted() int64 { return r.accepted.Load() }

// Wait waits until there are no more requests; for Requests that have an end.
func (r *Run) Wait() { r.work.Wait() }

// stopGrace is how long answers that are under way are waited for.
const stopGrace = 10 * time.Second

// Stop lets every connection wait for the answer that is under way, closes it,
// and answers what was recorded. The error is that of connections that could not
// go on.
func (r *Run) Stop() (*Answers, error) {
	r.stopping.Store(true)
	defer time.AfterFunc(stopGrace, r.closed).Stop()
	r.work.Wait()
	r.closed()
	sum := &Answers{Statuses: make(map[int]int64)}
	var errs []error
	for _, l := range r.lanes {
		sum.add(&l.answers)
		errs = append(errs, l.err)
	}
	return sum, firstOf(errs)
}

// firstOf answers the first error: hundreds of connections to a server that died
// all say the same.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A pace says when a lane's next request is due; always when it is zero.
type pace struct {
	next  time.Time
	every time.Duration
}

// await answers when the request was due, once it is.
func (p *pace) await() time.Time {
	now := time.Now()
	if p.every == 0 {
		return now
	}
	due := p.next
	p.next = due.Add(p.every)
	if wait := due.Sub(now); wait > 0 {
		time.Sleep(wait)
	}
	return due
}

// Only answers the share of the recorded answers that had one of the statuses.
func (a *Answers) Only(statuses ...int) float64 {
	var n int64
	for _, s := range statuses {
		n += a.Statuses[s]
	}
	return float64(n) / float64(max(1, a.All()))
}

// Unexpected is an error when there were answers of another status than these.
func (a *Answers) Unexpected(statuses ...int) error {
	rest := maps.Clone(a.Statuses)
	for _, s := range statuses {
		delete(rest, s)
	}
	for status, n := range rest {
		if status == 0 {
			return fmt.Errorf("%d requests got no answer", n)
		}
		return fmt.Errorf("%d answers have status %d", n, status)
	}
	if a.All() == 0 {
		return errors.New("no request was answered")
	}
	return nil
}
