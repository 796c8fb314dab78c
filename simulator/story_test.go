package simulator_test

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/simulator"
)

var storyStart = time.Date(2026, 11, 5, 9, 30, 0, 0, time.UTC)

// told answers the bodies of a story as they would be sent.
func told(t *testing.T, of *simulator.Repertoire, seed uint64) (types []string, bodies [][]byte) {
	t.Helper()
	story, err := of.Story(seed, storyStart)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range story {
		types = append(types, m.Type)
		bodies = append(bodies, m.Body(sentAt(storyStart.Add(time.Duration(i)*time.Minute))))
	}
	return types, bodies
}

// sentAt are texts for what is known only when it is sent.
func sentAt(now time.Time) map[string]string {
	return map[string]string{
		"hold-event-id": "00000000-0000-4000-8000-000000000000", "hold-event-time": strconv.FormatInt(now.Unix(), 10),
		"hold-moment": now.Format("2006-01-02T15:04:05+00:00"), "f4a23698-c3d5-44b7-86a9-829304152637": "sub",
		"hold-app-id": "app", "hold-app-env": "STAGING", "hold-token": "token",
	}
}

// secondSignatureID is not in the examples of Ignisign: there only one signs.
const secondSignatureID = "66f1c0de4a7b2c0011dd0002"

// kept are the texts of the examples that a story does not change: what is the
// sender's own, or is the same for all.
const kept = "5b0e7a34-91c2-4f0d-8a6b-2d3c4e5f6071|16c458ba-e5f7-46d9-a8cb-041526374859|c17fe365-90a2-4184-9376-5f6071829304|00000000-0000-4000-8000-000000000000"

var (
	uuids  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	hexIDs = regexp.MustCompile(`"[0-9a-f]{24}"`)
)

func TestStoryIsAboutOneSignatureRequest(t *testing.T) {
	paths := map[*simulator.Repertoire][]string{
		ofYousign: {
			"data.signature_request.id", "data.signature_request.external_id", "data.signature_request.name",
			"data.signature_request.signers.0.id", "data.signature_request.signers.1.id",
			"data.signature_request.created_at", "data.signature_request.documents.0.id",
		},
		ofIgnisign: {"content.signatureRequestId", "content.signatureRequestExternalId"},
	}
	for of, paths := range paths {
		seen := map[string]bool{}
		for seed := range uint64(40) {
			_, bodies := told(t, of, seed)
			for _, path := range paths {
				first := gjson.GetBytes(bodies[0], path).Str
				for i, body := range bodies {
					if got := gjson.GetBytes(body, path).Str; got == "" || got != first {
						t.Errorf("%s %d, step %d: %s is %q, not %q", of.Provider, seed, i, path, got, first)
					}
				}
			}
			seen[gjson.GetBytes(bodies[0], paths[0]).Str] = true
		}
		if len(seen) != 40 {
			t.Errorf("%s: 40 seeds gave %d signature requests", of.Provider, len(seen))
		}
	}
}

