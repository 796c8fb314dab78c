package ingress

import "sync/atomic"

// places bounds the requests that are handled at once, from when their body is
// there until they are answered. A source may have three places for each that is
// free: alone it gets three quarters, several get equal shares, and one that has
// none gets one, however many others have. What a stranger sends slowly has none.
type places struct {
	max   int64
	taken atomic.Int64
}

// room reports whether a request of ep would get a place now.
func (p *places) room(ep *endpoint) bool {
	return p.fits(p.taken.Load()+1, ep.inFlight.Load()+1)
}

func (p *places) fits(taken, own int64) bool {
	return taken <= p.max && (own <= 1 || own <= ofIdle*(p.max-taken))
}

// acquire takes a place if there is one. It must be given back.
func (p *places) acquire(ep *endpoint) bool {
	if p.fits(p.taken.Add(1), ep.inFlight.Add(1)) {
		return true
	}
	p.give(ep)
	return false
}

func (p *places) give(ep *endpoint) {
	p.taken.Add(-1)
	ep.inFlight.Add(-1)
}
