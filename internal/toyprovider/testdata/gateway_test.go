// Package gateway_test is compiled with the provider that the page builds.
package gateway_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookstream/hookstream/app"
	parcelov1 "github.com/hookstream/hookstream/gen/hookstream/parcelo/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const signingKey = "parcelo-test-key"

// TestFromIngressToTypedEvent sends a gateway an event of the new provider, signed
// and forged, and reads it as what the new schema says.
func TestFromIngressToTypedEvent(t *testing.T) {
	addrs, conn := start(t)
	src, err := hookstreamv1.NewSourceServiceClient(conn).CreateSource(t.Context(), &hookstreamv1.CreateSourceRequest{
		SourceId: "parcels",
		Source: &hookstreamv1.Source{
			Keyless: true,
			Config:  &hookstreamv1.Source_Parcelo{Parcelo: &parcelov1.SourceConfig{SigningKey: signingKey}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if src.GetParcelo().GetSigningKey() != "" {
		t.Error("the signing key is answered")
	}
	shipped, delivered := example(t, "parcel.shipped"), example(t, "parcel.delivered")
	url := "http://" + addrs.Ingress + src.GetIngressPath()
	for _, p := range []struct {
		body, signature string
		want            int
	}{
		{delivered, sign(shipped), 401},
		{shipped, sign(shipped), 200},
		{delivered, sign(delivered), 200},
		{delivered, sign(delivered), 200}, // again: published once
	} {
		if got := post(t, url, p.body, p.signature); got != p.want {
			t.Errorf("answered %d, want %d", got, p.want)
		}
	}
	events := published(t, conn, &hookstreamv1.EventSelector{
		Parcelo: &parcelov1.Selector{Types: []parcelov1.EventType{parcelov1.EventType_EVENT_TYPE_PARCEL_DELIVERED}},
		Filter:  `event.parcelo.parcel.reference == "order-12"`,
	})
	if len(events) != 1 {
		t.Fatalf("%d events: %v", len(events), events)
	}
	ev := events[0]
	if ev.GetProvider() != "parcelo" || ev.GetType() != "parcel.delivered" || ev.GetEntity() != "parcels/p-7" ||
		ev.GetDecodeState() != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
		t.Errorf("%v", ev)
	}
	if parcel := ev.GetParcelo().GetParcel(); parcel.GetReference() != "order-12" || parcel.RedirectLink != nil {
		t.Errorf("parcel %v", parcel)
	}
	if got := strings.Join(ev.GetRedactedFields(), " "); got != "parcelo.parcel.redirect_link" {
		t.Errorf("withheld %q", got)
	}
}

func start(t *testing.T) (app.Addrs, *grpc.ClientConn) {
	t.Helper()
	o := app.DefaultOptions()
	o.IngressAddr, o.GRPCAddr, o.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	o.DataDir, o.DrainGrace = t.TempDir(), 0
	gateway, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	conn, err := grpc.NewClient(gateway.Addrs().GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return gateway.Addrs(), conn
}

// example answers a body of the provider's, whose folder is where this runs.
func example(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile("examples/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func sign(body string) string {
	mac := hmac.New(sha256.New, []byte(signingKey))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func post(t *testing.T, url, body, signature string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Parcelo-Signature", signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// published answers what the log holds for a selector.
func published(t *testing.T, conn *grpc.ClientConn, selector *hookstreamv1.EventSelector) (events []*hookstreamv1.Event) {
	t.Helper()
	stream, err := hookstreamv1.NewEventServiceClient(conn).Subscribe(t.Context(), &hookstreamv1.SubscribeRequest{
		Selector: selector,
		Start:    &hookstreamv1.SubscribeRequest_Earliest{Earliest: true},
		Stop:     &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return events
		}
		for _, d := range resp.GetBatch().GetDeliveries() {
			events = append(events, d.GetEvent())
		}
	}
}
