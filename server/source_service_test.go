package server

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider/yousign"
)

func yousignSource(secrets ...string) *hookstreamv1.Source {
	return &hookstreamv1.Source{Config: &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{Secrets: secrets}}}
}

func ignisignSource(apiKey string) *hookstreamv1.Source {
	return &hookstreamv1.Source{Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{
		AppId: "appId_1", AppEnv: "PRODUCTION", ApiKey: apiKey,
	}}}
}

func (g *gateway) create(t *testing.T, id string, src *hookstreamv1.Source) *hookstreamv1.Source {
	t.Helper()
	created, err := g.sources.CreateSource(t.Context(), &hookstreamv1.CreateSourceRequest{SourceId: id, Source: src})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// kept answers the source as the gateway itself has it, credentials included.
func (g *gateway) kept(t *testing.T, id string) *hookstreamv1.Source {
	t.Helper()
	src, err := g.opts.Sources.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// What gRPC writes REST reads, and the other way round.
func TestBothFacesShowTheSameSources(t *testing.T) {
	g := start(t)
	g.create(t, "by-grpc", yousignSource("secret-by-grpc"))
	code, _, body := g.do(t, "POST", "/v1/sources?sourceId=by-rest",
		`{"description":"REST","yousign":{"secrets":["secret-by-rest"]},"labels":{"team":"a"},"verificationMode":"VERIFICATION_MODE_SHADOW"}`)
	if code != 200 {
		t.Fatalf("create: %d %s", code, body)
	}
	for _, id := range []string{"by-grpc", "by-rest"} {
		want, err := g.sources.GetSource(t.Context(), &hookstreamv1.GetSourceRequest{Name: "sources/" + id})
		if err != nil {
			t.Fatal(err)
		}
		_, _, body := g.do(t, "GET", "/v1/sources/"+id, "")
		got := new(hookstreamv1.Source)
		if err := protojson.Unmarshal([]byte(body), got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-gRPC +REST):\n%s", id, diff)
		}
	}
	if code, _, body := g.do(t, "DELETE", "/v1/sources/by-grpc", ""); code != 200 || strings.TrimSpace(body) != "{}" {
		t.Errorf("delete: %d %s", code, body)
	}
	_, err := g.sources.GetSource(t.Context(), &hookstreamv1.GetSourceRequest{Name: "sources/by-grpc"})
	wantStatus(t, err, codes.NotFound, "RESOURCE_NOT_FOUND")
	if code, _, body := g.do(t, "GET", "/v1/sources/by-grpc", ""); code != 404 || !strings.Contains(body, "RESOURCE_NOT_FOUND") {
		t.Errorf("get after delete: %d %s", code, body)
	}
}

// Every method is called over both faces, and no answer may hold a credential
// that the caller gave.
func TestNoAnswerHoldsACredential(t *testing.T) {
	g := start(t, func(o *Options, _ *HTTPOptions) {
		o.TestSender = senderFunc(func(_ context.Context, src *hookstreamv1.Source, typ string) (*hookstreamv1.SendSourceTestEventResponse, error) {
			return &hookstreamv1.SendSourceTestEventResponse{HttpStatus: 200, Type: typ}, nil
		})
	})
	var answers []string
	add := func(m proto.Message, err error) {
		t.Helper()
		if err != nil {
			answers = append(answers, err.Error())
			return
		}
		answers = append(answers, protojson.Format(m))
	}
	ctx := t.Context()
	for _, id := range []string{"y", "i"} {
		src := yousignSource("hidden-yousign")
		if id == "i" {
			src = ignisignSource("hidden-ignisign")
		}
		name := "sources/" + id
		add(g.sources.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: id, Source: src, ValidateOnly: true}))
		add(g.sources.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: id, Source: src}))
		add(g.sources.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: id, Source: src}))
		add(g.sources.GetSource(ctx, &hookstreamv1.GetSourceRequest{Name: name}))
		add(g.sources.ListSources(ctx, &hookstreamv1.ListSourcesRequest{}))
		update := proto.CloneOf(src)
		update.Name, update.Description = name, "x"
		add(g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: update, ValidateOnly: true}))
		add(g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: update}))
		add(g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: update, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"*"}}}))
		add(g.sources.DisableSource(ctx, &hookstreamv1.DisableSourceRequest{Name: name}))
		add(g.sources.EnableSource(ctx, &hookstreamv1.EnableSourceRequest{Name: name}))
		add(g.sources.RotateSourceSecret(ctx, &hookstreamv1.RotateSourceSecretRequest{Name: name, Secret: "hidden-rotated"}))
		add(g.sources.SendSourceTestEvent(ctx, &hookstreamv1.SendSourceTestEventRequest{Name: name}))
		for _, path := range []string{"", "?pageSize=1", "/" + id, "/" + id + ":disable", "/" + id + ":rotateSecret", "/" + id + ":sendTestEvent"} {
			for _, method := range []string{"GET", "POST", "PATCH"} {
				_, _, body := g.do(t, method, "/v1/sources"+path, `{"secret":"hidden-rotated2"}`)
				answers = append(answers, body)
			}
		}
	}
	for _, answer := range answers {
		if strings.Contains(answer, "hidden-") {
			t.Errorf("holds a credential: %s", answer)
		}
	}
	if logs := g.logs.String(); strings.Contains(logs, "hidden-") {
		t.Errorf("the log holds a credential: %s", logs)
	}
	if g.kept(t, "y").GetYousign().GetSecrets()[0] != "hidden-rotated2" {
		t.Error("the walk did not reach RotateSourceSecret over REST")
	}
}

