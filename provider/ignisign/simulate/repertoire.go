package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/simulator"
)

// Placeholders that are put into the examples before they are cut up. They are
// what is filled in at the moment of sending.
const (
	holdAppID  = "hold-app-id"
	holdAppEnv = "hold-app-env"
	holdToken  = "hold-token"
)

// Texts of the Ignisign examples.
const (
	exampleSignerID2       = "66f1c0de4a7b2c0011cc0002"
	exampleSignerExternal2 = "employee-3"
	// secondSignatureID is not in the examples: there only one signs.
	secondSignatureID = "66f1c0de4a7b2c0011dd0002"
)

var placeholders = []simulator.Placeholder{
	{Text: holdAppID},
	{Text: holdAppEnv},
	{Text: holdToken},
	{Text: "66f1c0de4a7b2c0011aa0001", Fresh: newHexID}, // signature request
	{Text: "66f1c0de4a7b2c0011bb0001", Fresh: newHexID}, // document
	{Text: "66f1c0de4a7b2c0011bb0002", Fresh: newHexID}, // annex
	{Text: "66f1c0de4a7b2c0011cc0001", Fresh: newHexID}, // signer
	{Text: exampleSignerID2, Fresh: newHexID},
	{Text: "66f1c0de4a7b2c0011dd0001", Fresh: newHexID}, // signature
	{Text: secondSignatureID, Fresh: newHexID},
	{Text: "contract-2042", Fresh: simulator.Numbered("contract-")}, // the documents' ids begin with it too
	{Text: "customer-17", Fresh: simulator.Numbered("customer-")},
	{Text: exampleSignerExternal2, Fresh: simulator.Numbered("employee-")},
	{Text: "sst_example", Fresh: secret("sst")},   // session of an embedded signer
	{Text: "spt_example", Fresh: secret("spt")},   // proof of a signature request
	{Text: "dpt_example_1", Fresh: secret("dpt")}, // proof of a document
	{Text: "dpt_example_2", Fresh: secret("dpt")},
}

// newHexID makes an id as Ignisign's look.
func newHexID(r *rand.Rand) string { return simulator.HexDigits(r, 24) }

// secret makes a token of a kind that the sender's own services take.
func secret(kind string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return kind + "_" + simulator.HexDigits(r, 40) }
}

var repertoire = simulator.Repertoire{
	Provider:     ignisign.ID,
	Types:        types(),
	Placeholders: placeholders,
	Example:      example,
	TypeOf: func(body []byte) string {
		return gjson.GetBytes(body, "topic").Str + "." + gjson.GetBytes(body, "action").Str
	},
	Plot: plot,
}

func types() (all []string) {
	for _, t := range ignisign.Catalog() {
		all = append(all, t.GetType())
	}
	return all
}

// example answers an example, or one of its variants, with the placeholders of what
// is known when it is sent.
func example(typ string) ([]byte, error) {
	return ignisign.Sample(typ, holdAppID, holdAppEnv, holdToken)
}

// body is the body of a message as an event of an application, with a token or a
// placeholder for it.
func body(m simulator.Message, app App, token string) []byte {
	return m.Body(map[string]string{
		holdAppID: simulator.Escaped(app.ID), holdAppEnv: simulator.Escaped(app.Env), holdToken: token,
	})
}

// plot draws the course of a signature request: mostly signed by two people, now and
// then cancelled or with a failing proof.
func plot(r *rand.Rand, _ time.Time) ([]simulator.Scene, map[string]string) {
	scenes := []simulator.Scene{
		{Type: "SIGNATURE_REQUEST.INITIALIZED"},
		{Type: "SIGNATURE_REQUEST.READY"},
		{Type: "SIGNATURE_REQUEST.LAUNCHED"},
	}
	proof := "SIGNATURE_PROOF.GENERATED"
	switch r.IntN(8) {
	case 0:
		return append(scenes, simulator.Scene{Type: "SIGNATURE_REQUEST.CANCELLED"}), nil
	case 1:
		proof = "SIGNATURE_PROOF.GENERATED.error"
	}
	scenes = append(scenes,
		simulator.Scene{Type: "SIGNATURE.FINALIZED"},
		simulator.Scene{Type: "SIGNATURE.FINALIZED", Edits: []simulator.Edit{
			simulator.SetText("content.signerId", exampleSignerID2),
			simulator.SetText("content.signerExternalId", exampleSignerExternal2),
			simulator.SetText("content.signatureId", secondSignatureID),
		}},
		simulator.Scene{Type: proof},
		simulator.Scene{Type: "SIGNATURE_REQUEST.COMPLETED"},
	)
	return scenes, nil
}
