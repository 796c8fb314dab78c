package server

import (
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

// Ensure makes a source once, finds it again and again, also after an operator has
// disabled it, and changes nothing.
func TestEnsureSource(t *testing.T) {
	g := start(t)
	for _, src := range []*hookstreamv1.Source{yousignSource("secret-one", "secret-two"), ignisignSource("key-one")} {
		req := &hookstreamv1.EnsureSourceRequest{SourceId: "s-" + provider.IDOf(src), Source: src}
		src.Description, src.Labels, src.DisabledTypes = "x", map[string]string{"a": "b"}, []string{"a.*"}
		first, err := g.sources.EnsureSource(t.Context(), req)
		if err != nil || !first.GetCreated() {
			t.Fatalf("%v, %v", first, err)
		}
		if _, err := g.sources.DisableSource(t.Context(), &hookstreamv1.DisableSourceRequest{Name: first.GetSource().GetName()}); err != nil {
			t.Fatal(err)
		}
		before := g.kept(t, req.GetSourceId())
		src.VerificationMode = hookstreamv1.VerificationMode_VERIFICATION_MODE_ENFORCE // as it is by default
		again, err := g.sources.EnsureSource(t.Context(), req)
		if err != nil || again.GetCreated() || again.GetSource().GetUid() != first.GetSource().GetUid() || !again.GetSource().GetDisabled() {
			t.Errorf("%v, %v", again, err)
		}
		if after := g.kept(t, req.GetSourceId()); after.GetEtag() != before.GetEtag() {
			t.Error("it was changed")
		}
		for _, answer := range []*hookstreamv1.Source{first.GetSource(), again.GetSource()} {
			if len(answer.GetYousign().GetSecrets()) > 0 || answer.GetIgnisign().GetApiKey() != "" {
				t.Errorf("credentials are answered: %v", answer)
			}
		}
	}
}

// What differs is named, and no credential is.
func TestEnsureSourceNamesWhatDiffers(t *testing.T) {
	g := start(t)
	g.create(t, "y", yousignSource("secret-one"))
	g.create(t, "i", ignisignSource("key-one"))
	if _, err := g.sources.RotateSourceSecret(t.Context(), &hookstreamv1.RotateSourceSecretRequest{Name: "sources/y", Secret: "secret-two"}); err != nil {
		t.Fatal(err)
	}
	other := yousignSource("secret-two")
	other.Labels, other.Keyless, other.GetYousign().SignatureHeader = map[string]string{"a": "b"}, true, "X-Other"
	for _, tt := range []struct {
		id   string
		src  *hookstreamv1.Source
		want string
	}{
		{"y", yousignSource("secret-two"), ""},
		{"y", yousignSource("secret-two", "secret-one"), ""}, // which is accepted still
		{"y", yousignSource("secret-one"), "yousign.secrets"},
		{"y", yousignSource("secret-two", "secret-hidden"), "yousign.secrets"},
		{"y", other, "yousign.signature_header,labels,keyless"},
		{"y", ignisignSource("key-one"), "ignisign,yousign"},
		{"i", ignisignSource("key-one"), ""},
		{"i", ignisignSource("key-hidden"), "ignisign.api_key"},
	} {
		_, err := g.sources.EnsureSource(t.Context(), &hookstreamv1.EnsureSourceRequest{SourceId: tt.id, Source: tt.src})
		if tt.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		st := wantStatus(t, err, codes.FailedPrecondition, "SOURCE_DIFFERS")
		if got := differing(st); got != tt.want || strings.Contains(st.Message(), "hidden") {
			t.Errorf("%q names %q, want %q", st.Message(), got, tt.want)
		}
	}
	code, _, body := g.do(t, "POST", "/v1/sources:ensure", `{"sourceId":"y","source":{"yousign":{"secrets":["secret-one"]}}}`)
	if code != 400 || !strings.Contains(body, "SOURCE_DIFFERS") {
		t.Errorf("REST: %d %s", code, body)
	}
	if _, err := g.store().Get("y"); err != nil {
		t.Error(err)
	}
}

// A source that nobody could use is not made.
func TestEnsureSourceNeedsACredential(t *testing.T) {
	g := start(t)
	_, err := g.sources.EnsureSource(t.Context(), &hookstreamv1.EnsureSourceRequest{SourceId: "y", Source: yousignSource()})
	wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	if _, err := g.store().Get("y"); err == nil {
		t.Error("made")
	}
}

func (g *gateway) store() *source.Store { return g.opts.Sources }

func differing(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetMetadata()["fields"]
		}
	}
	return ""
}
