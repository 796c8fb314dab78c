package ingress

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

// An endpoint is a source made ready for requests. It is built anew when the
// source changes and never changes itself, but for what it shares with its
// predecessors.
type endpoint struct {
	id, name string // `billing`, `sources/billing`
	kind     string // of its provider
	keyHash  [sha256.Size]byte

	verifier provider.Verifier // nil: it could not be made
	headers  []string          // that its requests have
	// proofHeaders are those that are kept whole.
	proofHeaders []string
	// keptHeaders are those of which the first line is kept.
	keptHeaders []string
	disabled    bool
	shadow      bool
	unwanted    event.Patterns
	limiter     *rate.Limiter // its predecessor's, while the rate is the same

	remote  bool     // the provider is asked elsewhere; else it has neither of these
	breaker *breaker // its own: a change may be the cure
	asking  *turns   // questions under way, those of its predecessor included

	*endpointState
}

// endpointState is handed from an endpoint to its successor.
type endpointState struct {
	refusals gate
	faults   gate
	inFlight atomic.Int64 // its requests being handled
}

// endpoints finds them by the id of the source.
type endpoints struct {
	byID sync.Map // string to *endpoint
	// lists of headers. There may be many endpoints, and few lists. For build alone,
	// which is called for one source at a time.
	lists map[string][]string
}

func (e *endpoints) get(id string) *endpoint {
	ep, _ := e.byID.Load(id)
	found, _ := ep.(*endpoint)
	return found
}

// noEndpoint is compared with when there is no such source, so that this takes
// as long as a wrong key. Nobody knows a key with its hash.
var noEndpoint = &endpoint{keyHash: randomHash()}

func randomHash() (h [sha256.Size]byte) {
	_, _ = rand.Read(h[:]) // never fails
	return h
}

// open answers the endpoint with the id if the key is right.
func (e *endpoints) open(id, key string) *endpoint {
	ep := e.get(id)
	if ep == nil {
		ep = noEndpoint
	}
	// Hashes have one length, whatever the keys' are.
	given := sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(given[:], ep.keyHash[:]) != 1 {
		return nil
	}
	return ep
}

// change puts a changed source in force.
func (g *Gateway) change(id string, src *hookstreamv1.Source) {
	old := g.endpoints.get(id)
	var next *endpoint
	if src != nil {
		next = g.build(id, src, old)
	}
	g.pauses.Lock()
	defer g.pauses.Unlock()
	if next == nil {
		g.endpoints.byID.Delete(id)
	} else {
		g.endpoints.byID.Store(id, next)
	}
	if old != nil && old.breaker != nil && old.breaker.isOpen() {
		g.o.Metrics.breaker(id, false)
		g.o.Logger.Info("the source was changed, and its provider is asked anew", "source", id)
	}
}

// build makes the endpoint of a source; old is its predecessor or nil.
func (g *Gateway) build(id string, src *hookstreamv1.Source, old *endpoint) *endpoint {
	ep := &endpoint{
		id: id, name: source.Name(id), kind: kind(src),
		keyHash:  hashKey(src),
		disabled: src.GetDisabled(),
		shadow:   src.GetVerificationMode() == hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW,
		unwanted: event.CompilePatterns(src.GetDisabledTypes()),
		limiter:  g.limiterFor(src, old),
	}
	if old != nil {
		ep.endpointState, ep.asking = old.endpointState, old.asking
	} else {
		ep.endpointState = new(endpointState)
	}
	p, err := g.o.Providers(src)
	if err != nil {
		g.o.Logger.Error("a source cannot receive: its provider cannot be made", "source", id, "err", err)
		return ep
	}
	ep.verifier, ep.headers, ep.proofHeaders = p, g.endpoints.shared(readBy(p)), g.endpoints.shared(proofHeaders(p))
	ep.keptHeaders = g.endpoints.shared(keptHeaders(p))
	if ep.remote = p.Remote(); ep.remote {
		ep.breaker = newBreaker(g.o.MinRetry, g.o.MaxRetry)
		if ep.asking == nil {
			ep.asking = newTurns(&g.crew)
		}
	}
	return ep
}

// shared answers a list of headers that is equal and that others have as well.
func (e *endpoints) shared(names []string) []string {
	key := strings.Join(names, "\n")
	if e.lists == nil {
		e.lists = make(map[string][]string)
	}
	if known, ok := e.lists[key]; ok {
		return known
	}
	e.lists[key] = names
	return names
}

// kind is the provider's name: that of the source's config field.
func kind(src *hookstreamv1.Source) string {
	m := src.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("config"))
	if fd == nil {
		return ""
	}
	return string(fd.Name())
}

// hashKey answers the hash of the source's key, that of no key for a keyless
// source, and one that nothing has for a source that lost its key.
func hashKey(src *hookstreamv1.Source) [sha256.Size]byte {
	key := source.IngressKey(src)
	if src.GetKeyless() != (key == "") {
		return randomHash()
	}
	return sha256.Sum256([]byte(key))
}

// limiterFor answers the limiter of old when it has the rate that the source
// is to have, and a full one otherwise.
func (g *Gateway) limiterFor(src *hookstreamv1.Source, old *endpoint) *rate.Limiter {
	perSecond := src.GetMaxRequestsPerSecond()
	if perSecond == 0 {
		perSecond = g.o.DefaultRate
	}
	limit, burst := rate.Limit(perSecond), int(math.Ceil(2*perSecond))
	if perSecond == 0 {
		limit, burst = rate.Inf, 1
	}
	if old != nil && old.limiter.Limit() == limit {
		return old.limiter
	}
	return rate.NewLimiter(limit, burst)
}

// proofHeaders are none for a provider that proves nothing.
func proofHeaders(p provider.Verifier) []string {
	if prover, ok := p.(provider.Prover); ok {
		return prover.ProofHeaders()
	}
	return nil
}

// keptHeaders are those that are stored with a request of a source.
func keptHeaders(p provider.Verifier) []string {
	if keeper, ok := p.(provider.HeaderKeeper); ok {
		return slices.Concat(kept, keeper.KeptHeaders())
	}
	return kept
}
