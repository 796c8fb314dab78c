package hub

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Selector is a compiled EventSelector. It may be used by many streams.
type Selector struct {
	sources      map[string]struct{} // resource names; nil: all
	types        event.Patterns
	environments map[string]struct{} // in lower case; nil: all
	// providers are those with typed conditions; nil: all. No conditions: nil.
	providers map[string]proto.Message
	filter    *filter
	key       string // see routeKey
}

// CompileSelector prepares a selector; nil selects everything. The error is a
// *SelectorError with everything that is wrong.
func (h *Hub) CompileSelector(in *hookstreamv1.EventSelector) (*Selector, error) {
	s, bad := new(Selector), new(SelectorError)
	bad.Violations = append(s.compileSources(in.GetSources()), bad.Violations...)
	s.types = event.CompilePatterns(in.GetTypes())
	s.compileEnvironments(in.GetEnvironments())
	bad.Violations = append(bad.Violations, h.compileTyped(s, in)...)
	if text := in.GetFilter(); text != "" {
		f, violations := h.filters.get(text)
		s.filter = f
		bad.Violations = append(bad.Violations, violations...)
	}
	if len(bad.Violations) > 0 {
		return nil, bad
	}
	s.key = routeKey(slices.Collect(maps.Keys(s.sources)), in.GetTypes(), slices.Collect(maps.Keys(s.environments)), slices.Collect(maps.Keys(s.providers)))
	return s, nil
}

const sourcePrefix = "sources/"

// sourceID is what can name a source.
var sourceID = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (s *Selector) compileSources(in []string) (bad []Violation) {
	for i, source := range in {
		id := strings.TrimPrefix(source, sourcePrefix)
		if !sourceID.MatchString(id) {
			bad = append(bad, Violation{fmt.Sprintf("sources[%d]", i), "is not the id or name of a source: no source can have it"})
			continue
		}
		if s.sources == nil {
			s.sources = make(map[string]struct{})
		}
		s.sources[sourcePrefix+id] = struct{}{}
	}
	return bad
}

func (s *Selector) compileEnvironments(in []string) {
	if slices.Contains(in, "*") {
		return
	}
	for _, environment := range in {
		if s.environments == nil {
			s.environments = make(map[string]struct{})
		}
		s.environments[strings.ToLower(environment)] = struct{}{}
	}
}

func (h *Hub) compileTyped(s *Selector, in *hookstreamv1.EventSelector) (bad []Violation) {
	in.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() == nil || f.IsList() {
			return true
		}
		provider := string(f.Name())
		if _, ok := h.decoders[provider]; !ok {
			bad = append(bad, Violation{provider, "this gateway does not know the provider"})
			return true
		}
		if s.providers == nil {
			s.providers = make(map[string]proto.Message)
		}
		s.providers[provider] = nil
		if m := v.Message().Interface(); proto.Size(m) > 0 {
			s.providers[provider] = m
		}
		return true
	})
	return bad
}

// verdict is what the route of an event says.
type verdict uint8

const (
	miss verdict = iota // it does not match
	hit                 // it matches
	look                // that depends on the event itself
)

// onRoute decides what can be decided without looking into an event.
func (s *Selector) onRoute(r *route) verdict {
	if !among(s.sources, r.source) || !among(s.environments, r.lowered) || !s.types.Empty() && !s.types.MatchType(r.typ) {
		return miss
	}
	conditions, known := s.providers[r.provider]
	switch {
	case s.providers != nil && !known:
		return miss
	case conditions != nil || s.filter != nil:
		return look
	}
	return hit
}

func among(set map[string]struct{}, s string) bool {
	if set == nil {
		return true
	}
	_, ok := set[s]
	return ok
}

// onEvent decides the rest, for an event whose route says look. Conditions see
// what the subscriber would: a filter is no way to feel for what is withheld.
func (h *Hub) onEvent(ctx context.Context, s *Selector, e *entry, shown event.Kinds) bool {
	if conditions := s.providers[e.route.provider]; conditions != nil && !h.matchTyped(conditions, e, shown) {
		return false
	}
	if s.filter == nil {
		return true
	}
	m := h.plainOf(e)
	if s.filter.payload {
		m = h.messageOf(e, shown)
	}
	ok, err := s.filter.matches(ctx, m, &e.route.names)
	if err != nil {
		h.filterFailures.Add(1)
	}
	return ok
}

// matchTyped asks the provider. Nothing typed matches what has no payload.
func (h *Hub) matchTyped(conditions proto.Message, e *entry, shown event.Kinds) bool {
	payload := h.typedOf(e, shown).payload
	return payload != nil && h.decoders[e.route.provider].Match(conditions, payload)
}
