package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/hookstream/hookstream/simulator"
)

// plot draws the course of a signature request: mostly signed by two people, now and
// then approved first, declined or rejected.
func plot(r *rand.Rand, start time.Time) ([]simulator.Scene, map[string]string) {
	var scenes []simulator.Scene
	signers := r.Perm(len(people))
	first, second := people[signers[0]], people[signers[1]]
	switch r.IntN(8) {
	case 0:
		scenes = declined(first)
	case 1:
		scenes = append(underApproval(), simulator.Scene{Type: "approver.rejected"}, simulator.Scene{Type: "signature_request.rejected"})
	case 2:
		scenes = approvedFirst(signed(first, second), timestamp(start))
	default:
		scenes = signed(first, second)
	}
	return scenes, map[string]string{
		exampleCreated: timestamp(start.Add(-5 * time.Minute)), exampleActivated: timestamp(start),
		exampleExpires: timestamp(start.AddDate(0, 6, 0)),
	}
}

// signed is the usual course: one signer after the other, as ordered_signers
// says.
func signed(first, second person) []simulator.Scene {
	a, b := signer(first), secondSigner(second)
	return []simulator.Scene{
		{Type: "signature_request.activated"},
		{Type: "signer.notified", Edits: a},
		{Type: "signer.link_opened", Edits: a},
		{Type: "signer.done", Edits: a},
		{Type: "signer.notified", Edits: append(b, signerStatus("signed", "notified")...)},
		{Type: "signer.link_opened", Edits: append(b, signerStatus("signed", "notified")...)},
		{Type: "signer.done", Edits: append(b, signerStatus("signed", "signed")...)},
		{Type: "signature_request.done"},
	}
}

func declined(p person) []simulator.Scene {
	a := signer(p)
	return []simulator.Scene{
		{Type: "signature_request.activated"},
		{Type: "signer.notified", Edits: a},
		{Type: "signer.link_opened", Edits: a},
		{Type: "signer.declined", Edits: a},
		{Type: "signature_request.declined"},
	}
}

// underApproval begins a story that needs an approver's consent.
func underApproval() []simulator.Scene {
	return []simulator.Scene{
		{Type: "signature_request.activated", Edits: append(approver("initiated"), simulator.SetText("data.signature_request.status", "approval"))},
		{Type: "approver.notified"},
	}
}

// approvedFirst puts an approval before a story, and its trace into the rest.
func approvedFirst(story []simulator.Scene, at string) []simulator.Scene {
	trace := append(approver("approved"), simulator.SetText("data.signature_request.approved_at", at))
	scenes := append(underApproval(), simulator.Scene{Type: "approver.approved"}, simulator.Scene{Type: "signature_request.approved", Edits: trace})
	for _, s := range story[1:] {
		scenes = append(scenes, simulator.Scene{Type: s.Type, Edits: append(trace[:len(trace):len(trace)], s.Edits...)})
	}
	return scenes
}

func approver(status string) []simulator.Edit {
	return []simulator.Edit{{Path: "data.signature_request.approvers", JSON: `[
        {
          "id": "` + exampleApprover + `",
          "status": "` + status + `"
        }
      ]`}}
}

func signer(p person) []simulator.Edit {
	const info = "data.signer.info."
	return []simulator.Edit{
		simulator.SetText(info+"first_name", p.first), simulator.SetText(info+"last_name", p.last),
		simulator.SetText(info+"email", p.email), simulator.SetText(info+"phone_number", p.phone),
	}
}

// secondSigner makes an event about the signer whom the examples only mention.
func secondSigner(p person) []simulator.Edit {
	edits := append(signer(p), simulator.SetText("data.signer.id", exampleSigner2))
	return edits[:len(edits):len(edits)] // shared by several scenes
}

func signerStatus(first, second string) []simulator.Edit {
	const signers = "data.signature_request.signers."
	return []simulator.Edit{simulator.SetText(signers+"0.status", first), simulator.SetText(signers+"1.status", second)}
}
