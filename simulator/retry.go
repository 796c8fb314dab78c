package simulator

import "time"

// backOff are Yousign's pauses, each after the attempt before.
var backOff = []time.Duration{
	2 * time.Minute, 6 * time.Minute, 30 * time.Minute,
	time.Hour, 5 * time.Hour, 18 * time.Hour, 24 * time.Hour, 48 * time.Hour,
}

// maxRetrying bounds the events that wait for a retry. A real sender suspends an
// endpoint that fails as much.
const maxRetrying = 10_000

// conclude decides what becomes of an event after its first attempt.
func (r *run) conclude(d delivery, res Result) {
	switch {
	case res.Acknowledged():
		r.count(func(rep *Report) { rep.Acknowledged++ })
	case r.opts.Retry && d.provider == yousignID && d.fault == FaultNone && r.mayRetry():
		r.retries.Go(func() { r.retry(d) })
	default:
		r.count(func(rep *Report) { rep.GivenUp++ })
	}
}

func (r *run) mayRetry() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retrying >= maxRetrying {
		return false
	}
	r.retrying++
	return true
}

// retry sends an event again until it is acknowledged or given up.
func (r *run) retry(d delivery) {
	acknowledged := r.insist(d)
	r.count(func(rep *Report) {
		r.retrying--
		if acknowledged {
			rep.Acknowledged++
		} else {
			rep.GivenUp++
		}
	})
}

func (r *run) insist(d delivery) bool {
	for i, pause := range backOff {
		pause = time.Duration(float64(pause) * r.opts.RetryScale)
		if !wait(r.sending.Done(), pause) || r.sending.Err() != nil {
			return false
		}
		if r.attempt(d, i+1).Acknowledged() {
			return true
		}
	}
	return false
}
