package server

import (
	"bytes"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
)

// A fullClient takes nothing, until it is gone.
type fullClient struct {
	http.ResponseWriter
	full func()        // is called when it takes nothing more
	gone chan struct{} // closed when it is
}

func (fullClient) Header() http.Header { return http.Header{} }
func (fullClient) WriteHeader(int)     {}

func (c fullClient) Write([]byte) (int, error) {
	c.full()
	<-c.gone
	return 0, http.ErrHandlerTimeout
}

// heldBytes is how much is in use, once what is not is collected.
func heldBytes() uint64 {
	var m runtime.MemStats
	for range 2 { // what a pool holds outlives one collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// batchOf is a frame of n events of an entity.
func batchOf(t *testing.T, n int, entity string) hub.Frame {
	t.Helper()
	batch := hub.Frame{Cursor: event.Cursor{Incarnation: 3, Seq: 9}}
	for range n {
		b, err := proto.Marshal(&hookstreamv1.DeliveryBatch{Deliveries: []*hookstreamv1.Delivery{{Cursor: "c", Event: &hookstreamv1.Event{Entity: entity}}}})
		if err != nil {
			t.Fatal(err)
		}
		batch.Deliveries = append(batch.Deliveries, mem.SliceBuffer(b))
	}
	return batch
}

// A stream over REST whose client does not read holds next to nothing of what it
// sends: neither a copy of the JSON that all share, nor one of the list of events.
func TestStreamThatIsNotReadHoldsNoCopy(t *testing.T) {
	const streams, most = 1000, 2 << 10
	batch := batchOf(t, 200, strings.Repeat("x", 1000))
	cache, turns := new(jsonCache), newTurns()
	writtenAs(t, response(batch), cache) // the JSON that they share

	before := heldBytes()
	gone := make(chan struct{})
	var full, ended sync.WaitGroup
	for range streams {
		full.Add(1)
		ended.Go(func() {
			w := frameWriterTo(fullClient{full: sync.OnceFunc(full.Done), gone: gone}, cache, turns)
			if w.send(response(batch)) == nil {
				t.Error("a client that takes nothing was sent a frame")
			}
		})
	}
	full.Wait()
	each := (int64(heldBytes()) - int64(before)) / streams
	if each > most {
		t.Errorf("each holds %d bytes", each)
	}
	close(gone)
	ended.Wait()
}

// What is written is what was appended, in its order, however it is shared.
func TestGathered(t *testing.T) {
	large := strings.Repeat("l", fewBytes+1)
	var g gathered
	var want strings.Builder
	for range 2 { // after reset as before
		want.Reset()
		for _, s := range []string{"", large, "a", large, large, "b", ""} {
			want.WriteString(s + s)
			g.WriteString(s)
			g.share([]byte(s))
		}
		if g.size() != want.Len() {
			t.Errorf("%d bytes of %d", g.size(), want.Len())
		}
		var got bytes.Buffer
		if err := g.writeTo(&got); err != nil || got.String() != want.String() {
			t.Errorf("written %q, want %q, %v", got.String(), want.String(), err)
		}
		if g.reset(); g.size() != 0 {
			t.Errorf("%d bytes are left", g.size())
		}
	}
}
