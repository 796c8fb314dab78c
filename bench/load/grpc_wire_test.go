package load

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// delivered is an event at seq.
func delivered(seq uint64) *hookstreamv1.Delivery {
	return &hookstreamv1.Delivery{
		Cursor:   event.Cursor{Incarnation: 7, Seq: seq, Time: time.Unix(1_800_000_000, int64(seq))}.String(),
		AckToken: ackToken(seq),
		Event: &hookstreamv1.Event{
			Name: event.Name(7, seq), Source: "sources/billing", ProviderEventId: "sender-" + event.Name(7, seq),
			Raw: &hookstreamv1.RawRequest{Body: make([]byte, seq%1500)},
		},
	}
}

// ackToken is that of the event at seq.
func ackToken(seq uint64) string { return "token-" + event.Name(7, seq) }

// batchOf is a frame of events from first on, as it is on the wire.
func batchOf(t testing.TB, first uint64, n int) []byte {
	t.Helper()
	batch := new(hookstreamv1.DeliveryBatch)
	for i := range n {
		batch.Deliveries = append(batch.Deliveries, delivered(first+uint64(i)))
	}
	b, err := proto.Marshal(&hookstreamv1.SubscribeResponse{
		Cursor: batch.GetDeliveries()[n-1].GetCursor(), Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: batch},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cut lays bytes into buffers of some size, as they come from the network.
func cut(b []byte, size int) (s mem.BufferSlice) {
	for len(b) > size {
		s, b = append(s, mem.SliceBuffer(b[:size]), mem.SliceBuffer(nil)), b[size:]
	}
	return append(s, mem.SliceBuffer(b))
}

type counted struct {
	Bytes int
	Seq   uint64
}

func walk(data mem.BufferSlice) (got []counted, err error) {
	err = eachDelivery(data, func(bytes int, seq uint64) { got = append(got, counted{bytes, seq}) })
	return got, err
}

func TestWalkFindsEveryDeliveryHoweverTheBytesAreCut(t *testing.T) {
	const first, n = 250, 40
	frame := batchOf(t, first, n)
	var want []counted
	for i := range uint64(n) {
		want = append(want, counted{proto.Size(delivered(first + i)), first + i})
	}
	for _, size := range []int{1, 2, 3, 7, 64, 1000, 16384, len(frame)} {
		got, err := walk(cut(frame, size))
		if err != nil {
			t.Fatalf("in pieces of %d: %v", size, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("in pieces of %d (-want +got):\n%s", size, d)
		}
	}
}

func TestWalkPassesOverOtherFrames(t *testing.T) {
	for _, m := range []*hookstreamv1.SubscribeResponse{
		{},
		{Cursor: "c", Frame: &hookstreamv1.SubscribeResponse_Opened{Opened: &hookstreamv1.Opened{StreamId: "s"}}},
		{Cursor: "c", Frame: &hookstreamv1.SubscribeResponse_Heartbeat{Heartbeat: &hookstreamv1.Heartbeat{LagEvents: 3}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := walk(cut(b, 5)); err != nil || len(got) > 0 {
			t.Errorf("%v: %v, %v", m, got, err)
		}
	}
}

func TestWalkRefusesAFrameThatIsCutShort(t *testing.T) {
	frame := batchOf(t, 1, 3)
	for n := 1; n < len(frame); n++ {
		if _, err := walk(cut(frame[:n], 100)); err == nil && n != 32 { // 32: after the frame's cursor
			t.Errorf("%d of %d bytes were taken for a frame", n, len(frame))
		}
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(batchOf(f, 1, 3), 7)
	f.Add([]byte{0x1a, 0x02, 0x0a, 0x00}, 1)
	f.Fuzz(func(t *testing.T, frame []byte, size int) {
		if size < 1 {
			return
		}
		whole, errWhole := walk(cut(frame, max(1, len(frame))))
		pieces, errPieces := walk(cut(frame, size))
		if !errors.Is(errPieces, errWhole) || !cmp.Equal(whole, pieces) {
			t.Errorf("%v, %v in one piece; %v, %v in pieces of %d", whole, errWhole, pieces, errPieces, size)
		}
	})
}

func TestSequenceInCursor(t *testing.T) {
	seqs := []uint64{0, 1, 2, 255, 256, 1 << 20, math.MaxUint32, math.MaxUint64 - 1, math.MaxUint64}
	for range 100 {
		seqs = append(seqs, rand.Uint64())
	}
	for _, seq := range seqs {
		text := event.Cursor{Incarnation: math.MaxUint32, Seq: seq, Time: time.Unix(0, math.MaxInt64)}.String()
		if got := cursorSeq([cursorSeqCharacters]byte([]byte(text[cursorSeqFirst:]))); got != seq {
			t.Errorf("%s: %d, want %d", text, got, seq)
		}
	}
}

func TestEventIDs(t *testing.T) {
	var got []string
	if err := eachEventID(cut(batchOf(t, 8, 2), 11), func(id []byte) { got = append(got, string(id)) }); err != nil {
		t.Fatal(err)
	}
	want := []string{delivered(8).GetEvent().GetProviderEventId(), delivered(9).GetEvent().GetProviderEventId()}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func BenchmarkWalk(b *testing.B) {
	frame := cut(batchOf(b, 1000, 256), 16384)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := walk(frame); err != nil {
			b.Fatal(err)
		}
	}
}
