package app_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"

	"github.com/hookstream/hookstream/eventlog/natstest"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Two gateways share a cluster, and one of its nodes dies while webhooks come
// in at both. Every one that was answered 200 is on the streams of both
// gateways, once, in the same order.
func TestTwoGatewaysAndANodeThatDies(t *testing.T) {
	cluster := natstest.Start(t)
	gateways := make([]*gateway, 2)
	for i := range gateways {
		o := options(t)
		o.NATSURL, o.Replicas = cluster.URL(), 3
		o.EncryptionKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		gateways[i] = start(t, o)
	}
	src := gateways[0].createSource("shared", yousignSource())
	const total = 400
	var heard [2][]string
	var listening, sending sync.WaitGroup
	for i, g := range gateways {
		stream := g.subscribe(&hookstreamv1.SubscribeRequest{View: hookstreamv1.EventView_EVENT_VIEW_METADATA})
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		listening.Go(func() { heard[i] = hear(t, stream, total) })
	}
	var sent atomic.Int64
	for w := range 8 {
		s := newSender("http://"+gateways[w%2].Addrs().Ingress+src.GetIngressPath(), 1)
		sending.Go(func() {
			for n := w; n < total; n += 8 {
				if err := s.send(n); err != nil {
					t.Error(err)
				}
				if sent.Add(1) == total/3 {
					cluster.Kill(max(cluster.Leader("HOOKSTREAM_EVENTS"), 0))
				}
			}
		})
	}
	sending.Wait()
	listening.Wait()
	if !slices.Equal(heard[0], heard[1]) {
		t.Error("the two gateways show different orders")
	}
	seen := make(map[string]bool)
	for _, id := range heard[0] {
		if seen[id] {
			t.Errorf("event %s came twice", id)
		}
		seen[id] = true
	}
	for n := range total {
		if id := eventID(n); !seen[id] {
			t.Errorf("event %s was acknowledged and did not come", id)
		}
	}
}

// hear reads n events and a little longer, for what may come twice.
func hear(t *testing.T, s grpc.ServerStreamingClient[hookstreamv1.SubscribeResponse], n int) []string {
	var ids []string
	for len(ids) < n {
		resp, err := s.Recv()
		if err != nil {
			t.Errorf("after %d events: %v", len(ids), err)
			return ids
		}
		for _, d := range resp.GetBatch().GetDeliveries() {
			ids = append(ids, d.GetEvent().GetProviderEventId())
		}
	}
	return ids
}

func eventID(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }
