package history

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/history/query"
)

// Keys of the language.
const (
	keySource       = "source"
	keyProvider     = "provider"
	keyEnvironment  = "environment"
	keyTopic        = "topic"
	keyAction       = "action"
	keyType         = "type"
	keyEntity       = "entity"
	keyID           = "id"
	keyVerification = "verification"
	keyText         = "text"
)

// Language is what events can be searched by.
var Language = query.Language{
	Content: true,
	Keys: []query.Key{
		{Name: keySource},
		{Name: keyProvider},
		{Name: keyEnvironment, Aliases: []string{"env"}},
		{Name: keyTopic},
		{Name: keyAction},
		{Name: keyType},
		{Name: keyEntity},
		{Name: keyID, Aliases: []string{"name", "provider_event_id"}},
		{Name: keyText, Aliases: []string{"body"}},
		{Name: keyVerification, Aliases: []string{"status", "verification.state"}, Kind: query.Word, Values: stateNames[1:]},
		{Name: "after", Aliases: []string{"since"}, Kind: query.Time},
		{Name: "before", Aliases: []string{"until"}, Kind: query.Time},
		{Name: "time", Aliases: []string{"publish_time", "receive_time"}, Kind: query.Time},
	},
}

// Filter is a question.
type Filter struct {
	after, before time.Time
	routes        []query.Term // of keys that are the route's
	states        []query.Term
	entities, ids []query.Term
	incarnation   event.Incarnation
	places        map[query.Pattern]uint64 // of events with names of other logs

	// Words are to be found in the content of an event, and CEL is an expression that
	// must hold: neither is known here, and Match says nothing of them.
	Words []query.Term
	CEL   string
}

// Locate asks where the events are that are named by the names of other logs: those
// that were imported. It is called before the filter is used. Position wraps
// eventlog.ErrNotFound when there is none; its other errors are answered.
func (f *Filter) Locate(ctx context.Context, position func(ctx context.Context, name string) (seq uint64, err error)) error {
	for _, t := range f.ids {
		for _, v := range t.Values {
			name := nameOf(v)
			if inc, _, err := event.ParseName(name); err != nil || inc == f.incarnation {
				continue
			}
			seq, err := position(ctx, name)
			switch {
			case errors.Is(err, eventlog.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			if f.places == nil {
				f.places = make(map[query.Pattern]uint64)
			}
			f.places[v] = seq
		}
	}
	return nil
}

// nameOf answers the name of an event that is named with or without its collection.
func nameOf(v query.Pattern) string {
	if strings.HasPrefix(string(v), "events/") {
		return string(v)
	}
	return "events/" + string(v)
}

// LooksInside reports whether the content of an event has to be looked at.
func (f *Filter) LooksInside() bool { return len(f.Words) > 0 || f.CEL != "" }

// facts is Language without what only the content of an event says.
var facts = query.Language{Keys: slices.DeleteFunc(slices.Clone(Language.Keys), func(k query.Key) bool { return k.Name == keyText })}

// ParseFilter reads a line of Language that asks nothing of the content of events: Match
// decides it. What it says of time is relative to now; inc is that of the log, whose events
// have names. The error is a *query.Error.
func ParseFilter(line string, now time.Time, inc event.Incarnation) (*Filter, error) {
	return parse(facts, line, now, inc)
}

// ParseSearch is ParseFilter for a line that may ask of the content, too: whoever calls it
// looks at Words and CEL.
func ParseSearch(line string, now time.Time, inc event.Incarnation) (*Filter, error) {
	return parse(Language, line, now, inc)
}

func parse(l query.Language, line string, now time.Time, inc event.Incarnation) (*Filter, error) {
	q, err := l.Parse(line, now)
	if err != nil {
		return nil, err
	}
	f := &Filter{after: q.After, before: q.Before, incarnation: inc, CEL: q.CEL}
	for _, t := range q.Terms {
		switch t.Key {
		case "", keyText:
			f.Words = append(f.Words, t)
		case keyEntity:
			f.entities = append(f.entities, t)
		case keyID:
			f.ids = append(f.ids, t)
		case keyVerification:
			f.states = append(f.states, t)
		case keyEnvironment:
			t.Values = slices.Clone(t.Values)
			for i, v := range t.Values {
				t.Values[i] = query.Pattern(strings.ToLower(string(v)))
			}
			f.routes = append(f.routes, t)
		default:
			f.routes = append(f.routes, t)
		}
	}
	return f, nil
}

// Match reports whether an event is as asked.
func (f *Filter) Match(r Row) bool {
	return f.inTime(r.Time) && f.onRoute(r.Route) && f.onState(int(r.State)) &&
		all(f.entities, func(t query.Term) bool { return entityMatches(t, r.Entity) }) &&
		all(f.ids, func(t query.Term) bool { return f.idMatches(t, r) })
}

func all(terms []query.Term, matches func(query.Term) bool) bool {
	for _, t := range terms {
		if matches(t) == t.Not {
			return false
		}
	}
	return true
}

func (f *Filter) inTime(t time.Time) bool {
	return (f.after.IsZero() || !t.Before(f.after)) && (f.before.IsZero() || t.Before(f.before))
}

func (f *Filter) onRoute(r Route) bool {
	return all(f.routes, func(t query.Term) bool { return slices.ContainsFunc(r.names(t.Key), t.Match) })
}

func (f *Filter) onState(state int) bool {
	return all(f.states, func(t query.Term) bool { return state > 0 && state < len(stateNames) && t.Match(stateNames[state]) })
}

// entityMatches compares a value with a kind in it with the whole name, and others
// with the id.
func entityMatches(t query.Term, entity string) bool {
	return slices.ContainsFunc(t.Values, func(v query.Pattern) bool {
		if strings.Contains(string(v), "/") {
			return v.Match(entity)
		}
		return entity != "" && v.Match(idOf(entity))
	})
}

// idMatches compares with the sender's id, and with the event's own name.
func (f *Filter) idMatches(t query.Term, r Row) bool {
	return slices.ContainsFunc(t.Values, func(v query.Pattern) bool {
		seq, ok := f.position(v)
		return ok && seq == r.Seq || r.ID != "" && v.Match(r.ID)
	})
}

// position answers the position of an event that is named.
func (f *Filter) position(v query.Pattern) (uint64, bool) {
	if seq, ok := f.places[v]; ok {
		return seq, true
	}
	inc, seq, err := event.ParseName(nameOf(v))
	return seq, err == nil && inc == f.incarnation
}
