package ingress

import "sync"

// proofs remembers what providers have answered until that has had all its
// consequences. It need not: it is lost with the process, and full it takes no
// more. But while it does, no provider is asked twice because our log failed.
type proofs struct {
	mu sync.Mutex       // guards m
	m  map[uint64]proof // by the id of the row
}

const maxProofs = 10_000

func (p *proofs) get(row uint64) proof {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m[row]
}

func (p *proofs) put(row uint64, found proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = make(map[uint64]proof)
	}
	if len(p.m) < maxProofs {
		p.m[row] = found
	}
}

func (p *proofs) forget(row uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.m, row)
}