// A signer, document or signature that a step names was named by another step, or
// is new, but is never one of the examples.
func TestStoryHoldsNoIDOfTheExamples(t *testing.T) {
	for seed := range uint64(40) {
		_, bodies := told(t, ofYousign, seed)
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
		_, more := told(t, ofIgnisign, seed)
		for i, body := range append(bodies, more...) {
			for _, p := range append(slices.Clone(ofYousign.Placeholders), ofIgnisign.Placeholders...) {
				if p.Fresh != nil && isID(p.Text) && bytes.Contains(body, []byte(p.Text)) || strings.HasPrefix(p.Text, "hold-") && bytes.Contains(body, []byte(p.Text)) {
					t.Errorf("seed %d, step %d: %q is still there", seed, i, p.Text)
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
	for _, of := range []*simulator.Repertoire{ofYousign, ofIgnisign} {
		types, bodies := told(t, of, 3)
		sameTypes, sameBodies := told(t, of, 3)
		_, otherBodies := told(t, of, 4)
		if !cmp.Equal(types, sameTypes) || !cmp.Equal(bodies, sameBodies) {
			t.Errorf("%s: two stories of one seed", of.Provider)
		}
		if bytes.Equal(bodies[0], otherBodies[0]) {
			t.Errorf("%s: one story of two seeds", of.Provider)
		}
	}
}

func TestPlots(t *testing.T) {
	want := map[*simulator.Repertoire][]string{
		ofYousign: {
			"signature_request.activated signer.notified signer.link_opened signer.done signer.notified signer.link_opened signer.done signature_request.done",
			"signature_request.activated signer.notified signer.link_opened signer.declined signature_request.declined",
			"signature_request.activated approver.notified approver.rejected signature_request.rejected",
			"signature_request.activated approver.notified approver.approved signature_request.approved signer.notified signer.link_opened signer.done signer.notified signer.link_opened signer.done signature_request.done",
		},
		ofIgnisign: {
			"SIGNATURE_REQUEST.INITIALIZED SIGNATURE_REQUEST.READY SIGNATURE_REQUEST.LAUNCHED SIGNATURE.FINALIZED SIGNATURE.FINALIZED SIGNATURE_PROOF.GENERATED SIGNATURE_REQUEST.COMPLETED",
			"SIGNATURE_REQUEST.INITIALIZED SIGNATURE_REQUEST.READY SIGNATURE_REQUEST.LAUNCHED SIGNATURE_REQUEST.CANCELLED",
		},
	}
	for of, want := range want {
		plots := map[string]int{}
		for seed := range uint64(100) {
			types, _ := told(t, of, seed)
			plots[strings.Join(types, " ")]++
		}
		for _, plot := range want {
			if plots[plot] == 0 {
				t.Errorf("%s: never %s", of.Provider, plot)
			}
		}
		if len(plots) != len(want) || plots[want[0]] < 50 {
			t.Errorf("%s: %v", of.Provider, plots)
		}
	}
}

// What a step says of the signers agrees with the steps before it.
func TestSignersSignOneAfterTheOther(t *testing.T) {
	for seed := range uint64(20) {
		types, bodies := told(t, ofYousign, seed)
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
		types, bodies := told(t, ofIgnisign, seed)
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
		types, bodies := told(t, ofYousign, seed)
		for i, body := range bodies {
			if _, state := yousign.Decode(body); state != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
				t.Errorf("%s: %v", types[i], state)
			}
		}
		types, bodies = told(t, ofIgnisign, seed)
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
	var want []string
	for _, p := range append(slices.Clone(ofYousign.Placeholders), ofIgnisign.Placeholders...) {
		if !strings.HasPrefix(p.Text, "hold-") && p.Text != secondSignatureID {
			want = append(want, p.Text)
		}
	}
	for _, text := range want {
		if !bytes.Contains(all, []byte(text)) {
			t.Errorf("%q is in no example", text)
		}
	}
}

func TestNoPlaceholderBeginsWithAnother(t *testing.T) {
	for _, all := range [][]simulator.Placeholder{ofYousign.Placeholders, ofIgnisign.Placeholders} {
		for i, p := range all {
			for j, q := range all {
				if i != j && strings.HasPrefix(p.Text, q.Text) {
					t.Errorf("%q begins with %q", p.Text, q.Text)
				}
			}
		}
	}
}

func TestStoriesKeepTheirOwnOrder(t *testing.T) {
	script, err := simulator.Stories(5, ofYousign, ofIgnisign)
	if err != nil {
		t.Fatal(err)
	}
	begun, ended, providers := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for range 500 {
		m, ok := script.Next()
		if !ok {
			t.Fatal("the stories end")
		}
		body := m.Body(nil)
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
	if len(ended) < 20 || len(begun)-len(ended) > 4 || len(providers) != 2 {
		t.Errorf("%d begun, %d ended, of %v", len(begun), len(ended), providers)
	}
}
