package hub

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/memlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
)

const secretBody = `{"eventId": "e1", "signer": {"id": "s1", "signatureLink": "https://secret"}, "rest": {"signature_link": "x", "kept": "y"}}`

var views = []hookstreamv1.EventView{
	hookstreamv1.EventView_EVENT_VIEW_METADATA, hookstreamv1.EventView_EVENT_VIEW_TYPED,
	hookstreamv1.EventView_EVENT_VIEW_RAW, hookstreamv1.EventView_EVENT_VIEW_FULL,
}

// allOrNone answers all kinds that there are, or none.
func allOrNone(open bool) event.Kinds {
	if open {
		return event.AllKinds
	}
	return 0
}

// straightforward builds what a view shows of an event, field by field.
func straightforward(t *testing.T, rec event.Record, view hookstreamv1.EventView, open bool) *hookstreamv1.Event {
	t.Helper()
	e, err := event.Decode(testIncarnation, rec)
	if err != nil {
		t.Fatal(err)
	}
	raw, proof := e.Raw, e.Proof
	e.Raw, e.Proof = nil, nil
	if view == hookstreamv1.EventView_EVENT_VIEW_TYPED || view == hookstreamv1.EventView_EVENT_VIEW_FULL {
		e.DecodeState = hookstreamv1.DecodeState_DECODE_STATE_FAILED
		m := new(yousignv1.Event)
		if e.Provider == "yousign" && protojson.Unmarshal(raw.GetBody(), m) == nil {
			e.DecodeState = hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
			if !open {
				for _, path := range event.Redact(m, 0) {
					e.RedactedFields = append(e.RedactedFields, "yousign."+path)
				}
			}
			e.Payload = &hookstreamv1.Event_Yousign{Yousign: m}
		}
	}
	if view == hookstreamv1.EventView_EVENT_VIEW_RAW || view == hookstreamv1.EventView_EVENT_VIEW_FULL {
		if open {
			e.Raw = raw
			if view == hookstreamv1.EventView_EVENT_VIEW_FULL {
				e.Proof = proof
			}
		} else {
			if raw != nil {
				e.RedactedFields = append(e.RedactedFields, "raw")
			}
			if proof != nil && view == hookstreamv1.EventView_EVENT_VIEW_FULL {
				e.RedactedFields = append(e.RedactedFields, "proof")
			}
		}
	}
	return e
}

