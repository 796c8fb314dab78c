package simulator

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
)

var storyStart = time.Date(2026, 11, 5, 9, 30, 0, 0, time.UTC)

// told answers the bodies of a story as they would be sent.
func told(t *testing.T, provider string, seed uint64) (types []string, bodies [][]byte) {
	t.Helper()
	story, err := Story(provider, seed, storyStart)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range story {
		types = append(types, m.Type)
		now := storyStart.Add(time.Duration(i) * time.Minute)
		if provider == yousignID {
			bodies = append(bodies, m.yousignBody("00000000-0000-4000-8000-000000000000", "sub", now))
		} else {
			bodies = append(bodies, m.ignisignBody(App{ID: "app", Env: "STAGING"}, "token"))
		}
	}
	return types, bodies
}

// kept are the texts of the examples that a story does not change: what is the
// sender's own, or is the same for all.
const kept = "5b0e7a34-91c2-4f0d-8a6b-2d3c4e5f6071|16c458ba-e5f7-46d9-a8cb-041526374859|c17fe365-90a2-4184-9376-5f6071829304|00000000-0000-4000-8000-000000000000"

var (
	uuids  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	hexIDs = regexp.MustCompile(`"[0-9a-f]{24}"`)
)

func TestStoryIsAboutOneSignatureRequest(t *testing.T) {
	paths := map[string][]string{
		yousignID: {
			"data.signature_request.id", "data.signature_request.external_id", "data.signature_request.name",
			"data.signature_request.signers.0.id", "data.signature_request.signers.1.id",
			"data.signature_request.created_at", "data.signature_request.documents.0.id",
		},
		ignisign.ID: {"content.signatureRequestId", "content.signatureRequestExternalId"},
	}
	for provider, paths := range paths {
		seen := map[string]bool{}
		for seed := range uint64(40) {
			_, bodies := told(t, provider, seed)
			for _, path := range paths {
				first := gjson.GetBytes(bodies[0], path).Str
				for i, body := range bodies {
					if got := gjson.GetBytes(body, path).Str; got == "" || got != first {
						t.Errorf("%s %d, step %d: %s is %q, not %q", provider, seed, i, path, got, first)
					}
				}
			}
			seen[gjson.GetBytes(bodies[0], paths[0]).Str] = true
		}
		if len(seen) != 40 {
			t.Errorf("%s: 40 seeds gave %d signature requests", provider, len(seen))
		}
	}
}

// A signer, document or signature that a step names was named by another step, or
// is new, but is never one of the examples.
func TestStoryHoldsNoIDOfTheExamples(t *testing.T) {
	for seed := range uint64(40) {
		_, bodies := told(t, yousignID, seed)
		ids := map[string]bool{}
		for _, body := range bodies {
			for _, id := range uuids.FindAllString(string(body), -1) {
				if !strings.Contains(kept, id) {
					ids[id] = true
				}
			}
		}
		// The request, two signers, two documents, and an approver now and then.
		if len(ids) < 5 || len(ids) > 6 {
			t.Errorf("yousign %d: %d ids in one story", seed, len(ids))
		}
		_, more := told(t, ignisign.ID, seed)
		for i, body := range append(bodies, more...) {
			for _, p := range append(slices.Clone(yousignPlaceholders), ignisignPlaceholders...) {
				if p.fresh != nil && isID(p.text) && bytes.Contains(body, []byte(p.text)) || strings.HasPrefix(p.text, "hold-") && bytes.Contains(body, []byte(p.text)) {
					t.Errorf("seed %d, step %d: %q is still there", seed, i, p.text)
				}
			}
			if !gjson.ValidBytes(body) {
				t.Errorf("seed %d, step %d: no JSON: %s", seed, i, body)
			}
		}
	}
}

func isID(text string) bool { return uuids.MatchString(text) || hexIDs.MatchString(`"`+text+`"`) }

func TestSameSeedTellsTheSameStory(t *testing.T) {
	for _, provider := range []string{yousignID, ignisign.ID} {
		types, bodies := told(t, provider, 3)
		sameTypes, sameBodies := told(t, provider, 3)
		_, otherBodies := told(t, provider, 4)
		if !cmp.Equal(types, sameTypes) || !cmp.Equal(bodies, sameBodies) {
			t.Errorf("%s: two stories of one seed", provider)
		}
		if bytes.Equal(bodies[0], otherBodies[0]) {
			t.Errorf("%s: one story of two seeds", provider)
		}
	}
}

func TestPlots(t *testing.T) {
	want := map[string][]string{
		yousignID: {
			"signature_request.activated signer.notified signer.link_opened signer.done signer.notified signer.link_opened signer.done signature_request.done",
			"signature_request.activated signer.notified signer.link_opened signer.declined signature_request.declined",
			"signature_request.activated approver.notified approver.rejected signature_request.rejected",
			"signature_request.activated approver.notified approver.approved signature_request.approved signer.notified signer.link_opened signer.done signer.notified signer.link_opened signer.done signature_request.done",
		},
		ignisign.ID: {
			"SIGNATURE_REQUEST.INITIALIZED SIGNATURE_REQUEST.READY SIGNATURE_REQUEST.LAUNCHED SIGNATURE.FINALIZED SIGNATURE.FINALIZED SIGNATURE_PROOF.GENERATED SIGNATURE_REQUEST.COMPLETED",
			"SIGNATURE_REQUEST.INITIALIZED SIGNATURE_REQUEST.READY SIGNATURE_REQUEST.LAUNCHED SIGNATURE_REQUEST.CANCELLED",
		},
	}
	for provider, want := range want {
		plots := map[string]int{}
		for seed := range uint64(100) {
			types, _ := told(t, provider, seed)
			plots[strings.Join(types, " ")]++
		}
		for _, plot := range want {
			if plots[plot] == 0 {
				t.Errorf("%s: never %s", provider, plot)
			}
		}
		if len(plots) != len(want) || plots[want[0]] < 50 {
			t.Errorf("%s: %v", provider, plots)
		}
	}
}

