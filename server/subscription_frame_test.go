package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// someDeliveries are of n events, each with other fields set.
func someDeliveries(t *testing.T, n int) []subscription.Delivery {
	t.Helper()
	w := newEventWorld(t)
	times := []time.Time{time.Unix(1772439061, 0), time.Unix(1772439061, 123456789), time.Unix(0, 1)}
	var out []subscription.Delivery
	for i := range n {
		w.put(t, "open", `{"eventName":"EVENT_NAME_SIGNER_DONE"}`)
		e, err := w.hub.At(t.Context(), uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, subscription.Delivery{
			Token: "token-" + string(rune('a'+i)), Attempt: 1 + 200*i, Deadline: times[i%len(times)], Replayed: i%2 == 1, Replay: strings.Repeat("r", i%3*40), HandOut: 1<<60 + int64(i), Event: e,
		})
	}
	return out
}

func wantBatch(t *testing.T, ds []subscription.Delivery, view hookstreamv1.EventView) *hookstreamv1.DeliveryBatch {
	t.Helper()
	out := new(hookstreamv1.DeliveryBatch)
	for _, d := range ds {
		e, err := d.Event.Message(view)
		if err != nil {
			t.Fatal(err)
		}
		out.Deliveries = append(out.Deliveries, &hookstreamv1.Delivery{
			Cursor: d.Event.Cursor().String(), Event: e, AckToken: d.Token,
			Attempt: int32(d.Attempt), AckDeadline: timestamppb.New(d.Deadline), Replayed: d.Replayed, Replay: d.Replay, HandOut: d.HandOut,
		})
	}
	return out
}

// What is joined from shared bytes is what the generated code would send.
func TestDeliveriesAreTheBytesOfTheSchema(t *testing.T) {
	ds := someDeliveries(t, 3)
	for _, view := range []hookstreamv1.EventView{
		hookstreamv1.EventView_EVENT_VIEW_METADATA, hookstreamv1.EventView_EVENT_VIEW_TYPED, hookstreamv1.EventView_EVENT_VIEW_FULL,
	} {
		want := wantBatch(t, ds, view)
		b := newDeliveryBatch(ds, view, 1<<20)
		got := new(hookstreamv1.SubscribeResponse)
		if err := proto.Unmarshal(b.response().list().Materialize(), got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.GetBatch(), protocmp.Transform()); diff != "" {
			t.Errorf("%v: a stream is sent (-want +got):\n%s", view, diff)
		}
		pulled, err := b.pull()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.GetDeliveries(), pulled.GetDeliveries(), protocmp.Transform()); diff != "" {
			t.Errorf("%v: a pull is answered (-want +got):\n%s", view, diff)
		}
	}
}

// A batch ends before it is larger than asked for, but for one delivery that is.
func TestABatchKeepsItsBound(t *testing.T) {
	ds := someDeliveries(t, 3)
	view := hookstreamv1.EventView_EVENT_VIEW_TYPED
	two := proto.Size(wantBatch(t, ds[:2], view))
	for bound, want := range map[int]int{1: 1, two - 1: 1, two: 2, two + 1: 2, 1 << 20: 3} {
		if got := newDeliveryBatch(ds, view, bound).len(); got != want {
			t.Errorf("%d deliveries in %d bytes, want %d", got, bound, want)
		}
	}
}

// Two consumers are sent the same bytes of an event, not copies of them.
func TestEventsAreSharedBetweenConsumers(t *testing.T) {
	ds := someDeliveries(t, 1)
	view := hookstreamv1.EventView_EVENT_VIEW_TYPED
	first, second := newDeliveryBatch(ds, view, 1<<20), newDeliveryBatch(ds, view, 1<<20)
	if &first.shared[0][0] != &second.shared[0][0] {
		t.Error("each consumer has bytes of its own")
	}
}
