package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A stream that somebody deletes is made at the next start, empty, and what the others
// have is as it was.
func TestADeletedStreamIsMadeAtTheNextStart(t *testing.T) {
	for stream, is := range map[string]struct {
		backlog, parked any // of the subscription; nil: none
		source          int // whether there is one
		subscription    int
		sender          int
		handed          string // the first event that is handed out then, of those sent
	}{
		"HOOKSTREAM_EVENTS":           {nil, "1", 200, 200, 200, eventID(0)},
		"HOOKSTREAM_INBOX":            {"1", "1", 200, 200, 200, eventID(3)},
		"HOOKSTREAM_PARKED":           {"1", nil, 200, 200, 200, eventID(3)},
		"HOOKSTREAM_ATTEMPTS":         {"1", "1", 200, 200, 200, eventID(3)},
		"KV_HOOKSTREAM_SOURCES":       {"1", "1", 404, 200, 404, eventID(3)},
		"KV_HOOKSTREAM_SUBSCRIPTIONS": {nil, nil, 200, 404, 200, ""},
	} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			url := "nats://" + startNATS(t, &server.Options{MaxPayload: 2 << 20})
			o := options(t)
			o.NATSURL, o.EncryptionKey = url, strings.Repeat("ab", 32)
			g := start(t, o)
			path := g.createSource("billing", yousignSource()).GetIngressPath()
			g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm&earliest=true", `{}`)
			for n := range 4 {
				g.webhook(path, n)
			}
			cursor := lastCursor(t, g.subscribe(&hookstreamv1.SubscribeRequest{Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}}), 4)
			g.settle(2, hookstreamv1.Settlement_VERDICT_ACK, hookstreamv1.AckOutcome_ACK_OUTCOME_DONE)
			g.settle(1, hookstreamv1.Settlement_VERDICT_PARK, hookstreamv1.AckOutcome_ACK_OUTCOME_PARKED)
			if err := g.stop(); err != nil {
				t.Fatal(err)
			}
			deleteStream(t, url, stream)

			g = start(t, o)
			code, state := g.rest("GET", "/v1/subscriptions/crm/state", "")
			if code != is.subscription || state["backlogEvents"] != is.backlog || state["parkedEvents"] != is.parked {
				t.Errorf("the subscription: %d %v", code, state)
			}
			if code, _ := g.rest("GET", "/v1/sources/billing", ""); code != is.source {
				t.Errorf("the source: %d", code)
			}
			if got := newSender("http://"+g.Addrs().Ingress+path, 1).try(0); got != is.sender {
				t.Errorf("a sender is answered %d", got)
			}
			_, err := g.subscribe(&hookstreamv1.SubscribeRequest{Start: &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: cursor}}).Recv()
			if unknown := status.Code(err) == codes.DataLoss; unknown != (stream == "HOOKSTREAM_EVENTS") {
				t.Errorf("a cursor of before: %v", err)
			}
			if is.handed == "" {
				return
			}
			if ds := g.pull(1); len(ds) != 1 || ds[0].GetEvent().GetProviderEventId() != is.handed || ds[0].GetAttempt() != 1 {
				t.Errorf("handed out: %v", ds)
			}
		})
	}
}

// lastCursor answers where a stream is after n events.
func lastCursor(t *testing.T, s grpc.ServerStreamingClient[hookstreamv1.SubscribeResponse], n int) (cursor string) {
	t.Helper()
	for n > 0 {
		resp, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range resp.GetBatch().GetDeliveries() {
			n, cursor = n-1, d.GetCursor()
		}
	}
	return cursor
}

func deleteStream(t *testing.T, url, stream string) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err == nil {
		err = js.DeleteStream(stream)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pull answers the next few events of the subscription.
func (g *gateway) pull(most int32) []*hookstreamv1.Delivery {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 20*time.Second)
	defer cancel()
	r, err := hookstreamv1.NewSubscriptionServiceClient(g.conn).Pull(ctx, &hookstreamv1.PullRequest{Name: "subscriptions/crm", MaxEvents: most, Wait: durationpb.New(8 * time.Second)})
	if err != nil {
		g.t.Error(err)
	}
	return r.GetDeliveries()
}

// settle has the next few events settled.
func (g *gateway) settle(most int32, v hookstreamv1.Settlement_Verdict, want hookstreamv1.AckOutcome) {
	g.t.Helper()
	req := &hookstreamv1.AcknowledgeRequest{Name: "subscriptions/crm"}
	for _, d := range g.pull(most) {
		req.Settlements = append(req.Settlements, &hookstreamv1.Settlement{AckToken: d.GetAckToken(), Verdict: v})
	}
	r, err := hookstreamv1.NewSubscriptionServiceClient(g.conn).Acknowledge(g.t.Context(), req)
	if err != nil || len(r.GetResults()) != int(most) {
		g.t.Fatal(r, err)
	}
	for _, res := range r.GetResults() {
		if res.GetOutcome() != want {
			g.t.Fatal(res)
		}
	}
}
