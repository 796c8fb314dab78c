package simulator

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hookstream/hookstream/provider/ignisign"
)

// Story answers the webhooks of one signature request from its beginning to its
// end, in order: mostly signed by two people, now and then approved first,
// declined, rejected, cancelled or with a failing proof. Ids, people and title are
// made up for the story and stay the same in all of it. The same seed gives the
// same story; start is when it begins, and only its times depend on it.
func Story(provider string, seed uint64, start time.Time) ([]Message, error) {
	r := newRand(seed)
	switch provider {
	case yousignID:
		return yousignStory(r, start)
	case ignisign.ID:
		return ignisignStory(r)
	}
	return nil, fmt.Errorf("simulator: no such provider: %q", provider)
}

// A scene is one step of a story: an example and what is different about it.
type scene struct {
	typ   string
	edits []edit
}

func tell(provider string, scenes []scene, texts []string) ([]Message, error) {
	newTemplate, err := templatesOf(provider)
	if err != nil {
		return nil, err
	}
	var story []Message
	for _, s := range scenes {
		t, err := newTemplate(s.typ, s.edits...)
		if err != nil {
			return nil, err
		}
		story = append(story, newMessage(provider, t, texts))
	}
	return story, nil
}

func yousignStory(r *rand.Rand, start time.Time) ([]Message, error) {
	texts := cast(yousignPlaceholders, r)
	texts = fillIn(yousignPlaceholders, texts, map[string]string{
		exampleCreated: timestamp(start.Add(-5 * time.Minute)), exampleActivated: timestamp(start),
		exampleExpires: timestamp(start.AddDate(0, 6, 0)),
	})
	var scenes []scene
	signers := r.Perm(len(people))
	first, second := people[signers[0]], people[signers[1]]
	switch r.IntN(8) {
	case 0:
		scenes = declined(first)
	case 1:
		scenes = append(underApproval(), scene{typ: "approver.rejected"}, scene{typ: "signature_request.rejected"})
	case 2:
		scenes = approvedFirst(signed(first, second), timestamp(start))
	default:
		scenes = signed(first, second)
	}
	return tell(yousignID, scenes, texts)
}

// signed is the usual course: one signer after the other, as ordered_signers
// says.
func signed(first, second person) []scene {
	a, b := signer(first), secondSigner(second)
	return []scene{
		{"signature_request.activated", nil},
		{"signer.notified", a},
		{"signer.link_opened", a},
		{"signer.done", a},
		{"signer.notified", append(b, signerStatus("signed", "notified")...)},
		{"signer.link_opened", append(b, signerStatus("signed", "notified")...)},
		{"signer.done", append(b, signerStatus("signed", "signed")...)},
		{"signature_request.done", nil},
	}
}

func declined(p person) []scene {
	a := signer(p)
	return []scene{
		{"signature_request.activated", nil},
		{"signer.notified", a},
		{"signer.link_opened", a},
		{"signer.declined", a},
		{"signature_request.declined", nil},
	}
}

// underApproval begins a story that needs an approver's consent.
func underApproval() []scene {
	return []scene{
		{"signature_request.activated", append(approver("initiated"), text("data.signature_request.status", "approval"))},
		{"approver.notified", nil},
	}
}

// approvedFirst puts an approval before a story, and its trace into the rest.
func approvedFirst(story []scene, at string) []scene {
	trace := append(approver("approved"), text("data.signature_request.approved_at", at))
	scenes := append(underApproval(), scene{"approver.approved", nil}, scene{"signature_request.approved", trace})
	for _, s := range story[1:] {
		scenes = append(scenes, scene{s.typ, append(trace[:len(trace):len(trace)], s.edits...)})
	}
	return scenes
}

func approver(status string) []edit {
	return []edit{{"data.signature_request.approvers", `[
        {
          "id": "` + exampleApprover + `",
          "status": "` + status + `"
        }
      ]`}}
}

func signer(p person) []edit {
	const info = "data.signer.info."
	return []edit{
		text(info+"first_name", p.first), text(info+"last_name", p.last),
		text(info+"email", p.email), text(info+"phone_number", p.phone),
	}
}

// secondSigner makes an event about the signer whom the examples only mention.
func secondSigner(p person) []edit {
	edits := append(signer(p), text("data.signer.id", exampleSigner2))
	return edits[:len(edits):len(edits)] // shared by several scenes
}

func signerStatus(first, second string) []edit {
	const signers = "data.signature_request.signers."
	return []edit{text(signers+"0.status", first), text(signers+"1.status", second)}
}

func ignisignStory(r *rand.Rand) ([]Message, error) {
	texts := cast(ignisignPlaceholders, r)
	scenes := []scene{
		{"SIGNATURE_REQUEST.INITIALIZED", nil},
		{"SIGNATURE_REQUEST.READY", nil},
		{"SIGNATURE_REQUEST.LAUNCHED", nil},
	}
	proof := "SIGNATURE_PROOF.GENERATED"
	switch r.IntN(8) {
	case 0:
		return tell(ignisign.ID, append(scenes, scene{"SIGNATURE_REQUEST.CANCELLED", nil}), texts)
	case 1:
		proof = "SIGNATURE_PROOF.GENERATED.error"
	}
	scenes = append(scenes,
		scene{"SIGNATURE.FINALIZED", nil},
		scene{"SIGNATURE.FINALIZED", []edit{
			text("content.signerId", exampleSignerID2),
			text("content.signerExternalId", exampleSignerExternal2),
			text("content.signatureId", secondSignatureID),
		}},
		scene{proof, nil},
		scene{"SIGNATURE_REQUEST.COMPLETED", nil},
	)
	return tell(ignisign.ID, scenes, texts)
}
