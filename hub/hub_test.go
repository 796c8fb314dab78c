package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
)

const testIncarnation event.Incarnation = 0xfeed

// testDecoders read bodies that are the payload in JSON, and hold the selector's
// scopes against the payload's event ids.
func testDecoders() map[string]provider.Decoder {
	return map[string]provider.Decoder{"yousign": provider.NewDecoder(decodeTest, matchTest)}
}

func decodeTest(body []byte) (*yousignv1.Event, hookstreamv1.DecodeState) {
	if bytes.Equal(body, []byte("panic")) {
		panic("a decoder's bug")
	}
	m := new(yousignv1.Event)
	if err := protojson.Unmarshal(body, m); err != nil {
		return nil, hookstreamv1.DecodeState_DECODE_STATE_FAILED
	}
	return m, hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
}

func matchTest(s *yousignv1.Selector, e *yousignv1.Event) bool {
	return slices.Contains(s.GetScopes(), e.GetEventId())
}

// sample is an event to append; zero fields have defaults.
type sample struct {
	source, provider, environment, topic, action string
	body                                         string
	noRaw                                        bool
}

func (s sample) event() *hookstreamv1.Event {
	or := func(s, d string) string {
		if s == "" {
			return d
		}
		return s
	}
	topic, action := or(s.topic, "signature_request"), or(s.action, "done")
	return &hookstreamv1.Event{
		Source: "sources/" + or(s.source, "open"), Provider: or(s.provider, "yousign"), Environment: or(s.environment, "sandbox"),
		Topic: topic, Action: action, Type: event.JoinType(topic, action), Entity: "signature_requests/1",
		ReceiveTime: timestamppb.New(time.Unix(1_800_000_000, 5)), ProviderAttempt: proto.Int32(2),
		Verification: &hookstreamv1.Verification{State: hookstreamv1.Verification_STATE_VERIFIED, Method: "hmac-sha256"},
		Proof:        &hookstreamv1.Proof{KeyFingerprint: "0123456789abcdef"},
	}
}

func (s sample) encode(t testing.TB) []byte {
	t.Helper()
	raw := &hookstreamv1.RawRequest{
		Headers: []*hookstreamv1.RawRequest_Header{{Name: "X-Yousign-Retry", Value: "2"}}, Body: []byte(s.body), ContentType: "application/json",
	}
	if s.noRaw {
		raw = nil
	}
	data, err := event.Encode(s.event(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var keys atomic.Int64

func put(t testing.TB, l eventlog.Log, samples ...sample) (last uint64) {
	t.Helper()
	for _, s := range samples {
		got, err := l.Append(context.Background(), eventlog.Entry{
			Source: "s", Topic: "t", Action: "a", DedupKey: fmt.Sprint(keys.Add(1)), Data: s.encode(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		last = got.Seq
	}
	return last
}

// numbered makes n events whose bodies tell them apart.
func numbered(n int) []sample {
	out := make([]sample, n)
	for i := range out {
		out[i] = sample{body: fmt.Sprintf(`{"eventId": "%d"}`, i), action: []string{"done", "activated", "expired"}[i%3]}
	}
	return out
}

func newLog() *memlog.Log { return memlog.New(memlog.Options{Incarnation: testIncarnation}) }

// newHub makes a hub that is not running. Sources whose name begins with `open`
// include sensitive fields.
func newHub(t testing.TB, l eventlog.Log, change ...func(*Options)) *Hub {
	t.Helper()
	o := Options{
		Log: l, Decoders: testDecoders(),
		Sensitive: func(source string) event.Kinds {
			return allOrNone(bytes.HasPrefix([]byte(source), []byte("sources/open")))
		},
		Sources: func() []string { return []string{"sources/open"} },
	}
	for _, c := range change {
		c(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// running runs a hub until the test ends.
func running(t testing.TB, h *Hub) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = h.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	<-h.ready
	return h
}

func selector(t testing.TB, h *Hub, in *hookstreamv1.EventSelector) *Selector {
	t.Helper()
	s, err := h.CompileSelector(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(t testing.TB, h *Hub, change ...func(*Request)) Request {
	t.Helper()
	r := Request{
		Selector: selector(t, h, nil), View: hookstreamv1.EventView_EVENT_VIEW_METADATA,
		BatchEvents: 256, BatchBytes: 256 << 10, Heartbeat: 15 * time.Second, Opened: &hookstreamv1.Opened{},
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func earliest(r *Request) { r.Start = Start{Earliest: true} }
func atHead(r *Request)   { r.Stop = Stop{AtHead: true} }

// got is a frame that was received, its deliveries decoded.
type got struct {
	cursor     event.Cursor
	deliveries []*hookstreamv1.Delivery
	message    proto.Message
	at         time.Time
}

func decodeFrame(t testing.TB, f Frame) got {
	t.Helper()
	g := got{cursor: f.Cursor, message: f.Message, at: time.Now()}
	if f.Message == nil {
		b := new(hookstreamv1.DeliveryBatch)
		if err := proto.Unmarshal(f.Deliveries.Materialize(), b); err != nil {
			t.Error(err)
		}
		g.deliveries = b.Deliveries
	}
	return g
}

// reader is a stream that is being read.
type reader struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	frames []got
	more   chan struct{}
}

// read opens a stream and takes its frames until the test ends.
func read(t testing.TB, h *Hub, req Request) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{t: t, cancel: cancel, done: make(chan error, 1), more: make(chan struct{}, 1)}
	go func() { r.done <- h.Stream(ctx, req, r.receive) }()
	t.Cleanup(cancel)
	return r
}

func (r *reader) receive(f Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, decodeFrame(r.t, f))
	select {
	case r.more <- struct{}{}:
	default:
	}
	return nil
}

func (r *reader) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.frames)
}

// until waits until ok says that enough has come.
func (r *reader) until(what string, ok func([]got) bool) []got {
	r.t.Helper()
	for {
		if fs := r.all(); ok(fs) {
			return fs
		}
		select {
		case <-r.more:
		case <-time.After(30 * time.Second):
			r.t.Fatalf("%s did not come", what)
		}
	}
}

// end waits for the stream to end by itself.
func (r *reader) end() ([]got, error) {
	r.t.Helper()
	select {
	case err := <-r.done:
		return r.all(), err
	case <-time.After(30 * time.Second):
		r.t.Fatal("the stream did not end")
		return nil, nil
	}
}

func seqsOf(t testing.TB, fs []got) (seqs []uint64) {
	t.Helper()
	for _, f := range fs {
		for _, d := range f.deliveries {
			_, seq, err := event.ParseName(d.Event.Name)
			if err != nil {
				t.Error(err)
			}
			c, err := event.ParseCursor(d.Cursor)
			if err != nil || c.Seq != seq {
				t.Errorf("event %d carries the cursor %+v, %v", seq, c, err)
			}
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

func kinds(fs []got) (out []string) {
	for _, f := range fs {
		if f.message == nil {
			out = append(out, fmt.Sprintf("batch %d", len(f.deliveries)))
			continue
		}
		out = append(out, string(f.message.ProtoReflect().Descriptor().Name()))
	}
	return out
}

func upTo(n int) []uint64 { return between(1, n) }

func between(from, to int) (out []uint64) {
	for i := from; i <= to; i++ {
		out = append(out, uint64(i))
	}
	return out
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func brokenEntry(data []byte) eventlog.Entry {
	return eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: fmt.Sprint(keys.Add(1)), Data: data}
}