// A gateway may come to tell of itself as the source hookstream.
func TestNobodyMakesTheGatewaysOwnSource(t *testing.T) {
	g := start(t)
	_, create := g.sources.CreateSource(t.Context(), &hookstreamv1.CreateSourceRequest{SourceId: "hookstream", Source: yousignSource("secret-one")})
	_, ensure := g.sources.EnsureSource(t.Context(), &hookstreamv1.EnsureSourceRequest{SourceId: "hookstream", Source: yousignSource("secret-one")})
	for _, err := range []error{create, ensure} {
		st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
		if diff := cmp.Diff([]string{"source_id"}, violated(st)); diff != "" || !strings.Contains(st.Message(), "the gateway itself") {
			t.Errorf("%s: violations (-want +got):\n%s", st.Message(), diff)
		}
	}
	g.create(t, "hookstream-1", yousignSource("secret-one"))
}

func TestCreateChecksWhatTheProviderNeeds(t *testing.T) {
	g := start(t)
	_, err := g.sources.CreateSource(t.Context(), &hookstreamv1.CreateSourceRequest{SourceId: "billing", Source: yousignSource()})
	st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	if diff := cmp.Diff([]string{"source.yousign"}, violated(st)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	g.create(t, "billing", yousignSource("secret-one"))
	for _, validateOnly := range []bool{true, false} {
		_, err = g.sources.CreateSource(t.Context(), &hookstreamv1.CreateSourceRequest{
			SourceId: "billing", Source: yousignSource("secret-one"), ValidateOnly: validateOnly,
		})
		wantStatus(t, err, codes.AlreadyExists, "RESOURCE_EXISTS")
	}
}

func TestValidateOnlyKeepsNothing(t *testing.T) {
	g := start(t)
	ctx := t.Context()
	draft, err := g.sources.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{
		SourceId: "billing", Source: yousignSource("secret-one"), ValidateOnly: true,
	})
	if err != nil || draft.GetName() != "sources/billing" || len(draft.GetYousign().GetSecretStates()) != 1 {
		t.Errorf("draft %v, %v", draft, err)
	}
	if n := len(g.opts.Sources.List()); n != 0 {
		t.Errorf("%d sources were kept", n)
	}
	before := g.create(t, "billing", yousignSource("secret-one"))
	preview, err := g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{
		Source: &hookstreamv1.Source{Name: before.GetName(), Description: "x"}, ValidateOnly: true,
	})
	if err != nil || preview.GetDescription() != "x" {
		t.Errorf("preview %v, %v", preview, err)
	}
	if got := g.kept(t, "billing"); got.GetDescription() != "" || got.GetEtag() != before.GetEtag() {
		t.Error("the preview was kept")
	}
}

