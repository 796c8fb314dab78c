// Package simulatortest is what tests of played senders send to.
package simulatortest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// A Receiver is an endpoint that keeps what it is sent and answers a status.
type Receiver struct {
	*httptest.Server
	Status atomic.Int32

	mu     sync.Mutex
	bodies [][]byte
	heads  []http.Header
}

// Receive starts one, which answers 200.
func Receive(t testing.TB) *Receiver {
	r := &Receiver{}
	r.Status.Store(200)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.bodies, r.heads = append(r.bodies, body), append(r.heads, req.Header)
		r.mu.Unlock()
		w.WriteHeader(int(r.Status.Load()))
	}))
	t.Cleanup(r.Close)
	return r
}

// Got answers the bodies so far.
func (r *Receiver) Got() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

// Headers answers the headers so far.
func (r *Receiver) Headers() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.heads)
}
