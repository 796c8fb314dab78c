package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Parse reads a line. What it says of time is relative to now. The error is an
// *Error.
func (l Language) Parse(line string, now time.Time) (*Query, error) {
	p := parser{language: l, now: now, query: new(Query)}
	switch {
	case len(line) > MaxLength:
		return nil, &Error{1, fmt.Sprintf("the line is longer than %d bytes", MaxLength)}
	case !utf8.ValidString(line):
		return nil, &Error{1, "the line is not UTF-8"}
	}
	p.text = []rune(line)
	for p.space(); p.at < len(p.text); p.space() {
		if err := p.term(); err != nil {
			return nil, err
		}
		if len(p.query.Terms) > MaxTerms {
			return nil, p.bad(p.at, "more than %d words", MaxTerms)
		}
	}
	q := p.query
	if !q.After.IsZero() && !q.Before.IsZero() && !q.After.Before(q.Before) {
		return nil, &Error{1, fmt.Sprintf("nothing is after %s and before %s", q.After.UTC().Format(time.RFC3339), q.Before.UTC().Format(time.RFC3339))}
	}
	return q, nil
}

type parser struct {
	language Language
	now      time.Time
	text     []rune
	at       int
	query    *Query
}

func (p *parser) bad(at int, reason string, args ...any) error {
	return &Error{at + 1, fmt.Sprintf(reason, args...)}
}

func (p *parser) space() {
	for p.at < len(p.text) && unicode.IsSpace(p.text[p.at]) {
		p.at++
	}
}

// special reports whether a character ends a word that is not in quotes.
func special(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(`",:=!<>()`, r)
}

// term reads one word, or what joins words.
func (p *parser) term() error {
	start, not := p.at, false
	if p.text[p.at] == '-' {
		not = true
		p.at++
	}
	if p.at < len(p.text) && p.text[p.at] == '"' {
		value, err := p.quoted()
		if err != nil {
			return err
		}
		return p.content(start, not, value)
	}
	word := p.word()
	switch {
	case word == "AND" && !not:
		return nil
	case word == "OR":
		return p.bad(start, "words cannot be joined by OR: write the values of one key with commas, as key:a,b")
	case word == "NOT":
		p.space()
		if p.at == len(p.text) || not {
			return p.bad(start, "NOT stands before a word")
		}
		return p.negated()
	}
	op := p.operator(word != "")
	switch {
	case op != "":
		return p.compared(start, not, word, op)
	case word == "":
		return p.stray()
	}
	return p.content(start, not, word)
}

// negated reads the word behind NOT.
func (p *parser) negated() error {
	before := len(p.query.Terms)
	start := p.at
	if err := p.term(); err != nil {
		return err
	}
	if len(p.query.Terms) == before {
		return p.bad(start, "NOT does not apply to this")
	}
	t := &p.query.Terms[before]
	t.Not = !t.Not
	return nil
}

// stray says what a character has to do here.
func (p *parser) stray() error {
	if p.at == len(p.text) {
		return p.bad(p.at-1, "a - stands before a word")
	}
	switch r := p.text[p.at]; r {
	case '(', ')':
		return p.bad(p.at, "there are no brackets: all words must hold, and values with commas are alternatives")
	default:
		return p.bad(p.at, "a word cannot begin with %q: put it in quotes", r)
	}
}

// word reads characters up to one that means something else.
func (p *parser) word() string {
	start := p.at
	for p.at < len(p.text) && !special(p.text[p.at]) {
		p.at++
	}
	return string(p.text[start:p.at])
}

// comparisons are what may stand between a key and its value.
var comparisons = []string{"!=", ">=", "<=", ":", "=", ">", "<"}

// operator reads a comparison if there is one, with space around it if it is not a
// colon: nobody writes a key alone.
func (p *parser) operator(key bool) string {
	start := p.at
	if p.space(); !key || p.at > start && p.at < len(p.text) && p.text[p.at] == ':' {
		p.at = start
		return ""
	}
	for _, op := range comparisons {
		if strings.HasPrefix(string(p.text[p.at:min(p.at+2, len(p.text))]), op) {
			p.at += len(op)
			return op
		}
	}
	p.at = start
	return ""
}

// content is what is looked for in events themselves.
func (p *parser) content(start int, not bool, value string) error {
	switch {
	case !p.language.Content:
		return p.bad(start, "content cannot be searched here: write key:value")
	case strings.TrimSpace(value) == "":
		return p.bad(start, "there is nothing in the quotes")
	}
	p.query.Terms = append(p.query.Terms, Term{Not: not, Values: []Pattern{Pattern(value)}})
	return nil
}

