package server

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// writtenAs answers what a REST stream writes of a message.
func writtenAs(t *testing.T, m any, cache *jsonCache) string {
	t.Helper()
	rec := httptest.NewRecorder()
	w := frameWriterTo(rec, cache, newTurns())
	if err := w.send(m); err != nil && !strings.Contains(err.Error(), "not supported") { // a recorder has no deadlines
		t.Fatal(err)
	}
	return rec.Body.String()
}

func frameWriterTo(w http.ResponseWriter, cache *jsonCache, turns turns) *frameWriter {
	s := &restStream{cache: cache, turns: turns, frameTimeout: time.Second}
	return s.newFrameWriter(w, httptest.NewRequest(http.MethodGet, subscribePath, nil))
}

func checkWritten(t *testing.T, written string, want *hookstreamv1.SubscribeResponse) {
	t.Helper()
	line, ok := strings.CutPrefix(written, `{"result":`)
	if !ok || strings.Count(line, "\n") != 1 {
		t.Fatalf("not one line: %q", written)
	}
	got := new(hookstreamv1.SubscribeResponse)
	if err := protojson.Unmarshal([]byte(strings.TrimSuffix(line, "}\n")), got); err != nil {
		t.Fatalf("%v: %s", err, written)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// What is written piece by piece is what would be made of the whole.
func TestFramesAsJSON(t *testing.T) {
	frames, want := framesOfAllKinds(t)
	cache := new(jsonCache)
	for range 2 { // the second time from what is remembered
		for i, f := range frames {
			checkWritten(t, writtenAs(t, response(f), cache), want[i])
		}
	}
}

// However a frame is cut, a delivery is read whole.
func TestBatchInPieces(t *testing.T) {
	own := []byte("\x1a\x05token")       // field 3
	event := []byte("\x0a\x01c\x12\x00") // cursor and event
	size := byte(len(own) + len(event))
	f := &wireFrame{pieces: mem.BufferSlice{
		mem.SliceBuffer([]byte{0x1a, 2 * (size + 2), 0x0a, size}), mem.SliceBuffer(event),
		mem.SliceBuffer(append(append([]byte{}, own...), 0x0a, size)), mem.SliceBuffer(event), mem.SliceBuffer(own),
	}}
	delivery := &hookstreamv1.Delivery{Cursor: "c", Event: &hookstreamv1.Event{}, AckToken: "token"}
	checkWritten(t, writtenAs(t, f, new(jsonCache)), &hookstreamv1.SubscribeResponse{
		Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: &hookstreamv1.DeliveryBatch{Deliveries: []*hookstreamv1.Delivery{delivery, delivery}}},
	})
	for _, broken := range [][]byte{{}, {0x1a}, {0x0a, 0xff, 0x01}, {0x22, 0x00}, {0x1a, 0x02, 0x12, 0x00}} {
		rec := httptest.NewRecorder()
		w := frameWriterTo(rec, new(jsonCache), newTurns())
		if err := w.send(&wireFrame{head: broken}); err == nil {
			t.Errorf("% x is taken for a frame", broken)
		}
	}
}

// Streams that send the same events share what is made of them, and what is
// remembered is bounded.
func TestStreamsShareTheirJSON(t *testing.T) {
	frames, _ := framesOfAllKinds(t)
	batch := frames[len(frames)-1] // of 300
	cache := new(jsonCache)
	for range 5 {
		writtenAs(t, response(batch), cache)
	}
	if cache.made != 300 {
		t.Errorf("300 events for five streams were made %d times", cache.made)
	}
	large := bytes.Repeat([]byte("x"), 1<<20)
	for range 3 * maxCachedJSON / len(large) {
		cache.put(new(byte), &cachedJSON{wire: large})
	}
	if cache.bytes > maxCachedJSON || len(cache.of) > maxCachedJSON/len(large) || len(cache.order) != len(cache.of) {
		t.Errorf("%d bytes of %d are remembered", cache.bytes, len(cache.of))
	}
}

// A stream of REST is a call like any other: it is seen, bounded and ended.
func TestRESTStreamsPassTheInterceptors(t *testing.T) {
	g := start(t, withEvents(&fakeEvents{subscribe: func(*hookstreamv1.SubscribeRequest, frames) error { panic("ick") }}))
	err := g.Server.subscribe(context.Background(), &hookstreamv1.SubscribeRequest{}, func(any) error { return nil })
	if err == nil || strings.Contains(err.Error(), "ick") {
		t.Errorf("a panic is answered with %v", err)
	}
	bad := &hookstreamv1.SubscribeRequest{ClientId: strings.Repeat("x", 1000)}
	if err := g.Server.subscribe(context.Background(), bad, func(any) error { return nil }); err == nil || !strings.Contains(err.Error(), "client_id") {
		t.Errorf("what is not valid is answered with %v", err)
	}
}

// A deafClient takes nothing.
type deafClient struct {
	http.ResponseWriter
	hangUp <-chan struct{}
}

func (c deafClient) Write([]byte) (int, error) {
	<-c.hangUp
	return 0, http.ErrHandlerTimeout
}

// However many streams there are, no more make JSON at once than there are
// processors, and clients that take nothing hold nobody up.
func TestStreamsTakeTurns(t *testing.T) {
	frames, _ := framesOfAllKinds(t)
	batch := response(frames[len(frames)-1])
	synctest.Test(t, func(t *testing.T) {
		turns, cache, hangUp := newTurns(), new(jsonCache), make(chan struct{})
		send := func(w http.ResponseWriter) { _ = frameWriterTo(w, cache, turns).send(batch) }
		var streams sync.WaitGroup
		for range 3 * cap(turns) {
			streams.Go(func() { send(deafClient{httptest.NewRecorder(), hangUp}) })
		}
		time.Sleep(time.Second) // each has waited for its client once
		good := httptest.NewRecorder()
		streams.Go(func() { send(good) })
		synctest.Wait()
		if good.Body.Len() == 0 {
			t.Error("clients that take nothing keep others from their turn")
		}
		for range cap(turns) {
			turns.acquire()
		}
		late := httptest.NewRecorder()
		streams.Go(func() { send(late) })
		synctest.Wait()
		if late.Body.Len() > 0 {
			t.Error("a stream did not wait for its turn")
		}
		for range cap(turns) {
			turns.give()
		}
		close(hangUp)
		streams.Wait()
		if late.Body.Len() != good.Body.Len() || len(turns) > 0 {
			t.Errorf("%d bytes of %d were written, %d turns are taken", late.Body.Len(), good.Body.Len(), len(turns))
		}
	})
}

// The turn is kept while a client takes what is written, and given up for one that
// does not: after a moment, and the next time at once.
func TestATurnIsKeptForAQuickClientOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, slow := make(turns, 1), false
		write := func(takes time.Duration) (kept bool) {
			turns.acquire()
			defer turns.give()
			_ = turns.write(&slow, func() error {
				time.Sleep(takes / 2)
				kept = len(turns) == 1
				time.Sleep(takes - takes/2)
				return nil
			})
			return kept
		}
		for _, step := range []struct {
			takes time.Duration
			kept  bool
		}{{0, true}, {quickWrite / 2, true}, {time.Second, false}, {0, false}, {0, true}} {
			if kept := write(step.takes); kept != step.kept || len(turns) != 0 {
				t.Errorf("a write of %s: kept %t, %d turns are taken", step.takes, kept, len(turns))
			}
		}
	})
}