// What a step says of the signers agrees with the steps before it.
func TestSignersSignOneAfterTheOther(t *testing.T) {
	for seed := range uint64(20) {
		types, bodies := told(t, yousignID, seed)
		signed := map[string]bool{}
		for i, body := range bodies {
			data := gjson.GetBytes(body, "data")
			if types[i] == "signer.done" {
				signed[data.Get("signer.id").Str] = true
			}
			for _, s := range data.Get("signature_request.signers").Array() {
				if (s.Get("status").Str == "signed") != signed[s.Get("id").Str] {
					t.Errorf("seed %d, %s: signer %s", seed, types[i], s)
				}
			}
		}
	}
}

func TestBothSignersOfALaunchSign(t *testing.T) {
	for seed := range uint64(20) {
		types, bodies := told(t, ignisign.ID, seed)
		if len(types) < 7 {
			continue // cancelled
		}
		launched := gjson.GetBytes(bodies[2], "content.signers")
		first, second := gjson.GetBytes(bodies[3], "content"), gjson.GetBytes(bodies[4], "content")
		for _, key := range []string{"signerId", "signerExternalId"} {
			a, b := launched.Get("signersEmbedded.0."+key).Str, launched.Get("signersBySide.0."+key).Str
			if first.Get(key).Str != a || second.Get(key).Str != b || a == b {
				t.Errorf("seed %d: launched for %s and %s, signed by %s and %s", seed, a, b, first, second)
			}
		}
		if first.Get("signatureId").Str == second.Get("signatureId").Str {
			t.Errorf("seed %d: one signature of two", seed)
		}
	}
}

func TestStoriesDecodeFully(t *testing.T) {
	for seed := range uint64(20) {
		types, bodies := told(t, yousignID, seed)
		for i, body := range bodies {
			if _, state := yousign.Decode(body); state != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
				t.Errorf("%s: %v", types[i], state)
			}
		}
		types, bodies = told(t, ignisign.ID, seed)
		for i, body := range bodies {
			if _, state := ignisign.Decode(body); state != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
				t.Errorf("%s: %v", types[i], state)
			}
		}
	}
}

// The placeholders are texts of examples that somebody else may edit.
func TestPlaceholdersAreInTheExamples(t *testing.T) {
	var all []byte
	for _, e := range append(yousign.Catalog(), ignisign.Catalog()...) {
		all = append(all, e.GetExample()...)
	}
	want := slices.Clone(exampleMoments)
	for _, p := range append(slices.Clone(yousignPlaceholders), ignisignPlaceholders...) {
		if !strings.HasPrefix(p.text, "hold-") && p.text != secondSignatureID {
			want = append(want, p.text)
		}
	}
	for _, text := range want {
		if !bytes.Contains(all, []byte(text)) {
			t.Errorf("%q is in no example", text)
		}
	}
}

func TestNoPlaceholderBeginsWithAnother(t *testing.T) {
	for _, all := range [][]placeholder{yousignPlaceholders, ignisignPlaceholders} {
		for i, p := range all {
			for j, q := range all {
				if i != j && strings.HasPrefix(p.text, q.text) {
					t.Errorf("%q begins with %q", p.text, q.text)
				}
			}
		}
	}
}

func TestTemplateChangesOnlyItsPlaceholders(t *testing.T) {
	for _, e := range ignisign.Catalog() {
		tpl, err := ignisignTemplate(e.GetType())
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, p := range ignisignPlaceholders {
			texts = append(texts, p.text)
		}
		want, err := ignisign.Sample(e.GetType(), holdAppID, holdAppEnv, holdToken)
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.fill(texts); !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s", e.GetType(), cmp.Diff(string(want), string(got)))
		}
	}
}

func TestEscapedValuesKeepABodyJSON(t *testing.T) {
	story, err := Story(ignisign.ID, 1, storyStart)
	if err != nil {
		t.Fatal(err)
	}
	const odd = "a\"b\\c\nd<é"
	body := story[0].ignisignBody(App{ID: odd, Env: "STAGING"}, "token")
	if got := gjson.GetBytes(body, "appId").Str; got != odd || !gjson.ValidBytes(body) {
		t.Errorf("%q in %s", got, body)
	}
}

func TestStoriesKeepTheirOwnOrder(t *testing.T) {
	script, err := Stories(5)
	if err != nil {
		t.Fatal(err)
	}
	begun, ended, providers := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for range 500 {
		m, ok := script.Next()
		if !ok {
			t.Fatal("the stories end")
		}
		body := m.template.fill(m.texts)
		id := gjson.GetBytes(body, "data.signature_request.id").Str + gjson.GetBytes(body, "content.signatureRequestId").Str
		first := m.Type == "signature_request.activated" || m.Type == "SIGNATURE_REQUEST.INITIALIZED"
		if first == begun[id] || ended[id] {
			t.Errorf("%s of %s: begun %t, ended %t", m.Type, id, begun[id], ended[id])
		}
		begun[id], providers[m.Provider] = true, true
		switch m.Type {
		case "signature_request.done", "signature_request.declined", "signature_request.rejected",
			"SIGNATURE_REQUEST.COMPLETED", "SIGNATURE_REQUEST.CANCELLED":
			ended[id] = true
		}
	}
	if len(ended) < 20 || len(begun)-len(ended) > storiesAtOnce || len(providers) != 2 {
		t.Errorf("%d begun, %d ended, of %v", len(begun), len(ended), providers)
	}
}
