package simulator

import "time"

// maxRetrying bounds the events that wait for a retry. A real sender suspends an
// endpoint that fails as much.
const maxRetrying = 10_000

// conclude decides what becomes of an event after its first attempt.
func (r *run) conclude(d delivery, res Result) {
	switch {
	case res.Acknowledged():
		r.count(func(rep *Report) { rep.Acknowledged++ })
	case r.opts.Retry && len(d.Pauses) > 0 && d.fault == FaultNone && r.mayRetry():
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
	for i, pause := range d.Pauses {
		pause = time.Duration(float64(pause) * r.opts.RetryScale)
		if !Wait(r.sending.Done(), pause) || r.sending.Err() != nil {
			return false
		}
		if r.attempt(d, i+1).Acknowledged() {
			return true
		}
	}
	return false
}
