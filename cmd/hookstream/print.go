package main

import (
	"bufio"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A deliveryPrinter prints events one by one. Nothing need be seen before flush.
type deliveryPrinter interface {
	print(*hookstreamv1.Delivery) error
	flush() error
}

// newBuffered spares a system call for every event of a batch.
func newBuffered(w io.Writer) *bufio.Writer { return bufio.NewWriterSize(w, 64<<10) }

// A jsonPrinter prints a delivery a line, as REST would.
type jsonPrinter struct{ out *bufio.Writer }

func (p *jsonPrinter) print(d *hookstreamv1.Delivery) error { return writeJSONLine(p.out, d) }
func (p *jsonPrinter) flush() error                         { return p.out.Flush() }

// A linePrinter prints an event a line, for people.
type linePrinter struct {
	out   *bufio.Writer
	style style
	now   func() time.Time // time.Now when nil
	short bool             // shows the beginning of long ids only, and no names
	width int              // of the terminal, into which lines are made to fit; 0: no bound

	// The columns' widths so far.
	sourceWidth, typeWidth, nameWidth int
}

func (p *linePrinter) flush() error { return p.out.Flush() }

func (p *linePrinter) print(d *hookstreamv1.Delivery) error {
	e := d.GetEvent()
	source := oneLine(strings.TrimPrefix(e.GetSource(), "sources/"))
	typ := oneLine(e.GetType())
	// Columns grow with what is seen and never shrink, so that lines stay even.
	p.sourceWidth = max(p.sourceWidth, utf8.RuneCountInString(source))
	p.typeWidth = max(p.typeWidth, utf8.RuneCountInString(typ))
	clock, entity, notes := p.clock(e), p.entity(e), notes(e)
	facts := oneLine(strings.Join(facts(e), " · "))
	left := p.width - runes(clock) - p.sourceWidth - p.typeWidth - runes("  ✓  ") - len("    ")
	if notes != "" {
		left -= runes(notes) + len("  ")
	}
	name, left := p.name(e, left)
	entity, facts = p.fit(entity, facts, left)
	columns := []string{
		p.style.dim(clock),
		p.mark(e),
		pad(source, p.sourceWidth),
		p.style.bold(pad(typ, p.typeWidth)),
	}
	if name != "" {
		columns = append(columns, p.style.dim(name))
	}
	columns = append(columns, p.style.dim(entity))
	if facts != "" {
		columns = append(columns, facts)
	}
	if notes != "" {
		columns = append(columns, p.style.warn(notes))
	}
	_, err := p.out.WriteString(strings.TrimRight(strings.Join(columns, "  "), " ") + "\n")
	return err
}

// name is what `hookstream events get` takes, and what is left of the line then. It
// is not shortened: half a name leads nowhere.
func (p *linePrinter) name(e *hookstreamv1.Event, left int) (string, int) {
	name := oneLine(e.GetName())
	p.nameWidth = max(p.nameWidth, runes(name))
	rest := left - p.nameWidth - len("  ")
	if p.short || name == "" || p.width > 0 && rest < leastEntity {
		return "", left
	}
	return pad(name, p.nameWidth), rest
}

// leastEntity is the room below which an entity's kind cannot be told.
const leastEntity = 8

// fit shortens what is least missed until both go into what is left of a line: the
// facts, which the event has in full, then the entity. What is out of the ordinary
// is never shortened.
func (p *linePrinter) fit(entity, facts string, left int) (string, string) {
	if p.width <= 0 {
		return entity, facts
	}
	room := left - runes(entity) - len("  ")
	if room < leastFacts {
		return shorten(entity, max(left, 1)), ""
	}
	return entity, shorten(facts, room)
}

// leastFacts is the room below which facts say nothing.
const leastFacts = 8

func shorten(s string, width int) string {
	if runes(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

func runes(s string) int { return utf8.RuneCountInString(s) }

// clock is when the event was received, with the date unless that is today.
func (p *linePrinter) clock(e *hookstreamv1.Event) string {
	now := time.Now
	if p.now != nil {
		now = p.now
	}
	received := e.GetReceiveTime().AsTime().Local()
	if received.Format(time.DateOnly) == now().Format(time.DateOnly) {
		return received.Format("15:04:05.000")
	}
	return received.Format("2006-01-02 15:04:05.000")
}

func (p *linePrinter) entity(e *hookstreamv1.Event) string {
	kind, id, ok := strings.Cut(oneLine(e.GetEntity()), "/")
	if runes := []rune(id); p.short && ok && len(runes) > shownID+1 {
		return kind + "/" + string(runes[:shownID]) + "…"
	}
	return oneLine(e.GetEntity())
}

// shownID is how much of an id tells it from its neighbours.
const shownID = 8

// mark is how the origin of the event was proved, in one character.
func (p *linePrinter) mark(e *hookstreamv1.Event) string {
	switch e.GetVerification().GetState() {
	case hookstreamv1.Verification_STATE_VERIFIED, hookstreamv1.Verification_STATE_VERIFIED_AFTER_AMBIGUOUS_ATTEMPT:
		return p.style.good("✓")
	case hookstreamv1.Verification_STATE_FAILED:
		return p.style.bad("✗")
	}
	return p.style.bad("?")
}

// notes say what is out of the ordinary about an event.
func notes(e *hookstreamv1.Event) string {
	var notes []string
	switch v := e.GetVerification(); v.GetState() {
	case hookstreamv1.Verification_STATE_VERIFIED:
	case hookstreamv1.Verification_STATE_VERIFIED_AFTER_AMBIGUOUS_ATTEMPT:
		notes = append(notes, "verified after a lost answer")
	case hookstreamv1.Verification_STATE_FAILED:
		notes = append(notes, "NOT GENUINE: "+oneLine(v.GetReason()))
	default:
		notes = append(notes, "not known to be genuine")
	}
	switch e.GetDecodeState() {
	case hookstreamv1.DecodeState_DECODE_STATE_UNKNOWN_TYPE:
		notes = append(notes, "type not known to the gateway")
	case hookstreamv1.DecodeState_DECODE_STATE_FAILED:
		notes = append(notes, "body not as documented")
	}
	if omitted := e.GetOmittedFields(); len(omitted) > 0 {
		notes = append(notes, "too large to show: "+oneLine(strings.Join(omitted, " ")))
	}
	if e.GetPossibleDuplicateOf() != "" {
		notes = append(notes, "perhaps the same as "+oneLine(e.GetPossibleDuplicateOf()))
	}
	return strings.Join(notes, "; ")
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// style says whether colours are used.
type style bool

func (s style) dim(text string) string  { return s.paint("2", text) }
func (s style) bold(text string) string { return s.paint("1", text) }
func (s style) good(text string) string { return s.paint("32", text) }
func (s style) warn(text string) string { return s.paint("33", text) }
func (s style) bad(text string) string  { return s.paint("1;31", text) }

func (s style) paint(code, text string) string {
	if !s || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
