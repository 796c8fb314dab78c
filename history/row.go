package history

import (
	"strings"
	"time"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Row is what is known of one event.
type Row struct {
	// Seq is its position in the log, and Time when the log stored it.
	Seq  uint64
	Time time.Time
	Route
	// Entity, ID and State are Entity, ProviderEventId and Verification.State of
	// hookstream.v1.Event.
	Entity, ID string
	State      hookstreamv1.Verification_State
}

// Route is what many events have in common. The fields are as in
// hookstream.v1.Event; Source is the resource name.
type Route struct {
	Source, Provider, Environment, Topic, Action, Type string
}

// RowOf answers what is known of a record. It is false for one that is not an event,
// or lost.
func RowOf(rec event.Record) (Row, bool) {
	if rec.Lost {
		return Row{}, false
	}
	p, err := event.Split(rec.Data)
	if err != nil {
		return Row{}, false
	}
	return Row{
		Seq: rec.Seq, Time: rec.Time,
		Route: Route{
			Source: string(p.Source), Provider: string(p.Provider), Environment: string(p.Environment),
			Topic: string(p.Topic), Action: string(p.Action), Type: string(p.Type),
		},
		Entity: string(p.Entity), ID: string(p.ProviderEventID), State: p.State(),
	}, true
}

// names are all that a route may be asked for by, of a key of the language.
func (r Route) names(key string) []string {
	names := event.NamesOf(r.Type, r.Topic, r.Action)
	own := func(all []string, own string) []string {
		if len(all) > 0 {
			return all
		}
		return []string{own}
	}
	switch key {
	case keySource:
		return []string{r.Source, strings.TrimPrefix(r.Source, "sources/")}
	case keyProvider:
		return []string{r.Provider}
	case keyEnvironment:
		return []string{strings.ToLower(r.Environment)}
	case keyTopic:
		return own(names.Topics, r.Topic)
	case keyAction:
		return own(names.Actions, r.Action)
	default:
		return own(names.Types, r.Type)
	}
}

// idOf is what follows the kind in the name of an entity.
func idOf(entity string) string { return entity[strings.LastIndexByte(entity, '/')+1:] }

// stateNames are the words for states, by their numbers.
var stateNames = func() []string {
	var out []string
	values := hookstreamv1.Verification_State(0).Descriptor().Values()
	for i := range values.Len() {
		v := values.Get(i)
		for len(out) <= int(v.Number()) {
			out = append(out, "")
		}
		out[v.Number()] = strings.ToLower(strings.TrimPrefix(string(v.Name()), "STATE_"))
	}
	return out
}()
