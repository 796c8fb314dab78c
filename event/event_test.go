package event_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func TestSplitType(t *testing.T) {
	for typ, want := range map[string][2]string{
		"signature_request.done":         {"signature_request", "done"},
		"verification.bank_account.done": {"verification.bank_account", "done"},
		"SIGNER":                         {"SIGNER", ""},
		"odd.":                           {"odd", ""},
	} {
		topic, action := event.SplitType(typ)
		if topic != want[0] || action != want[1] {
			t.Errorf("%s: %q, %q", typ, topic, action)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"signer.done", []string{"signer.done"}, []string{"signer.done2", "signer", "Signer.done"}},
		{"signer.*", []string{"signer.done", "signer."}, []string{"signer", "xsigner.done"}},
		{"*.done", []string{"signer.done", "verification.company.done"}, []string{"done", "signer.done.x"}},
		{"verification.*.done", []string{"verification.company.done", "verification.a.b.done"}, []string{"verification.done"}},
		{"a*b*c", []string{"abc", "axxbyyc", "abbcc"}, []string{"acb", "ab", "bc"}},
		{"ab*ba", []string{"abba", "abxba"}, []string{"aba"}},
		{"*", []string{"", "anything"}, nil},
		{"**", []string{"", "anything"}, nil},
		{"", []string{""}, []string{"x"}},
	} {
		p := event.CompilePatterns([]string{"never this one", c.pattern})
		for _, s := range c.yes {
			if !p.Match(s) {
				t.Errorf("%q does not match %q", c.pattern, s)
			}
		}
		for _, s := range c.no {
			if p.Match(s) {
				t.Errorf("%q matches %q", c.pattern, s)
			}
		}
	}
	if p := event.CompilePatterns(nil); p.Match("") || !p.Empty() {
		t.Error("no pattern matches something")
	}
}

// FuzzPatterns holds the matcher against a regular expression.
func FuzzPatterns(f *testing.F) {
	f.Add("a*b", "aab")
	f.Add("*.done", "x.done")
	f.Add("a*a*a", "aaaa")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		re, err := regexp.Compile(`(?s)\A` + strings.Join(parts, ".*") + `\z`)
		if err != nil || strings.ToValidUTF8(pattern, "") != pattern || strings.ToValidUTF8(s, "") != s {
			t.Skip()
		}
		// One that ends with a dot is also that of a type without an action.
		want := re.MatchString(s) || len(parts) == 1 && s != "" && s+"." == pattern
		if got := event.CompilePatterns([]string{pattern}).Match(s); got != want {
			t.Errorf("%q on %q: %v, the expression says %v", pattern, s, got, want)
		}
	})
}

func TestCursorRoundTrip(t *testing.T) {
	for _, c := range []event.Cursor{
		{},
		{Incarnation: 0xdeadbeef, Seq: 1, Time: time.Unix(1772439061, 123456789)},
		{Incarnation: 1, Seq: 1<<64 - 1},
	} {
		got, err := event.ParseCursor(c.String())
		if err != nil || got.Incarnation != c.Incarnation || got.Seq != c.Seq || !got.Time.Equal(c.Time) {
			t.Errorf("%+v came back as %+v, %v", c, got, err)
		}
		if string(c.AppendTo([]byte("x"))) != "x"+c.String() {
			t.Error("AppendTo and String differ")
		}
	}
}

