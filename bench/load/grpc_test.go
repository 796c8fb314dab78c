package load

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// sequences is a server that sends an event of each sequence to whoever asks,
// two in a batch.
type sequences struct {
	hookstreamv1.UnimplementedEventServiceServer
	seqs []uint64
	err  error
}

func (s *sequences) Subscribe(_ *hookstreamv1.SubscribeRequest, stream grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]) error {
	for i := 0; i < len(s.seqs); i += 2 {
		batch := new(hookstreamv1.DeliveryBatch)
		for _, seq := range s.seqs[i:min(i+2, len(s.seqs))] {
			batch.Deliveries = append(batch.Deliveries, delivered(seq))
		}
		if err := stream.Send(&hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: batch}}); err != nil {
			return err
		}
	}
	return s.err
}

// subscribers of a server, which acknowledge with outcomes.
func subscribers(t *testing.T, service *sequences, outcomes ...hookstreamv1.AckOutcome) *Subscribers {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	hookstreamv1.RegisterEventServiceServer(g, service)
	hookstreamv1.RegisterSubscriptionServiceServer(g, &acknowledger{outcomes: outcomes})
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	subs, err := NewSubscribers(lis.Addr().String(), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = subs.Close() })
	return subs
}

func open(t *testing.T, subs *Subscribers, shape Shape) *Stream {
	t.Helper()
	st, err := subs.Open(t.Context(), shape, &hookstreamv1.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestStreamCountsWhatItReceives(t *testing.T) {
	for name, shape := range map[string]Shape{"frames": Frames, "decoded": Decoded, "watched": Watched(func([]byte) {})} {
		t.Run(name, func(t *testing.T) {
			subs := subscribers(t, &sequences{seqs: []uint64{1, 2, 3}})
			if err := open(t, subs, shape).Drain(); err != nil {
				t.Fatal(err)
			}
			got := subs.Tally()
			if got.Deliveries != 3 || got.Messages != 2 || got.Missed != 0 || got.Repeated != 0 || got.Bytes <= got.DeliveryBytes {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestStreamsFlowWhenTheyHaveReceived(t *testing.T) {
	subs := subscribers(t, &sequences{seqs: []uint64{1, 2}})
	one, two := open(t, subs, Frames), open(t, subs, Frames)
	for want, st := range []*Stream{one, two} {
		if got := subs.Flowing(); got != want {
			t.Errorf("%d of the streams flow, %d have received something", got, want)
		}
		if err := st.Drain(); err != nil {
			t.Fatal(err)
		}
	}
	if got := subs.Flowing(); got != 2 {
		t.Errorf("%d streams flow", got)
	}
}

func TestStreamNoticesGapsAndRepetitions(t *testing.T) {
	for _, tc := range []struct {
		name             string
		seqs             []uint64
		missed, repeated int64
	}{
		{"gap in a batch", []uint64{1, 3, 4}, 1, 0},
		{"gap between batches", []uint64{1, 2, 5, 6}, 2, 0},
		{"repetition", []uint64{1, 2, 2, 3}, 0, 1},
		{"out of order", []uint64{1, 3, 2, 4}, 1, 1},
		{"begins late", []uint64{7, 8}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			subs := subscribers(t, &sequences{seqs: tc.seqs})
			if err := open(t, subs, Frames).Drain(); err != nil {
				t.Fatal(err)
			}
			if got := subs.Tally(); got.Missed != tc.missed || got.Repeated != tc.repeated {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestStreamEndsWithTheServersReason(t *testing.T) {
	subs := subscribers(t, &sequences{seqs: []uint64{1}, err: status.Error(codes.OutOfRange, "expired")})
	if err := open(t, subs, Frames).Drain(); status.Code(err) != codes.OutOfRange {
		t.Errorf("%v", err)
	}
	if err := open(t, subs, Frames).Until(2); err == nil || !strings.Contains(err.Error(), "1 of 2") {
		t.Errorf("%v", err)
	}
}

func TestRepeatAsksAgainUntilItsContextEnds(t *testing.T) {
	subs := subscribers(t, &sequences{seqs: []uint64{1, 2, 3}})
	ctx, cancel := context.WithCancel(t.Context())
	st, err := subs.Open(ctx, Frames, &hookstreamv1.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- st.Repeat(ctx) }()
	for st.Tally().Deliveries < 10 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := st.Tally(); got.Repeated != 0 || got.Missed != 0 {
		t.Errorf("a new stream begins anew: %+v", got)
	}
}

func TestRepeatRefusesAServerWithoutEvents(t *testing.T) {
	subs := subscribers(t, &sequences{})
	if err := open(t, subs, Frames).Repeat(t.Context()); err == nil {
		t.Error("it asked for ever")
	}
}
