package server

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
	searched "github.com/hookstream/hookstream/history/query"
	"github.com/hookstream/hookstream/hub"
)

// A contentFilter looks at the content of events, as a caller is shown it: nobody finds
// out by asking what is not answered.
type contentFilter struct {
	words    []word
	selector *hub.Selector // nil: no expression
}

// word is one term, in lower case: each value stands for itself anywhere in a text.
type word struct {
	searched.Term
	// pieces are what the record of an event must hold for each value, where nothing is
	// written in another way there; empty where that cannot be said.
	pieces [][]byte
}

// contentFilter answers nil when a filter does not look at the content.
func (s *EventService) contentFilter(f *history.Filter) (*contentFilter, error) {
	if !f.LooksInside() {
		return nil, nil
	}
	out, values := new(contentFilter), 0
	for _, t := range f.Words {
		w := word{Term: searched.Term{Not: t.Not}}
		for _, v := range t.Values {
			lower := strings.ToLower(string(v))
			w.Values = append(w.Values, searched.Pattern("*"+lower+"*"))
			w.pieces = append(w.pieces, longestPlain(lower))
		}
		if values += len(t.Values); values > searched.MaxTerms {
			var v violations
			v.add("filter", "more than %d words are looked for in the content, alternatives included", searched.MaxTerms)
			return nil, v.err()
		}
		out.words = append(out.words, w)
	}
	if f.CEL == "" {
		return out, nil
	}
	var err error
	out.selector, err = s.hub.CompileSelector(&hookstreamv1.EventSelector{Filter: f.CEL})
	var bad *hub.SelectorError
	if errors.As(err, &bad) {
		var v violations
		for _, b := range bad.Violations {
			v.add("filter", "cel: %s", b.Description)
		}
		return nil, v.err()
	}
	return out, err
}

// longestPlain answers the longest run of a value that is written in one way: ASCII, and
// nothing that stands for something else in the value or in JSON.
func longestPlain(value string) []byte {
	longest := ""
	for _, piece := range strings.FieldsFunc(value, func(r rune) bool {
		return r >= 0x80 || r < ' ' || strings.ContainsRune("*\"\\/<>&'", r)
	}) {
		if len(piece) > len(longest) {
			longest = piece
		}
	}
	return []byte(longest)
}

// matches reports whether the content is as asked. When ctx ends it may say no.
func (c *contentFilter) matches(ctx context.Context, e *hub.Event) bool {
	if !c.mayMatch(e) || c.selector != nil && !e.Matches(ctx, c.selector) {
		return false
	}
	if len(c.words) == 0 {
		return true
	}
	view := hookstreamv1.EventView_EVENT_VIEW_FULL
	if e.Withheld(view) != nil {
		view = hookstreamv1.EventView_EVENT_VIEW_TYPED
	}
	m, err := e.Message(view)
	if err != nil {
		return false
	}
	texts := textsOf(nil, m.ProtoReflect())
	for _, w := range c.words {
		if w.in(texts) == w.Not {
			return false
		}
	}
	return true
}

// mayMatch is quick, and right where it says no, but for a K that is written as the sign
// of Kelvin, and for what is shown in other letters than the sender wrote.
func (c *contentFilter) mayMatch(e *hub.Event) bool {
	var lower []byte
	for _, w := range c.words {
		if w.Not {
			continue
		}
		if lower == nil {
			data := e.Record().Data
			if bytes.Contains(data, []byte(`\u`)) { // it may be anything
				return true
			}
			lower = lowerASCII(data)
		}
		if !w.mayBeIn(lower) {
			return false
		}
	}
	return true
}

func lowerASCII(in []byte) []byte {
	out := make([]byte, len(in))
	for i, b := range in {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		out[i] = b
	}
	return out
}

func (w word) mayBeIn(lower []byte) bool {
	for _, piece := range w.pieces {
		if bytes.Contains(lower, piece) {
			return true
		}
	}
	return false
}

func (w word) in(texts []string) bool {
	for _, text := range texts {
		if w.Match(text) {
			return true
		}
	}
	return false
}

// textsOf adds all texts of a message, in lower case, those of what is in it included.
// Of bytes there is only the body of the request.
func textsOf(to []string, m protoreflect.Message) []string {
	one := func(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch fd.Kind() {
		case protoreflect.StringKind:
			to = append(to, strings.ToLower(v.String()))
		case protoreflect.BytesKind:
			if fd.FullName() == bodyField {
				to = append(to, strings.ToLower(string(v.Bytes())))
			}
		case protoreflect.MessageKind:
			to = textsOf(to, v.Message())
		}
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList():
			for i := range v.List().Len() {
				one(fd, v.List().Get(i))
			}
		case fd.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				to = append(to, strings.ToLower(k.String()))
				one(fd.MapValue(), v)
				return true
			})
		default:
			one(fd, v)
		}
		return true
	})
	return to
}

const bodyField = protoreflect.FullName("hookstream.v1.RawRequest.body")