// A cursor with any character changed, or one missing, is refused: it would
// name another place.
func TestCursorAltered(t *testing.T) {
	s := event.Cursor{Incarnation: 7, Seq: 123456, Time: time.Unix(1772439061, 5)}.String()
	for i := range s {
		for _, c := range "Ab0_" {
			altered := s[:i] + string(c) + s[i+1:]
			if _, err := event.ParseCursor(altered); altered != s && err == nil {
				t.Errorf("%s was taken for a cursor", altered)
			}
		}
		if _, err := event.ParseCursor(s[:i]); err == nil {
			t.Errorf("%s was taken for a cursor", s[:i])
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(event.Cursor{Incarnation: 7, Seq: 9, Time: time.Unix(1, 2)}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := event.ParseCursor(s)
		if err == nil && c.String() != s {
			t.Errorf("%q parses, and is written as %q", s, c.String())
		}
	})
}

func TestName(t *testing.T) {
	name := event.Name(0x01020304, 42)
	inc, seq, err := event.ParseName(name)
	if err != nil || inc != 0x01020304 || seq != 42 {
		t.Errorf("%s: %v, %d, %v", name, inc, seq, err)
	}
	if !regexp.MustCompile(`^events/[a-z0-9-]{1,64}$`).MatchString(name) {
		t.Errorf("%s is not what GetEvent takes", name)
	}
	for _, bad := range []string{"", "events/", "event/aebagba-1", "events/aebagba-0", "events/aebagba-01", "events/aebagba-x", "events/-1", "events/aebagba", "events/aebagba-18446744073709551616"} {
		if _, _, err := event.ParseName(bad); err == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
}

func sample() (*hookstreamv1.Event, *hookstreamv1.RawRequest) {
	return &hookstreamv1.Event{
		Source: "sources/billing", Provider: "yousign", Environment: "sandbox",
		Topic: "signer", Action: "done", Type: "signer.done", Entity: "signature_requests/1",
		ReceiveTime:  timestamppb.New(time.Unix(1772439061, 0)),
		Verification: &hookstreamv1.Verification{State: hookstreamv1.Verification_STATE_VERIFIED},
		Proof: &hookstreamv1.Proof{
			Headers:        []*hookstreamv1.Proof_Line{{Name: "X-Yousign-Signature-256", Value: "sha256=00"}, {Name: "X", BinaryValue: []byte{0xff}}},
			KeyFingerprint: "0123456789abcdef", Salt: bytes.Repeat([]byte{7}, 16),
		},
	}, &hookstreamv1.RawRequest{
		Headers:     []*hookstreamv1.RawRequest_Header{{Name: "X-Yousign-Retry", Value: "0"}},
		Body:        []byte(`{"event_name":"signer.done"}`),
		ContentType: "application/json",
	}
}

func TestRecordPieces(t *testing.T) {
	e, raw := sample()
	data, err := event.Encode(e, raw)
	if err != nil {
		t.Fatal(err)
	}
	p, err := event.Split(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, got, want string }{
		{"source", string(p.Source), e.Source},
		{"provider", string(p.Provider), e.Provider},
		{"environment", string(p.Environment), e.Environment},
		{"topic", string(p.Topic), e.Topic},
		{"action", string(p.Action), e.Action},
		{"type", string(p.Type), e.Type},
		{"body", string(p.Body()), string(raw.Body)},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.what, c.got, c.want)
		}
	}
	got, err := event.Decode(3, event.Record{Seq: 9, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	want := proto.Clone(e).(*hookstreamv1.Event)
	want.Name, want.Raw = event.Name(3, 9), raw
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	meta := new(hookstreamv1.Event)
	if err := proto.Unmarshal(p.Meta, meta); err != nil {
		t.Fatal(err)
	}
	proof := meta
	proof.Proof = nil
	if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(p.Proof, proof); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, meta, protocmp.Transform()); diff != "" {
		t.Errorf("the metadata and the proof alone: %s", diff)
	}
}

func TestEncodeRefusesDerivedFields(t *testing.T) {
	if _, err := event.Encode(&hookstreamv1.Event{Name: "events/x-1"}, nil); err == nil {
		t.Error("a name was kept")
	}
	if _, err := event.Encode(&hookstreamv1.Event{Payload: &hookstreamv1.Event_Yousign{}}, nil); err == nil {
		t.Error("a payload was kept")
	}
}

// FuzzSplit: any bytes are taken apart without harm, and what is an event is
// taken apart without loss.
func FuzzSplit(f *testing.F) {
	e, raw := sample()
	data, _ := event.Encode(e, raw)
	f.Add(data)
	f.Add([]byte{0xf2, 0x01, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := event.Split(data)
		if err != nil {
			return
		}
		if n := len(p.Meta) + len(p.Raw) + len(p.Proof); n > len(data) {
			t.Errorf("%d bytes became %d", len(data), n)
		}
		p.Body()
	})
}
