package ingress

import (
	"sync"
	"time"
)

// hands holds the keys that workers of this gateway have in hand, and for a
// moment those whose event they have just published: the log's index learns of
// an event a little after Append returns. So a proof that arrives many times at
// once is asked about once.
type hands struct {
	// mu guards what follows. No other is taken under it.
	mu   sync.Mutex
	m    map[handKey]time.Time // when to forget a published key; zero: in hand
	next time.Time             // when to look for some to forget
}

type handKey struct{ source, key string }

// memoryOfHands is far longer than the index takes.
const memoryOfHands = 10 * time.Second

// holding is what hands know of a key.
type holding int

const (
	held          holding = iota // by the caller, now
	busy                         // another worker has it
	justPublished                // its event was published a moment ago
)

// hold takes the key in hand unless it is, or was published a moment ago. What
// was taken must be dropped.
func (h *hands) hold(k handKey, now time.Time) holding {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.m == nil {
		h.m = make(map[handKey]time.Time)
	}
	h.sweep(now)
	until, ok := h.m[k]
	switch {
	case !ok || !until.IsZero() && now.After(until):
		h.m[k] = time.Time{}
		return held
	case until.IsZero():
		return busy
	}
	return justPublished
}

// drop ends what take began.
func (h *hands) drop(k handKey, published bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if published {
		h.m[k] = now.Add(memoryOfHands)
	} else {
		delete(h.m, k)
	}
}

// sweep forgets what is old, now and then.
func (h *hands) sweep(now time.Time) {
	if now.Before(h.next) {
		return
	}
	h.next = now.Add(memoryOfHands)
	for k, until := range h.m {
		if !until.IsZero() && now.After(until) {
			delete(h.m, k)
		}
	}
}
