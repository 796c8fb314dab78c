package hub

import (
	"encoding/binary"
	"strings"
	"sync"

	"github.com/hookstream/hookstream/event"
)

// route is what a selector can decide by without looking into an event. There
// is one for each distinct combination, so that routes compare as pointers.
type route struct {
	source, provider, environment, topic, action, typ string
	// lowered is the environment in lower case.
	lowered string
	// names are all that type, topic and action are called.
	names event.Names
}

// routes makes the strings of events into routes.
type routes struct {
	// mu guards what follows. No other is taken under it.
	mu      sync.Mutex
	known   map[string]*route
	scratch []byte
}

// maxRoutes bounds what is remembered. Types are the sender's words: in shadow
// mode anybody's.
const maxRoutes = 16384

// of answers the route of an event. Two events of equal strings may have
// different routes only when there are very many.
func (rs *routes) of(p event.Parts) *route {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.scratch = rs.scratch[:0]
	for _, s := range [][]byte{p.Source, p.Provider, p.Environment, p.Topic, p.Action, p.Type} {
		rs.scratch = binary.AppendUvarint(rs.scratch, uint64(len(s)))
		rs.scratch = append(rs.scratch, s...)
	}
	if r := rs.known[string(rs.scratch)]; r != nil {
		return r
	}
	if rs.known == nil || len(rs.known) >= maxRoutes {
		rs.known = make(map[string]*route)
	}
	r := newRoute(p)
	rs.known[string(rs.scratch)] = r
	return r
}

func newRoute(p event.Parts) *route {
	r := &route{
		source: string(p.Source), provider: string(p.Provider), environment: string(p.Environment),
		topic: string(p.Topic), action: string(p.Action), typ: string(p.Type),
		lowered: strings.ToLower(string(p.Environment)),
	}
	r.names = event.NamesOf(r.typ, r.topic, r.action)
	return r
}