func records(t *testing.T, l *memlog.Log) []event.Record {
	t.Helper()
	recs, err := l.Read(context.Background(), 1, 1000, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func TestFramesAreTheMessages(t *testing.T) {
	l := newLog()
	put(t, l,
		sample{body: secretBody}, sample{body: "{}"}, sample{body: "not json"}, sample{body: ""},
		sample{body: secretBody, provider: "future"}, sample{noRaw: true}, sample{body: secretBody, environment: "é"},
	)
	h := newHub(t, l)
	redacted := 0
	for _, rec := range records(t, l) {
		for _, view := range views {
			for _, open := range []bool{true, false} {
				want := straightforward(t, rec, view, open)
				redacted += len(want.RedactedFields)
				delivery := &hookstreamv1.Delivery{
					Cursor: event.Cursor{Incarnation: testIncarnation, Seq: rec.Seq, Time: rec.Time}.String(), Event: want,
				}
				f := h.framed(h.newEntry(rec, nil), formOf(view, allOrNone(open))).ReadOnlyData()
				got := new(hookstreamv1.DeliveryBatch)
				if err := proto.Unmarshal(f, got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(&hookstreamv1.DeliveryBatch{Deliveries: []*hookstreamv1.Delivery{delivery}}, got, protocmp.Transform()); diff != "" {
					t.Errorf("record %d, %s, open %v:\n%s", rec.Seq, view, open, diff)
				}
				// Map order aside, it is as long as what the generated code makes.
				if n := proto.Size(got); n != len(f) {
					t.Errorf("record %d, %s: %d bytes, want %d", rec.Seq, view, len(f), n)
				}
			}
		}
	}
	if redacted == 0 {
		t.Error("nothing was redacted: the samples hold no secret")
	}
}

// Frames of a decoder that writes payloads itself show what its messages show.
func TestFramesOfAnEncodingDecoder(t *testing.T) {
	l := newLog()
	put(t, l, sample{body: secretBody}, sample{body: "{}"}, sample{body: `{"eventId": "` + strings.Repeat("x", 4<<20) + `"}`}, sample{body: `{"eventId": "short"}`})
	decodes, encodes := 0, 0
	decode := func(body []byte) (*yousignv1.Event, hookstreamv1.DecodeState) { decodes++; return decodeTest(body) }
	encode := func(dst, body []byte) ([]byte, hookstreamv1.DecodeState) {
		encodes++
		m, state := decodeTest(body)
		b, err := proto.MarshalOptions{}.MarshalAppend(dst, m)
		if err != nil {
			t.Error(err)
		}
		return b, state
	}
	h := newHub(t, l, func(o *Options) { o.Decoders["yousign"] = provider.NewDecoder(decode, matchTest).Encoding(encode) })
	byMessage := newHub(t, l)
	kept := make(map[*entry][]byte)
	for _, rec := range records(t, l) {
		for _, view := range views {
			for _, open := range []bool{true, false} {
				e := h.newEntry(rec, nil)
				kept[e] = bytes.Clone(h.framed(e, formOf(view, allOrNone(open))).ReadOnlyData())
				got, want := new(hookstreamv1.DeliveryBatch), new(hookstreamv1.DeliveryBatch)
				if err := proto.Unmarshal(kept[e], got); err != nil {
					t.Fatal(err)
				}
				if err := proto.Unmarshal(byMessage.framed(byMessage.newEntry(rec, nil), formOf(view, allOrNone(open))).ReadOnlyData(), want); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
					t.Errorf("record %d, %s, open %v:\n%s", rec.Seq, view, open, diff)
				}
			}
		}
	}
	for e, frame := range kept { // the room in which its payload was written has been used again
		for f := range formCount {
			if b := e.forms[f].Load(); b != nil && !bytes.Equal((*b).ReadOnlyData(), frame) {
				t.Errorf("a frame of record %d changed", e.seq)
			}
		}
	}
	// Of the eight forms of an event four have a payload; of those of an event with
	// content that has no schema, two are redacted as messages.
	if n := 4 * len(records(t, l)); decodes != 2 || encodes != n {
		t.Errorf("%d decoded and %d encoded, want 2 and %d", decodes, encodes, n)
	}
}

func TestFramesAreMadeOnce(t *testing.T) {
	l := newLog()
	put(t, l, sample{body: secretBody})
	h := newHub(t, l)
	e := h.newEntry(records(t, l)[0], nil)
	for f := range formCount {
		if a, b := h.framed(e, f).ReadOnlyData(), h.framed(e, f).ReadOnlyData(); &a[0] != &b[0] {
			t.Errorf("form %d was made twice", f)
		}
	}
	for name, message := range map[string]func() *hookstreamv1.Event{
		"whole": func() *hookstreamv1.Event { return h.messageOf(e, event.AllKinds) },
		"plain": func() *hookstreamv1.Event { return h.plainOf(e) },
	} {
		if a, b := message(), message(); a != b {
			t.Errorf("the %s message was made twice", name)
		}
	}
}

// The switch of a source is in force for events that were framed before.
func TestSwitchIsNoticed(t *testing.T) {
	l := newLog()
	open := true
	h := running(t, newHub(t, l, func(o *Options) { o.Sensitive = func(string) event.Kinds { return allOrNone(open) } }))
	put(t, l, sample{body: secretBody})
	for _, want := range []bool{true, false, true} {
		open = want
		for _, view := range views {
			fs, err := read(t, h, request(t, h, earliest, atHead, func(r *Request) { r.View = view; r.Selector = selector(t, h, nil) })).end()
			if view == hookstreamv1.EventView_EVENT_VIEW_RAW || view == hookstreamv1.EventView_EVENT_VIEW_FULL {
				if (err == nil) != want {
					t.Errorf("%s with the switch %v: %v", view, want, err)
				}
				if err != nil {
					continue
				}
			}
			if diff := cmp.Diff(straightforward(t, records(t, l)[0], view, want), fs[1].deliveries[0].Event, protocmp.Transform()); diff != "" {
				t.Errorf("%s with the switch %v:\n%s", view, want, diff)
			}
		}
	}
}

// It is in force for the next event of a stream that was open before.
func TestSwitchIsNoticedInAnOpenStream(t *testing.T) {
	l := newLog()
	var open atomic.Bool
	h := running(t, newHub(t, l, func(o *Options) { o.Sensitive = func(string) event.Kinds { return allOrNone(open.Load()) } }))
	r := read(t, h, request(t, h, func(r *Request) { r.View = hookstreamv1.EventView_EVENT_VIEW_TYPED }))
	r.until("live", func(fs []got) bool { return len(fs) == 2 })
	for n, want := range []bool{false, true, false} {
		open.Store(want)
		put(t, l, sample{body: secretBody})
		fs := r.until("the event", func(fs []got) bool { return len(seqsOf(t, fs)) == n+1 })
		e := fs[len(fs)-1].deliveries[0].Event
		if shown := e.GetYousign().GetSigner().GetSignatureLink() != ""; shown != want {
			t.Errorf("with the switch %v: %v", want, e)
		}
	}
}

// A source without the switch that turns up in an open RAW stream shows nothing.
func TestWithheldInAnOpenStream(t *testing.T) {
	l := newLog()
	h := running(t, newHub(t, l))
	r := read(t, h, request(t, h, func(r *Request) { r.View = hookstreamv1.EventView_EVENT_VIEW_FULL }))
	r.until("opened", func(fs []got) bool { return len(fs) > 0 })
	put(t, l, sample{source: "closed", body: secretBody}, sample{body: secretBody})
	fs := r.until("both", func(fs []got) bool { return len(seqsOf(t, fs)) == 2 })
	var events []*hookstreamv1.Event
	for _, f := range fs {
		for _, d := range f.deliveries {
			events = append(events, d.Event)
		}
	}
	if e := events[0]; e.Raw != nil || bytes.Contains([]byte(e.String()), []byte("secret")) ||
		!cmp.Equal(e.RedactedFields, []string{"yousign.signer.signature_link", "yousign.rest.signature_link", "raw", "proof"}) {
		t.Errorf("a source without the switch: %v", e)
	}
	if e := events[1]; e.Raw == nil || len(e.RedactedFields) != 0 || e.GetYousign().GetSigner().GetSignatureLink() == "" {
		t.Errorf("a source with the switch: %v", e)
	}
}

func TestViewNeedsTheSwitch(t *testing.T) {
	h := running(t, newHub(t, newLog(), func(o *Options) {
		o.Sources = func() []string { return []string{"sources/open", "sources/closed"} }
	}))
	for _, c := range []struct {
		sources []string
		ok      bool
	}{{nil, false}, {[]string{"open"}, true}, {[]string{"open", "sources/closed"}, false}, {[]string{"nowhere"}, false}} {
		r := request(t, h, earliest, atHead, func(r *Request) {
			r.View = hookstreamv1.EventView_EVENT_VIEW_RAW
			r.Selector = selector(t, h, &hookstreamv1.EventSelector{Sources: c.sources})
		})
		err := h.Stream(t.Context(), r, func(Frame) error { return nil })
		if withheld := errors.As(err, new(*WithheldError)); withheld == c.ok || c.ok != (err == nil) {
			t.Errorf("RAW of %v: %v", c.sources, err)
		}
	}
}

// What would be too large to be received is sent without what makes it so, and that
// is told apart from what is withheld and from what could not be decoded, in every
// form.
func TestTooLargeToSend(t *testing.T) {
	large, failed := strings.Repeat("x", 4<<20), hookstreamv1.DecodeState_DECODE_STATE_FAILED
	secret := `{"signer": {"signatureLink": "https://secret"}, "eventId": "`
	l := newLog()
	put(t, l,
		sample{body: `{"eventId": "` + strings.Repeat("x", 2<<20) + `"}`},
		sample{body: secret + large + `"}`},
		sample{source: "closed", body: secret + large + `"}`},
		sample{body: large},
		sample{source: "closed", body: large},
		sample{source: "closed", body: secret + `"}`},
	)
	h, all := newHub(t, l), records(t, l)
	const typed, raw, full = hookstreamv1.EventView_EVENT_VIEW_TYPED, hookstreamv1.EventView_EVENT_VIEW_RAW, hookstreamv1.EventView_EVENT_VIEW_FULL
	none, complete := hookstreamv1.DecodeState_DECODE_STATE_UNSPECIFIED, hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
	for _, c := range []struct {
		record            int
		view              hookstreamv1.EventView
		state             hookstreamv1.DecodeState
		omitted, redacted []string
	}{
		{0, typed, complete, nil, nil},
		{0, raw, none, nil, nil},
		{0, full, complete, []string{"yousign"}, nil},
		{1, typed, complete, []string{"yousign"}, nil},
		{1, raw, none, []string{"raw"}, nil},
		{1, full, complete, []string{"yousign", "raw", "proof"}, nil},
		{2, typed, complete, []string{"yousign"}, nil},
		{2, raw, none, nil, []string{"raw"}},
		{2, full, complete, []string{"yousign"}, []string{"raw", "proof"}},
		{3, typed, failed, nil, nil},
		{3, raw, none, []string{"raw"}, nil},
		{3, full, failed, []string{"raw", "proof"}, nil},
		{4, typed, failed, nil, nil},
		{4, full, failed, nil, []string{"raw", "proof"}},
		{5, typed, complete, nil, []string{"yousign.signer.signature_link"}},
		{5, full, complete, nil, []string{"yousign.signer.signature_link", "raw", "proof"}},
	} {
		e := h.newEntry(all[c.record], nil)
		b := h.framed(e, formOf(c.view, h.opts.Sensitive(e.route.source))).ReadOnlyData()
		batch := new(hookstreamv1.DeliveryBatch)
		if err := proto.Unmarshal(b, batch); err != nil || len(b) > 3<<20 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		got := batch.Deliveries[0].Event
		if got.DecodeState != c.state {
			t.Errorf("record %d, %s: %s, want %s", c.record, c.view, got.DecodeState, c.state)
		}
		if diff := cmp.Diff([][]string{c.omitted, c.redacted}, [][]string{got.OmittedFields, got.RedactedFields}); diff != "" {
			t.Errorf("record %d, %s, omitted and redacted (-want +got):\n%s", c.record, c.view, diff)
		}
	}
}

func TestDecoderPanicIsOneEventsMisfortune(t *testing.T) {
	l := newLog()
	h := running(t, newHub(t, l))
	put(t, l, sample{body: "panic"}, sample{body: "{}"})
	fs, err := read(t, h, request(t, h, earliest, atHead, func(r *Request) { r.View = hookstreamv1.EventView_EVENT_VIEW_TYPED })).end()
	if err != nil || len(seqsOf(t, fs)) != 2 || h.Stats().DecodeFailures != 1 {
		t.Errorf("%v, %v, %+v", kinds(fs), err, h.Stats())
	}
}

func TestEncoderPanicIsOneEventsMisfortune(t *testing.T) {
	l := newLog()
	put(t, l, sample{body: "panic"})
	h := newHub(t, l, func(o *Options) {
		o.Decoders["yousign"] = provider.NewDecoder(decodeTest, matchTest).Encoding(func(dst, _ []byte) ([]byte, hookstreamv1.DecodeState) {
			panic(append(dst, "half"...))
		})
	})
	got := new(hookstreamv1.DeliveryBatch)
	if err := proto.Unmarshal(h.framed(h.newEntry(records(t, l)[0], nil), formTyped).ReadOnlyData(), got); err != nil {
		t.Fatal(err)
	}
	if e := got.Deliveries[0].Event; e.Payload != nil || e.DecodeState != hookstreamv1.DecodeState_DECODE_STATE_FAILED || h.Stats().DecodeFailures != 1 {
		t.Errorf("%v, %+v", e, h.Stats())
	}
}

// A record that is no event is a hole of one, also what the log has nothing of to show:
// streams are told, from the log and from the ring, also those that wait for something
// else.
func TestBrokenRecordIsAGapOfOne(t *testing.T) {
	for name, data := range map[string][]byte{"no message": {0xff}, "of no known form": nil} {
		t.Run(name, func(t *testing.T) { checkGapOfOne(t, data) })
	}
}

func checkGapOfOne(t *testing.T, data []byte) {
	l := newLog()
	h := running(t, newHub(t, l))
	last := put(t, l, sample{})
	waiting := read(t, h, request(t, h, earliest, func(r *Request) {
		r.Selector = selector(t, h, &hookstreamv1.EventSelector{Sources: []string{"nobody"}})
	}))
	waiting.until("the head", func(fs []got) bool { return len(fs) > 1 })
	if _, err := l.Append(t.Context(), brokenEntry(data)); err != nil {
		t.Fatal(err)
	}
	waiting.until("the gap", func(fs []got) bool { return missedIn(fs) == 1 })
	put(t, l, sample{})
	for _, ring := range []int{1, 100} {
		h := running(t, newHub(t, l, func(o *Options) { o.RingEvents = ring }))
		fs, err := read(t, h, request(t, h, earliest, atHead)).end()
		if diff := cmp.Diff([]uint64{last, last + 2}, seqsOf(t, fs)); err != nil || diff != "" || h.Stats().BrokenRecords == 0 {
			t.Errorf("%v, %s", err, diff)
		}
		if n := missedIn(fs); n != 1 {
			t.Errorf("ring of %d: told of %d, want 1", ring, n)
		}
	}
}

func missedIn(fs []got) (n int64) {
	for _, f := range fs {
		if g, ok := f.message.(*hookstreamv1.Gap); ok {
			n += g.MissedEvents
		}
	}
	return n
}

func TestGet(t *testing.T) {
	l := newLog()
	put(t, l, sample{body: secretBody}, sample{source: "closed", body: secretBody})
	h := running(t, newHub(t, l))
	put(t, l, sample{body: secretBody}) // in the ring
	for _, rec := range records(t, l) {
		open := rec.Seq != 2
		for _, view := range views {
			got, err := h.Get(t.Context(), event.Name(testIncarnation, rec.Seq), view)
			if errors.As(err, new(*WithheldError)) {
				if open || view == hookstreamv1.EventView_EVENT_VIEW_METADATA || view == hookstreamv1.EventView_EVENT_VIEW_TYPED {
					t.Errorf("%s of %d was withheld", view, rec.Seq)
				}
				continue
			}
			if diff := cmp.Diff(straightforward(t, rec, view, open), got, protocmp.Transform()); err != nil || diff != "" {
				t.Errorf("%s of %d: %v\n%s", view, rec.Seq, err, diff)
			}
			if view > hookstreamv1.EventView_EVENT_VIEW_TYPED && !open {
				t.Errorf("%s of %d was not withheld", view, rec.Seq)
			}
		}
	}
}
