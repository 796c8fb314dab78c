package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/natstest"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
	"github.com/hookstream/hookstream/provider/yousign"
)

// On a cluster, the gateway that did not receive an event checks its proof as well as
// the one that did: of both senders, whether it was told at once or from the inbox,
// also of what shadow mode let in, and when the source is another by then.
func TestProofsAtAnotherGateway(t *testing.T) {
	cluster := natstest.Start(t)
	api := startSimulator(t, simulate.Options{})
	var at [2]*gateway
	for i := range at {
		o := options(t)
		o.NATSURL, o.Replicas = cluster.URL(), 3
		o.VerifyWait = 200 * time.Millisecond
		o.EncryptionKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		at[i] = start(t, o)
	}
	shadowed := func(src *hookstreamv1.Source) *hookstreamv1.Source {
		src.VerificationMode = hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW
		return src
	}
	paths := map[string]string{
		"billing": at[0].createSource("billing", shadowed(yousignSource())).GetIngressPath(),
		"esign":   at[0].createSource("esign", shadowed(ignisignSource(api, 0))).GetIngressPath(),
	}
	stream := at[0].subscribe(&hookstreamv1.SubscribeRequest{View: hookstreamv1.EventView_EVENT_VIEW_METADATA})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	publish := func(source, signature, body string) string {
		t.Helper()
		status := at[0].post(paths[source], signature, body)
		// As a sender does: whether the sources were changed may not be known in time.
		for tries := 0; status == http.StatusServiceUnavailable && tries < 20; tries++ {
			time.Sleep(200 * time.Millisecond)
			status = at[0].post(paths[source], signature, body)
		}
		if status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
		return next(t, stream).GetName()
	}
	token := func(token string) string {
		body, err := ignisign.Sample("SIGNER.CREATED", api.App().ID, api.App().Env, token)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	body := func(id string) string { return `{"event_id":"` + id + `","event_name":"signer.done","data":{}}` }
	names := map[string]string{
		"signed": publish("billing", yousign.Sign(secret, []byte(body("1"))), body("1")),
		"forged": publish("billing", yousign.Sign("somebody-else-0000", []byte(body("2"))), body("2")),
		"bare":   publish("billing", "", body("3")),
		"asked":  publish("esign", "", token(api.MintToken(api.App().ID, api.App().Env))),
		"made":   publish("esign", "", token("made-up")),
	}
	if err := api.SetFaults(simulate.Faults{Down: simulate.Down503, Times: 1}); err != nil {
		t.Fatal(err)
	}
	names["later"] = publish("esign", "", token(api.MintToken(api.App().ID, api.App().Env)))
	if err := api.SetFaults(simulate.Faults{LoseAnswer: true, Times: 1}); err != nil {
		t.Fatal(err)
	}
	names["ambiguous"] = publish("esign", "", token(api.MintToken(api.App().ID, api.App().Env)))

	want := map[string]hookstreamv1.VerifyEventResponse_Outcome{
		"signed": genuineNow, "asked": genuineNow, "later": genuineNow, "ambiguous": genuineNow,
		"forged": hookstreamv1.VerifyEventResponse_OUTCOME_NOT_GENUINE, "bare": hookstreamv1.VerifyEventResponse_OUTCOME_NOT_GENUINE,
		"made": hookstreamv1.VerifyEventResponse_OUTCOME_NOT_GENUINE,
	}
	for what, outcome := range want {
		for i, g := range at {
			if got := g.verifyAgain(names[what]); got.GetOutcome() != outcome {
				t.Errorf("%s, at gateway %d: %v", what, i, got)
			}
		}
	}

	if _, err := hookstreamv1.NewSourceServiceClient(at[0].conn).DeleteSource(t.Context(), &hookstreamv1.DeleteSourceRequest{Name: "sources/esign"}); err != nil {
		t.Fatal(err)
	}
	at[0].createSource("esign", yousignSource())
	for i, g := range at {
		var got *hookstreamv1.VerifyEventResponse
		for deadline := time.Now().Add(time.Minute); got.GetReason() != "source_changed" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			got = g.verifyAgain(names["asked"])
		}
		if got.GetOutcome() != unknownNow || got.GetReason() != "source_changed" {
			t.Errorf("of a source of another sender, at gateway %d: %v", i, got)
		}
	}
}
