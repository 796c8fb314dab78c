package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
)

// framesOfAllKinds are frames, and the responses that they must be.
func framesOfAllKinds(t testing.TB) (frames []hub.Frame, want []*hookstreamv1.SubscribeResponse) {
	c := event.Cursor{Incarnation: 3, Seq: 9, Time: time.Unix(5, 6)}
	add := func(m proto.Message, r *hookstreamv1.SubscribeResponse) {
		r.Cursor = c.String()
		frames, want = append(frames, hub.Frame{Cursor: c, Message: m}), append(want, r)
	}
	now := timestamppb.Now()
	o := &hookstreamv1.Opened{StreamId: "s"}
	add(o, &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Opened{Opened: o}})
	h := &hookstreamv1.Heartbeat{SendTime: now, LagEvents: 4}
	add(h, &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Heartbeat{Heartbeat: h}})
	u := &hookstreamv1.CaughtUp{SendTime: now}
	add(u, &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_CaughtUp{CaughtUp: u}})
	b := &hookstreamv1.FellBehind{LagEvents: 8}
	add(b, &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_FellBehind{FellBehind: b}})
	g := &hookstreamv1.Gap{MissedEvents: 2, ResumeTime: now}
	add(g, &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Gap{Gap: g}})
	d := &hookstreamv1.Draining{}
	add(d, &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Draining{Draining: d}})

	for _, n := range []int{1, 2, 300} {
		batch, deliveries := new(hookstreamv1.DeliveryBatch), mem.BufferSlice(nil)
		for i := range n {
			delivery := &hookstreamv1.Delivery{Cursor: "c", Event: &hookstreamv1.Event{Name: event.Name(3, uint64(i+1)), Topic: "t"}}
			m, err := proto.Marshal(delivery)
			if err != nil {
				t.Fatal(err)
			}
			batch.Deliveries = append(batch.Deliveries, delivery)
			deliveries = append(deliveries, mem.SliceBuffer(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), m)))
		}
		frames = append(frames, hub.Frame{Cursor: c, Deliveries: deliveries})
		want = append(want, &hookstreamv1.SubscribeResponse{Cursor: c.String(), Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: batch}})
	}
	return frames, want
}

// The bytes that are sent are those that the generated code makes.
func TestFramesOnTheWire(t *testing.T) {
	frames, want := framesOfAllKinds(t)
	for i, f := range frames {
		sent, err := codec{}.Marshal(response(f))
		if err != nil {
			t.Fatal(err)
		}
		ours := sent.Materialize()
		theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(want[i])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%s:\n%s", kindOf(want[i]), diff)
		}
		got := new(hookstreamv1.SubscribeResponse)
		if err := (codec{}).Unmarshal(sent, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i], got, protocmp.Transform()); diff != "" {
			t.Errorf("%s, decoded:\n%s", kindOf(want[i]), diff)
		}
	}
}

// Every kind of frame in the schema can be sent.
func TestEveryKindOfFrameIsCovered(t *testing.T) {
	_, responses := framesOfAllKinds(t)
	covered := make(map[string]bool)
	for _, r := range responses {
		covered[kindOf(r)] = true
	}
	fields := (*hookstreamv1.SubscribeResponse)(nil).ProtoReflect().Descriptor().Oneofs().ByName("frame").Fields()
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); !covered[name] {
			t.Errorf("no test sends %s", name)
		}
	}
}

// A batch is sent as references to the bytes that all streams share.
func TestBatchesAreNotCopied(t *testing.T) {
	frames, _ := framesOfAllKinds(t)
	f := frames[len(frames)-1]
	sent, err := codec{}.Marshal(response(f))
	if err != nil || len(sent) != 1+len(f.Deliveries) {
		t.Fatalf("%d pieces, %v", len(sent), err)
	}
	for i, d := range f.Deliveries {
		if &sent[i+1].ReadOnlyData()[0] != &d.ReadOnlyData()[0] {
			t.Fatalf("delivery %d was copied", i)
		}
	}
}
