package main

import (
	"bufio"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
)

// lines prints events as tail does.
func lines(t *testing.T, colours style, events ...*hookstreamv1.Event) string {
	t.Helper()
	var out strings.Builder
	p := &linePrinter{out: bufio.NewWriter(&out), style: colours, now: func() time.Time { return noon.Local() }}
	for _, e := range events {
		if err := p.print(&hookstreamv1.Delivery{Event: e}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func anEvent() *hookstreamv1.Event {
	return &hookstreamv1.Event{
		Source: "sources/billing", Type: "signer.done", Entity: "signature_requests/1",
		ReceiveTime:  timestamppb.New(noon.Local()),
		Verification: &hookstreamv1.Verification{State: hookstreamv1.Verification_STATE_VERIFIED},
	}
}

func TestLineOfAnEvent(t *testing.T) {
	older, longer := anEvent(), anEvent()
	older.ReceiveTime = timestamppb.New(noon.Add(-48 * time.Hour))
	longer.Type = "signature_request.done"
	clock := noon.Local().Format("15:04:05.000")
	date := noon.Add(-48 * time.Hour).Local().Format("2006-01-02 15:04:05.000")
	want := clock + "  ✓  billing  signer.done  signature_requests/1\n" +
		clock + "  ✓  billing  signature_request.done  signature_requests/1\n" +
		date + "  ✓  billing  signer.done             signature_requests/1\n"
	if got := lines(t, false, anEvent(), longer, older); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// What is not proved is never shown like what is.
func TestLineTellsWhatIsNotGenuine(t *testing.T) {
	for state, want := range map[hookstreamv1.Verification_State]string{
		hookstreamv1.Verification_STATE_FAILED:                           "  ✗  billing  signer.done  signature_requests/1  NOT GENUINE: signature_mismatch\n",
		hookstreamv1.Verification_STATE_UNSPECIFIED:                      "  ?  billing  signer.done  signature_requests/1  not known to be genuine\n",
		hookstreamv1.Verification_STATE_VERIFIED_AFTER_AMBIGUOUS_ATTEMPT: "  ✓  billing  signer.done  signature_requests/1  verified after a lost answer\n",
	} {
		e := anEvent()
		e.Verification = &hookstreamv1.Verification{State: state, Reason: "signature_mismatch"}
		if got := lines(t, false, e); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What is too large to be shown is not called undocumented.
func TestLineTellsWhatIsTooLarge(t *testing.T) {
	large, odd := anEvent(), anEvent()
	large.DecodeState, large.OmittedFields = hookstreamv1.DecodeState_DECODE_STATE_COMPLETE, []string{"yousign", "raw"}
	odd.DecodeState = hookstreamv1.DecodeState_DECODE_STATE_FAILED
	for want, e := range map[string]*hookstreamv1.Event{
		"  signature_requests/1  too large to show: yousign raw\n": large,
		"  signature_requests/1  body not as documented\n":         odd,
	} {
		if got := lines(t, false, e); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A sender's string must not move the cursor, rename the window or begin a line
// of its own.
func TestTerminalEscapesOfSendersAreNotPrinted(t *testing.T) {
	hostile := "x\x1b]0;owned\x07\x1b[2J\ny\u202e"
	e := anEvent()
	e.Type, e.Entity, e.Source, e.PossibleDuplicateOf = hostile, hostile, "sources/"+hostile, hostile
	e.Verification = &hookstreamv1.Verification{State: hookstreamv1.Verification_STATE_FAILED, Reason: hostile}
	e.Payload = &hookstreamv1.Event_Yousign{Yousign: &yousignv1.Event{
		SignatureRequest: &yousignv1.SignatureRequest{StatusRaw: &hostile, Name: &hostile, ExternalId: &hostile},
		Reason:           &hostile,
	}}
	got := lines(t, false, e)
	if strings.ContainsAny(got, "\x1b\x07\u202e") || strings.Count(got, "\n") != 1 {
		t.Errorf("printed %q", got)
	}
}

func TestColoursOnlyOnRequest(t *testing.T) {
	if plain := lines(t, false, anEvent()); strings.Contains(plain, "\x1b") {
		t.Errorf("coloured: %q", plain)
	}
	if got := lines(t, true, anEvent()); !strings.Contains(got, "\x1b[32m✓\x1b[0m") {
		t.Errorf("not coloured: %q", got)
	}
}

// Facts come from the examples of the providers, as they decode.
func TestFacts(t *testing.T) {
	for _, test := range []struct{ provider, typ, want string }{
		{"yousign", "signer.declined", "declined · Zoé Lefèvre · Lease agreement - Flat 12 · lease-2026-00012 · “The rent amount is not the one we agreed on.”"},
		{"yousign", "signature_request.done", "done · Lease agreement - Flat 12 · lease-2026-00012"},
		{"yousign", "verification.identity_document.done", "verified"},
		{"ignisign", "SIGNATURE_PROOF.GENERATED", "contract-2042"},
		{"ignisign", "SIGNATURE.FAILED", "ERROR"},
	} {
		if got := strings.Join(facts(example(t, test.provider, test.typ)), " · "); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s, want %s", test.typ, got, test.want)
		}
	}
}

// Whatever an event holds, its credentials are not among its facts: an event with
// them and one without read the same.
func TestFactsHoldNoCredential(t *testing.T) {
	withheld := 0
	for _, typ := range append(yousign.Catalog(), ignisign.Catalog()...) {
		e := example(t, typ.GetProvider(), typ.GetType())
		open := lines(t, false, e)
		withheld += len(event.Redact(e, 0))
		if redacted := lines(t, false, e); open != redacted {
			t.Errorf("%s shows a credential: %s", typ.GetType(), open)
		}
	}
	if withheld == 0 {
		t.Error("no example holds a credential: nothing was tested")
	}
}

// example is the catalog's example of a type, as an event with nothing withheld.
func example(t *testing.T, provider, typ string) *hookstreamv1.Event {
	t.Helper()
	e := anEvent()
	e.Type = typ
	for _, known := range append(yousign.Catalog(), ignisign.Catalog()...) {
		if known.GetProvider() != provider || known.GetType() != typ {
			continue
		}
		switch provider {
		case "yousign":
			decoded, _ := yousign.Decode([]byte(known.GetExample()))
			e.Payload = &hookstreamv1.Event_Yousign{Yousign: decoded}
		case "ignisign":
			decoded, _ := ignisign.Decode([]byte(known.GetExample()))
			e.Payload = &hookstreamv1.Event_Ignisign{Ignisign: decoded}
		}
		return e
	}
	t.Fatalf("%s has no type %s", provider, typ)
	return nil
}

// A line is no wider than the terminal, whatever an event holds; that it is not
// genuine is said in full all the same.
func TestLinesFitTheTerminal(t *testing.T) {
	long := strings.Repeat("Zoé ", 100)
	e := anEvent()
	e.Entity = "signature_requests/3f1d2c4b-9a5e-4c1b-8d7f-2b6a9e0c4d31"
	e.Payload = &hookstreamv1.Event_Yousign{Yousign: &yousignv1.Event{SignatureRequest: &yousignv1.SignatureRequest{Name: &long}}}
	forged := anEvent()
	forged.Payload = e.Payload
	forged.Verification = &hookstreamv1.Verification{State: hookstreamv1.Verification_STATE_FAILED, Reason: "signature_mismatch"}
	e.Name, forged.Name = "events/h2k4q7a-12", "events/h2k4q7a-13"
	for _, width := range []int{80, 110, 160} {
		var out strings.Builder
		p := &linePrinter{out: bufio.NewWriter(&out), width: width, now: func() time.Time { return noon.Local() }}
		for _, e := range []*hookstreamv1.Event{e, forged} {
			if err := p.print(&hookstreamv1.Delivery{Event: e}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if got := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); got > width {
				t.Errorf("%d columns on a terminal of %d: %s", got, width, line)
			}
		}
		if !strings.Contains(out.String(), "  events/h2k4q7a-12  sign") || width > 110 && !strings.Contains(out.String(), "  events/h2k4q7a-13  sign") {
			t.Errorf("at %d no name: %s", width, out.String())
		}
		if !strings.Contains(out.String(), "NOT GENUINE: signature_mismatch") || width > 110 && !strings.Contains(out.String(), "Zoé") {
			t.Errorf("at %d: %s", width, out.String())
		}
	}
}
