// Package query reads the line that history is searched with: words of the form
// `key:value` that must all hold, as
//
//	source:billing type:signer.*,signature_request.* -verification:failed after:2h "lease 0012"
//
// A `-` before a word negates it, a comma separates values of which one must hold,
// a `*` in a value stands for any run of characters, and words without a key are
// looked for in the content. `=`, `!=`, `AND` and `NOT`, which those type who know
// AIP-160, mean what they mean there. `cel:` takes the rest of the line as an
// expression.
//
// What keys there are is the caller's, who also says what they mean.
package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
)

// MaxLength bounds the bytes of a line, and MaxTerms its words: each costs
// something on every event that is looked at.
const (
	MaxLength = 4096
	MaxTerms  = 64
)

// Kind says how the values of a key are written.
type Kind int

// The kinds of values.
const (
	Text Kind = iota // as it is; `*` stands for any run of characters
	Word             // one of Key.Values, in any case
	Time             // a bound: the key says which, or a comparison does
)

// Key is something that can be asked for.
type Key struct {
	Name string
	// Aliases are accepted in place of Name.
	Aliases []string
	Kind    Kind
	// Values are those of a Word.
	Values []string
}

// Language is what a line may say.
type Language struct {
	Keys []Key
	// Content: words without a key, and `cel:`, are understood.
	Content bool
}

// Query is a line that was read. The zero value asks for everything.
type Query struct {
	// After and Before bound the time: at or after the one, before the other. Zero:
	// no bound.
	After, Before time.Time
	// Terms must all hold.
	Terms []Term
	// CEL is an expression that must hold, too; empty for none.
	CEL string
}

// Term is one word of a line.
type Term struct {
	// Key is the name of the key; empty for what is looked for in the content.
	Key string
	// Not: the event must not match.
	Not bool
	// Values of which one must match.
	Values []Pattern
}

// Pattern is a text in which each `*` stands for any run of characters.
type Pattern string

// Exact answers the text, and whether it stands for itself alone.
func (p Pattern) Exact() (string, bool) { return string(p), !strings.Contains(string(p), "*") }

// Match reports whether the text is as the pattern. The leftmost place for each part
// leaves most for those that follow, so nothing is tried twice.
func (p Pattern) Match(text string) bool {
	first, rest, more := strings.Cut(string(p), "*")
	if !more {
		return string(p) == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	last := len(parts) - 1
	for _, part := range parts[:last] {
		if _, text, ok = strings.Cut(text, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(text, parts[last])
}

// Match reports whether one of the values is as the text, whether or not that is
// what is asked for: see Not.
func (t Term) Match(text string) bool {
	return slices.ContainsFunc(t.Values, func(p Pattern) bool { return p.Match(text) })
}

// Error says what is wrong with a line, and where.
type Error struct {
	// Column is the place, in characters from 1.
	Column int
	// Reason is one sentence without a full stop.
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Reason) }

// unknown names the key that was meant, if one is near.
func (l Language) unknown(name string) string {
	var known []string
	for _, k := range l.Keys {
		known = append(known, k.Name)
	}
	reason := fmt.Sprintf("there is no key %q%s", shortened(name), suggestion(strings.ToLower(name), known))
	if l.Content {
		reason += "; what is looked for in the content and holds a colon stands in quotes"
	}
	return reason
}

// suggestion names the nearest of the known, and else all of them.
func suggestion(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	near := slices.MinFunc(known, func(a, b string) int {
		return levenshtein.ComputeDistance(name, a) - levenshtein.ComputeDistance(name, b)
	})
	if levenshtein.ComputeDistance(name, near) <= max(1, len(near)/3) {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; there are " + strings.Join(known, ", ")
}

func (l Language) key(name string) (Key, bool) {
	name = strings.ToLower(name)
	i := slices.IndexFunc(l.Keys, func(k Key) bool { return k.Name == name || slices.Contains(k.Aliases, name) })
	if i < 0 {
		return Key{}, false
	}
	return l.Keys[i], true
}