// compared reads what follows a key.
func (p *parser) compared(start int, not bool, name, op string) error {
	if strings.EqualFold(name, "cel") && p.language.Content {
		return p.cel(start, not, op)
	}
	key, ok := p.language.key(name)
	if !ok {
		return p.bad(start, "%s", p.language.unknown(name))
	}
	if op != ":" {
		p.space()
	}
	if key.Kind == Time {
		return p.bound(start, not, key, op)
	}
	switch op {
	case "!=":
		not = !not
	case ":", "=":
	default:
		return p.bad(start, "%s has no order: %s does not apply to it", key.Name, op)
	}
	t := Term{Key: key.Name, Not: not}
	for {
		at := p.at
		value, err := p.value(key.Name)
		if err != nil {
			return err
		}
		if key.Kind == Word {
			if value, err = p.known(at, key, value); err != nil {
				return err
			}
		}
		t.Values = append(t.Values, Pattern(value))
		if p.at == len(p.text) || p.text[p.at] != ',' {
			break
		}
		p.at++
	}
	p.query.Terms = append(p.query.Terms, t)
	return nil
}

// known answers a value as the key has it.
func (p *parser) known(at int, key Key, value string) (string, error) {
	i := slices.IndexFunc(key.Values, func(v string) bool { return strings.EqualFold(v, value) })
	if i < 0 {
		return "", p.bad(at, "%s is never %q%s", key.Name, shortened(value), suggestion(strings.ToLower(value), key.Values))
	}
	return key.Values[i], nil
}

// cel takes the rest of the line.
func (p *parser) cel(start int, not bool, op string) error {
	if not || op != ":" {
		return p.bad(start, "write cel: and the expression behind it")
	}
	p.query.CEL = strings.TrimSpace(string(p.text[p.at:]))
	p.at = len(p.text)
	if p.query.CEL == "" {
		return p.bad(start, "an expression must follow cel:")
	}
	return nil
}

// value reads a value: in quotes, or up to a space or a comma.
func (p *parser) value(key string) (string, error) {
	if p.at < len(p.text) && p.text[p.at] == '"' {
		return p.quoted()
	}
	start := p.at
	for p.at < len(p.text) && !unicode.IsSpace(p.text[p.at]) && p.text[p.at] != ',' && p.text[p.at] != '"' {
		p.at++
	}
	if p.at == start {
		return "", p.bad(start, "a value must follow %s", key)
	}
	return string(p.text[start:p.at]), nil
}

// quoted reads what is in quotes. A backslash stands before a quote or a backslash.
func (p *parser) quoted() (string, error) {
	start := p.at
	var out []rune
	for p.at++; p.at < len(p.text); p.at++ {
		switch r := p.text[p.at]; {
		case r == '"':
			p.at++
			return string(out), nil
		case r == '\\' && p.at+1 < len(p.text) && strings.ContainsRune(`"\`, p.text[p.at+1]):
			p.at++
			out = append(out, p.text[p.at])
		default:
			out = append(out, r)
		}
	}
	return "", p.bad(start, "the quote is not closed")
}

// bound reads a time. `after` and `before` say which bound by their name; other keys
// by the comparison.
func (p *parser) bound(start int, not bool, key Key, op string) error {
	at := p.at
	value, err := p.value(key.Name)
	if err != nil {
		return err
	}
	t, err := p.moment(at, value)
	if err != nil {
		return err
	}
	if not {
		return p.bad(start, "a time cannot be negated: before:, after:")
	}
	switch named := key.Name == "after" || key.Name == "before"; {
	case named && op != ":" && op != "=":
		return p.bad(start, "write %s:%s", key.Name, value)
	case !named && (op == ":" || op == "=" || op == "!="):
		return p.bad(start, "%s is a time: compare it with >, >=, < or <=, or write after: and before:", key.Name)
	case key.Name == "after" || op == ">=":
		p.query.After = later(p.query.After, t)
	case op == ">":
		p.query.After = later(p.query.After, t.Add(1))
	case op == "<=":
		p.query.Before = sooner(p.query.Before, t.Add(1))
	default:
		p.query.Before = sooner(p.query.Before, t)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// layouts of a time. Without a zone it is UTC.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// moment reads a time, or how long ago it was.
func (p *parser) moment(at int, value string) (time.Time, error) {
	if strings.EqualFold(value, "now") {
		return p.now, nil
	}
	if ago, ok := duration(value); ok {
		return later(time.Unix(0, 0), p.now.Add(-ago)), nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, value); err == nil {
			if y := t.Year(); y < 1970 || y > 2200 {
				break
			}
			return t, nil
		}
	}
	return time.Time{}, p.bad(at, "%q is no time: write how long ago, as 90s, 2h or 3d, or 2026-11-28, or 2026-11-28T09:00:00Z", shortened(value))
}

// shortened bounds what is quoted of what was given.
func shortened(value string) string {
	if runes := []rune(value); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return value
}

// duration reads days and weeks beside what Go does.
func duration(value string) (time.Duration, bool) {
	for unit, each := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if digits, ok := strings.CutSuffix(value, unit); ok {
			n, err := strconv.ParseUint(digits, 10, 16)
			return time.Duration(n) * each, err == nil
		}
	}
	d, err := time.ParseDuration(value)
	return d, err == nil && d >= 0
}
