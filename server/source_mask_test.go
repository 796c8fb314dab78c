package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// before is a source with something in every kind of field.
func before() *hookstreamv1.Source {
	return &hookstreamv1.Source{
		Name: "sources/crm", Description: "CRM", Disabled: true, Etag: "1", IngressPath: "/webhooks/crm/k",
		Labels: map[string]string{"a": "1", "b": "2"},
		Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{
			AppId: "appId_1", AppEnv: "PRODUCTION", ApiKey: "key", ApiKeyFingerprint: "f", ApiBaseUrl: "https://x",
		}},
	}
}

func TestApplyMask(t *testing.T) {
	ignisign := func(c *ignisignv1.SourceConfig) *hookstreamv1.Source_Ignisign {
		return &hookstreamv1.Source_Ignisign{Ignisign: c}
	}
	tests := []struct {
		name  string
		src   *hookstreamv1.Source
		paths []string
		want  func(*hookstreamv1.Source)
	}{
		{
			name: "no mask names what is set, inside of the config too",
			src:  &hookstreamv1.Source{Description: "new", Config: ignisign(&ignisignv1.SourceConfig{AppEnv: "STAGING"})},
			want: func(s *hookstreamv1.Source) { s.Description, s.GetIgnisign().AppEnv = "new", "STAGING" },
		},
		{
			name: "no mask and an empty config change nothing",
			src:  &hookstreamv1.Source{Config: ignisign(&ignisignv1.SourceConfig{})},
			want: func(*hookstreamv1.Source) {},
		},
		{
			name:  "a mask clears what is not set, and leaves what it does not name",
			src:   &hookstreamv1.Source{Description: "not named"},
			paths: []string{"disabled", "labels"},
			want:  func(s *hookstreamv1.Source) { s.Disabled, s.Labels = false, nil },
		},
		{
			name:  "JSON's spelling names the same",
			src:   &hookstreamv1.Source{Description: "new", Config: ignisign(&ignisignv1.SourceConfig{ApiKey: "new"})},
			paths: []string{"description", "ignisign.apiKey"},
			want:  func(s *hookstreamv1.Source) { s.Description, s.GetIgnisign().ApiKey = "new", "new" },
		},
		{
			name:  "one key of a map",
			src:   &hookstreamv1.Source{Labels: map[string]string{"a": "9", "c": "3"}},
			paths: []string{"labels.a", "labels.b"},
			want:  func(s *hookstreamv1.Source) { s.Labels = map[string]string{"a": "9"} },
		},
		{
			name:  "a key of a map that has dots",
			src:   &hookstreamv1.Source{Labels: map[string]string{"example.com/team": "crm"}},
			paths: []string{"labels.example.com/team"},
			want: func(s *hookstreamv1.Source) {
				s.Labels = map[string]string{"a": "1", "b": "2", "example.com/team": "crm"}
			},
		},
		{
			name:  "a config as a whole keeps its credential",
			src:   &hookstreamv1.Source{Config: ignisign(&ignisignv1.SourceConfig{AppId: "appId_2", AppEnv: "STAGING"})},
			paths: []string{"ignisign"},
			want: func(s *hookstreamv1.Source) {
				c := s.GetIgnisign()
				c.AppId, c.AppEnv, c.ApiBaseUrl = "appId_2", "STAGING", ""
			},
		},
		{
			name:  "a config as a whole may bring a credential",
			src:   &hookstreamv1.Source{Config: ignisign(&ignisignv1.SourceConfig{AppId: "appId_1", AppEnv: "PRODUCTION", ApiKey: "new"})},
			paths: []string{"ignisign"},
			want:  func(s *hookstreamv1.Source) { s.GetIgnisign().ApiKey, s.GetIgnisign().ApiBaseUrl = "new", "" },
		},
		{
			name:  "everything but the credential",
			src:   &hookstreamv1.Source{Description: "only", Config: ignisign(&ignisignv1.SourceConfig{AppId: "appId_1", AppEnv: "STAGING"})},
			paths: []string{"*"},
			want: func(s *hookstreamv1.Source) {
				s.Description, s.Disabled, s.Labels = "only", false, nil
				s.GetIgnisign().AppEnv, s.GetIgnisign().ApiBaseUrl = "STAGING", ""
			},
		},
		{
			name: "what only the gateway writes is passed over",
			src: &hookstreamv1.Source{
				Name: "sources/other", IngressPath: "/other", Etag: "9", Description: "new",
				Config: ignisign(&ignisignv1.SourceConfig{ApiKeyFingerprint: "9"}),
			},
			paths: []string{"name", "ingress_path", "etag", "create_time", "ignisign.api_key_fingerprint", "description"},
			want:  func(s *hookstreamv1.Source) { s.Description = "new" },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, got := before(), before()
			tt.want(want)
			if v := updateMasked(got, tt.src, tt.paths).violations; len(v) > 0 {
				t.Fatalf("refused: %v", v)
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestApplyMaskRefuses(t *testing.T) {
	ignisign := &hookstreamv1.Source{Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{ApiKey: "new"}}}
	yousign := &hookstreamv1.Source{Config: &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{}}}
	tests := []struct {
		name  string
		src   *hookstreamv1.Source
		paths []string
		field string
	}{
		{"another provider", yousign, nil, "source.yousign"},
		{"another provider by mask", &hookstreamv1.Source{}, []string{"yousign"}, "update_mask"},
		{"a part of another provider", &hookstreamv1.Source{}, []string{"yousign.secrets"}, "update_mask"},
		{"to become keyless", &hookstreamv1.Source{Keyless: true}, nil, "source.keyless"},
		{"an unknown field", &hookstreamv1.Source{}, []string{"colour"}, "update_mask"},
		{"an unknown part", &hookstreamv1.Source{}, []string{"ignisign.colour"}, "update_mask"},
		{"a part of a text", &hookstreamv1.Source{}, []string{"description.x"}, "update_mask"},
		{"an empty path", &hookstreamv1.Source{}, []string{""}, "update_mask"},
		{"a credential in everything", ignisign, []string{"*"}, "source.ignisign.api_key"},
		{"a config that is not given", &hookstreamv1.Source{}, []string{"ignisign"}, "source.ignisign"},
		{"everything and more", &hookstreamv1.Source{}, []string{"*", "disabled"}, "update_mask"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := updateMasked(before(), tt.src, tt.paths).violations
			if len(v) != 1 || v[0].GetField() != tt.field {
				t.Errorf("violations %v, want one of %s", v, tt.field)
			}
		})
	}
}

func TestUpdateSource(t *testing.T) {
	g := start(t)
	ctx := t.Context()
	name := g.create(t, "billing", yousignSource("secret-one")).GetName()
	got, err := g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{
		Source: &hookstreamv1.Source{Name: name, Config: &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{SignatureHeader: "X-Other"}}},
	})
	if err != nil || got.GetYousign().GetSignatureHeader() != "X-Other" {
		t.Errorf("%v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"secret-one"}, g.kept(t, "billing").GetYousign().GetSecrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	before := g.kept(t, "billing")
	for what, update := range map[string]struct {
		src   *hookstreamv1.Source
		paths []string
		field string
	}{
		"a rule of the schema": {&hookstreamv1.Source{Description: strings.Repeat("x", 513)}, nil, "source.description"},
		"no secret left":       {&hookstreamv1.Source{}, []string{"yousign.secrets"}, "source.yousign"},
	} {
		update.src.Name = name
		_, err := g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: update.src, UpdateMask: &fieldmaskpb.FieldMask{Paths: update.paths}})
		st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
		if diff := cmp.Diff([]string{update.field}, violated(st)); diff != "" {
			t.Errorf("%s: violations (-want +got):\n%s", what, diff)
		}
	}
	if !proto.Equal(before.GetYousign().GetSecretStates()[0], g.kept(t, "billing").GetYousign().GetSecretStates()[0]) {
		t.Error("a refused update changed the secret")
	}
	_, err = g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: &hookstreamv1.Source{Name: "nonsense"}})
	if diff := cmp.Diff([]string{"source.name"}, violated(wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID"))); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// Over REST the body itself says what is to change: what it holds, defaults
// included.
func TestPatchChangesWhatTheBodyHolds(t *testing.T) {
	g := start(t)
	src := yousignSource("secret-one")
	src.Disabled, src.Description = true, "Billing"
	g.create(t, "billing", src)
	code, _, body := g.do(t, "PATCH", "/v1/sources/billing", `{"disabled":false,"yousign":{"signatureHeader":"X-Other"}}`)
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	got := g.kept(t, "billing")
	if got.GetDisabled() || got.GetDescription() != "Billing" || got.GetYousign().GetSignatureHeader() != "X-Other" || len(got.GetYousign().GetSecrets()) != 1 {
		t.Errorf("kept %v", got)
	}
	code, _, body = g.do(t, "PATCH", "/v1/sources/billing?updateMask=description", `{"disabled":true}`)
	if code != 200 || g.kept(t, "billing").GetDescription() != "" || g.kept(t, "billing").GetDisabled() {
		t.Errorf("with a mask: %d %s", code, body)
	}
	for _, body := range []string{`{"colour":"red"}`, `{"disabled":"maybe"}`, `{"disabled":true} trailing`} {
		code, _, answer := g.do(t, "PATCH", "/v1/sources/billing", body)
		if code != 400 || !strings.Contains(answer, "REQUEST_INVALID") {
			t.Errorf("%s: %d %s", body, code, answer)
		}
	}
}