func TestListSourcesInPages(t *testing.T) {
	g := start(t)
	for i := range 7 {
		g.create(t, fmt.Sprintf("s%d", i), yousignSource("secret-one"))
	}
	var got []string
	token := ""
	for pages := 1; ; pages++ {
		resp, err := g.sources.ListSources(t.Context(), &hookstreamv1.ListSourcesRequest{PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range resp.GetSources() {
			got = append(got, src.GetName())
		}
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
		// What comes and goes between pages moves nothing else.
		if pages == 1 {
			g.create(t, "s0-new", yousignSource("secret-one"))
			if _, err := g.sources.DeleteSource(t.Context(), &hookstreamv1.DeleteSourceRequest{Name: "sources/s2"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"sources/s0", "sources/s1", "sources/s2", "sources/s3", "sources/s4", "sources/s5", "sources/s6"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	for _, token := range []string{"nonsense!", pageToken("eventTypes/", "x")} {
		_, err := g.sources.ListSources(t.Context(), &hookstreamv1.ListSourcesRequest{PageToken: token})
		wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	}
}

func TestAPageFitsIntoAMessage(t *testing.T) {
	var all []*hookstreamv1.EventType
	for i := range 300 {
		all = append(all, &hookstreamv1.EventType{Provider: "p", Type: fmt.Sprintf("t%03d", i), Example: strings.Repeat("x", 30_000)})
	}
	g := start(t, func(o *Options, _ *HTTPOptions) { o.EventTypes = all })
	count, token := 0, ""
	for {
		resp, err := g.catalog.ListEventTypes(t.Context(), &hookstreamv1.ListEventTypesRequest{PageSize: 1000, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if size := proto.Size(resp); size > 3<<20 {
			t.Errorf("a page of %d bytes", size)
		}
		count += len(resp.GetEventTypes())
		if token = resp.GetNextPageToken(); token == "" {
			break
		}
	}
	if count != len(all) {
		t.Errorf("%d of %d types in all pages", count, len(all))
	}
}

func TestUpdateRefusesAnOldEtag(t *testing.T) {
	g := start(t)
	old := g.create(t, "billing", yousignSource("secret-one"))
	update := &hookstreamv1.Source{Name: old.GetName(), Etag: old.GetEtag(), Description: "one"}
	if _, err := g.sources.UpdateSource(t.Context(), &hookstreamv1.UpdateSourceRequest{Source: update}); err != nil {
		t.Fatal(err)
	}
	update.Description = "two"
	_, err := g.sources.UpdateSource(t.Context(), &hookstreamv1.UpdateSourceRequest{Source: update})
	wantStatus(t, err, codes.Aborted, "ETAG_MISMATCH")
	code, _, body := g.do(t, "PATCH", "/v1/sources/billing", `{"description":"three","etag":"`+old.GetEtag()+`"}`)
	if code != 409 || !strings.Contains(body, "ETAG_MISMATCH") {
		t.Errorf("REST: %d %s", code, body)
	}
	_, err = g.sources.DeleteSource(t.Context(), &hookstreamv1.DeleteSourceRequest{Name: old.GetName(), Etag: old.GetEtag()})
	wantStatus(t, err, codes.Aborted, "ETAG_MISMATCH")
	if got := g.kept(t, "billing").GetDescription(); got != "one" {
		t.Errorf("description %q", got)
	}
}

func TestEnableAndDisable(t *testing.T) {
	g := start(t)
	name := g.create(t, "billing", yousignSource("secret-one")).GetName()
	for range 2 { // no error when it is so already
		src, err := g.sources.DisableSource(t.Context(), &hookstreamv1.DisableSourceRequest{Name: name})
		if err != nil || !src.GetDisabled() {
			t.Errorf("disable: %v, %v", src, err)
		}
	}
	if code, _, body := g.do(t, "POST", "/v1/sources/billing:enable", ""); code != 200 {
		t.Errorf("enable: %d %s", code, body)
	}
	if g.kept(t, "billing").GetDisabled() {
		t.Error("still disabled")
	}
	_, err := g.sources.EnableSource(t.Context(), &hookstreamv1.EnableSourceRequest{Name: "sources/other"})
	wantStatus(t, err, codes.NotFound, "RESOURCE_NOT_FOUND")
}

func TestRotateYousignSecret(t *testing.T) {
	g := start(t)
	name := g.create(t, "billing", yousignSource("secret-old")).GetName()
	before := time.Now()
	resp, err := g.sources.RotateSourceSecret(t.Context(), &hookstreamv1.RotateSourceSecretRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9]{32}$`).MatchString(resp.GetSecret()) {
		t.Errorf("made %q", resp.GetSecret())
	}
	cfg := g.kept(t, "billing").GetYousign()
	if diff := cmp.Diff([]string{resp.GetSecret(), "secret-old"}, cfg.GetSecrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	end := cfg.GetSecretStates()[1].GetExpireTime().AsTime()
	if first := cfg.GetSecretStates()[0]; first.GetExpireTime() != nil || end.Before(before.Add(yousign.DefaultOverlap)) || end.After(time.Now().Add(yousign.DefaultOverlap)) {
		t.Errorf("states %v", cfg.GetSecretStates())
	}
	// An update that sets the list sets it for good.
	update := yousignSource("secret-old", resp.GetSecret())
	update.Name = name
	if _, err := g.sources.UpdateSource(t.Context(), &hookstreamv1.UpdateSourceRequest{Source: update}); err != nil {
		t.Fatal(err)
	}
	states := g.kept(t, "billing").GetYousign().GetSecretStates()
	if states[0].GetExpireTime() != nil || states[1].GetExpireTime() != nil {
		t.Errorf("after the list was set: states %v, want none to end", states)
	}
	resp, err = g.sources.RotateSourceSecret(t.Context(), &hookstreamv1.RotateSourceSecretRequest{Name: name, Secret: "secret-given", Overlap: durationpb.New(0)})
	if err != nil || resp.GetSecret() != "" {
		t.Errorf("given: %v, %v", resp, err)
	}
	if diff := cmp.Diff([]string{"secret-given"}, g.kept(t, "billing").GetYousign().GetSecrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	_, err = g.sources.RotateSourceSecret(t.Context(), &hookstreamv1.RotateSourceSecretRequest{Name: name, Secret: "short"})
	st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	if diff := cmp.Diff([]string{"secret"}, violated(st)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestRotateIgnisignKey(t *testing.T) {
	g := start(t)
	old := g.create(t, "crm", ignisignSource("key-old"))
	_, err := g.sources.RotateSourceSecret(t.Context(), &hookstreamv1.RotateSourceSecretRequest{Name: old.GetName(), Overlap: durationpb.New(time.Hour)})
	st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	if diff := cmp.Diff([]string{"overlap", "secret"}, violated(st)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	resp, err := g.sources.RotateSourceSecret(t.Context(), &hookstreamv1.RotateSourceSecretRequest{Name: old.GetName(), Secret: "key-new"})
	if err != nil {
		t.Fatal(err)
	}
	if g.kept(t, "crm").GetIgnisign().GetApiKey() != "key-new" {
		t.Error("the key was not replaced")
	}
	if resp.GetSource().GetIgnisign().GetApiKeyFingerprint() == old.GetIgnisign().GetApiKeyFingerprint() {
		t.Error("the fingerprint did not change")
	}
}

type senderFunc func(context.Context, *hookstreamv1.Source, string) (*hookstreamv1.SendSourceTestEventResponse, error)

func (f senderFunc) SendTest(ctx context.Context, src *hookstreamv1.Source, typ string) (*hookstreamv1.SendSourceTestEventResponse, error) {
	return f(ctx, src, typ)
}

func TestSendSourceTestEvent(t *testing.T) {
	g := start(t, func(o *Options, _ *HTTPOptions) {
		o.TestSender = senderFunc(func(_ context.Context, src *hookstreamv1.Source, typ string) (*hookstreamv1.SendSourceTestEventResponse, error) {
			if len(src.GetYousign().GetSecrets()) != 1 {
				return nil, ErrNotSupportedByProvider
			}
			if typ == "" {
				typ = "signature_request.done"
			}
			return &hookstreamv1.SendSourceTestEventResponse{HttpStatus: 503, Type: typ}, nil
		})
	})
	g.create(t, "billing", yousignSource("secret-one"))
	g.create(t, "crm", ignisignSource("key"))
	resp, err := g.sources.SendSourceTestEvent(t.Context(), &hookstreamv1.SendSourceTestEventRequest{Name: "sources/billing"})
	if err != nil || resp.GetHttpStatus() != 503 || resp.GetType() != "signature_request.done" {
		t.Errorf("%v, %v", resp, err)
	}
	_, err = g.sources.SendSourceTestEvent(t.Context(), &hookstreamv1.SendSourceTestEventRequest{Name: "sources/billing", Type: "no.such"})
	st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	if diff := cmp.Diff([]string{"type"}, violated(st)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	_, err = g.sources.SendSourceTestEvent(t.Context(), &hookstreamv1.SendSourceTestEventRequest{Name: "sources/crm"})
	wantStatus(t, err, codes.FailedPrecondition, "NOT_SUPPORTED_BY_PROVIDER")
}
