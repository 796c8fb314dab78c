package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
	"github.com/hookstream/hookstream/provider/yousign"
)

const (
	genuineNow = hookstreamv1.VerifyEventResponse_OUTCOME_GENUINE
	unknownNow = hookstreamv1.VerifyEventResponse_OUTCOME_UNKNOWN
)

func (g *gateway) verifyAgain(name string) *hookstreamv1.VerifyEventResponse {
	g.t.Helper()
	got, err := hookstreamv1.NewEventServiceClient(g.conn).VerifyEvent(g.t.Context(), &hookstreamv1.VerifyEventRequest{Name: name})
	if err != nil {
		g.t.Fatal(err)
	}
	return got
}

func (g *gateway) get(name string, view hookstreamv1.EventView) *hookstreamv1.Event {
	g.t.Helper()
	e, err := hookstreamv1.NewEventServiceClient(g.conn).GetEvent(g.t.Context(), &hookstreamv1.GetEventRequest{Name: name, View: view})
	if err != nil {
		g.t.Fatal(err)
	}
	return e
}

// The header lines of a signed request stay with the event, whole and all of them,
// in FULL alone; and can be checked again when its secret is long replaced, until
// its source is gone.
func TestTheProofOfASignatureStays(t *testing.T) {
	o := options(t)
	g := start(t, o)
	open := yousignSource()
	open.IncludeSensitiveFields = true
	src := g.createSource("signed", open)
	body, _, err := yousign.Sample("signer.done", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+g.Addrs().Ingress+src.GetIngressPath(), strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("9", 3000)
	req.Header = http.Header{
		"Content-Type":            {"application/json"},
		"X-Yousign-Signature-256": {yousign.Sign(secret, body)},
		"X-Yousign-Issued-At":     {"1772439061", long, "a\xffb"},
		"Authorization":           {"Bearer hidden"},
	}
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}})
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	_ = resp.Body.Close()
	name := next(t, stream).GetName()

	proof := g.get(name, hookstreamv1.EventView_EVENT_VIEW_FULL).GetProof()
	var lines []string
	for _, l := range proof.GetHeaders() {
		lines = append(lines, l.GetName()+": "+l.GetValue()+string(l.GetBinaryValue()))
	}
	want := []string{
		"X-Yousign-Signature-256: " + yousign.Sign(secret, body),
		"X-Yousign-Issued-At: 1772439061", "X-Yousign-Issued-At: " + long, "X-Yousign-Issued-At: a\xffb",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("kept are %q", lines)
	}
	if len(proof.GetSalt()) != 16 || proof.GetKeyFingerprint() != provider.KeyFingerprint(secret) || proof.GetAnswer() != nil {
		t.Errorf("kept is %v", proof)
	}
	for _, view := range []hookstreamv1.EventView{hookstreamv1.EventView_EVENT_VIEW_METADATA, hookstreamv1.EventView_EVENT_VIEW_TYPED, hookstreamv1.EventView_EVENT_VIEW_RAW} {
		if shown := g.get(name, view); shown.GetProof() != nil {
			t.Errorf("%s shows the proof", view)
		}
	}
	if got := g.verifyAgain(name); got.GetOutcome() != genuineNow || got.GetSecretRetireTime() != nil || got.GetMethod() != "hmac-sha256" {
		t.Errorf("at first %v", got)
	}
	sources := hookstreamv1.NewSourceServiceClient(g.conn)
	for _, next := range []string{"another-secret-0000", "and-one-more-00000"} {
		if _, err := sources.RotateSourceSecret(t.Context(), &hookstreamv1.RotateSourceSecretRequest{Name: src.GetName(), Secret: next, Overlap: durationpb.New(0)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.verifyAgain(name); got.GetOutcome() != genuineNow || got.GetSecretRetireTime() == nil {
		t.Errorf("with a retired secret %v", got)
	}
	// The sender may call the header otherwise from now on.
	if _, err := sources.UpdateSource(t.Context(), &hookstreamv1.UpdateSourceRequest{Source: &hookstreamv1.Source{
		Name: src.GetName(), Config: &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{SignatureHeader: "X-Signature"}},
	}}); err != nil {
		t.Fatal(err)
	}
	if got := g.verifyAgain(name); got.GetOutcome() != genuineNow {
		t.Errorf("with another header %v", got)
	}
	// A restart knows it too.
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	g = start(t, o)
	if got := g.verifyAgain(name); got.GetOutcome() != genuineNow {
		t.Errorf("after a restart %v", got)
	}
	if _, err := hookstreamv1.NewSourceServiceClient(g.conn).DeleteSource(t.Context(), &hookstreamv1.DeleteSourceRequest{Name: src.GetName()}); err != nil {
		t.Fatal(err)
	}
	if got := g.verifyAgain(name); got.GetOutcome() != unknownNow || got.GetReason() != "source_gone" {
		t.Errorf("without its source %v", got)
	}
}

// A workspace is one condition of a filter, whatever kind of object is in it.
func TestWorkspacesInFilters(t *testing.T) {
	g := start(t, options(t))
	src := g.createSource("spaces", yousignSource())
	for i, data := range []string{
		`{"signature_request":{"id":"1","workspace_id":"w1"}}`, `{"user":{"id":"1","workspaces":[{"id":"w0"},{"id":"w1"}]}}`,
		`{"bank_account":{"id":"1","workspace_id":"w1"}}`, `{"bank_account":{"id":"1","workspace_id":"w2"}}`, `{"contact":{"id":"1"}}`,
	} {
		body := fmt.Sprintf(`{"event_id":"%d","event_name":"a.b","data":%s}`, i, data)
		if status := g.post(src.GetIngressPath(), yousign.Sign(secret, []byte(body)), body); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
	}
	s := sheet{t: t, g: g}
	if found := s.events(`"w1" in event.yousign.workspace_ids`); len(found) != 3 {
		t.Errorf("%d events of the workspace, want 3", len(found))
	}
}

// Ignisign's answer stays with the event, and says the same when it is read again.
func TestTheAnswerAboutATokenStays(t *testing.T) {
	api := startSimulator(t, simulate.Options{})
	g := start(t, options(t))
	src := g.createSource("esign", ignisignSource(api, 0))
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}})
	body, err := ignisign.Sample("SIGNER.CREATED", api.App().ID, api.App().Env, api.MintToken(api.App().ID, api.App().Env))
	if err != nil {
		t.Fatal(err)
	}
	if status := g.post(src.GetIngressPath(), "", string(body)); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	name := next(t, stream).GetName()
	if got := g.verifyAgain(name); got.GetOutcome() != genuineNow || got.GetMethod() != "token" {
		t.Errorf("%v", got)
	}
	if _, err := hookstreamv1.NewEventServiceClient(g.conn).GetEvent(t.Context(), &hookstreamv1.GetEventRequest{Name: name, View: hookstreamv1.EventView_EVENT_VIEW_FULL}); err == nil {
		t.Error("FULL is shown by a source that withholds")
	}
	if _, err := hookstreamv1.NewSourceServiceClient(g.conn).UpdateSource(t.Context(), &hookstreamv1.UpdateSourceRequest{
		Source:     &hookstreamv1.Source{Name: src.GetName(), IncludeSensitiveFields: true},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"include_sensitive_fields"}},
	}); err != nil {
		t.Fatal(err)
	}
	proof := g.get(name, hookstreamv1.EventView_EVENT_VIEW_FULL).GetProof()
	if a := proof.GetAnswer(); a.GetStatus()/100 != 2 || !strings.Contains(string(a.GetBody()), "isValid") || a.GetCut() {
		t.Errorf("kept is %v", proof)
	}
	if len(proof.GetSalt()) != 16 || proof.GetKeyFingerprint() != provider.KeyFingerprint(api.App().Keys[0]) {
		t.Errorf("kept is %v", proof)
	}
}

// A topic that is switched off is so under all its names.
func TestSwitchedOffByAnyName(t *testing.T) {
	api := startSimulator(t, simulate.Options{})
	g := start(t, options(t))
	off := ignisignSource(api, 0)
	off.DisabledTypes = []string{"APP.*", "SIGNATURE_SIGNER_IMAGE.*", "SIGNATURE.CREATED"}
	src := g.createSource("esign", off)
	for _, typ := range []string{"APPLICATION.ARCHIVED", "SIGNATURE_IMAGE.GENERATED", "SIGNATURE.FINALIZED"} {
		token := api.MintToken(api.App().ID, api.App().Env)
		body, err := ignisign.Sample(typ, api.App().ID, api.App().Env, token)
		if err != nil {
			t.Fatal(err)
		}
		if status := g.post(src.GetIngressPath(), "", string(body)); status != http.StatusOK || api.Checks(token) != 0 {
			t.Errorf("%s: answered %d, and asked %d times", typ, status, api.Checks(token))
		}
	}
}
