package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/hookstream/hookstream/simulator"
)

// Placeholders that are put into the examples before they are cut up. They are
// what is filled in at the moment of sending.
const (
	holdEventID      = "hold-event-id"
	holdEventTime    = "hold-event-time"
	holdMoment       = "hold-moment"
	holdSubscription = "f4a23698-c3d5-44b7-86a9-829304152637"
)

// Texts of the Yousign examples. That they are all there is tested.
const (
	exampleSigner    = "7c2a9e10-4b5d-4c3f-8e21-0a1b2c3d4e5f"
	exampleSigner2   = "8d3baf21-5c6e-4d40-9f32-1b2c3d4e5f60"
	exampleApprover  = "9e4cb032-6d7f-4e51-a043-2c3d4e5f6071"
	exampleTitle     = "Lease agreement - Flat 12"
	exampleCreated   = "2026-03-02T08:15:04+00:00"
	exampleActivated = "2026-03-02T08:20:31+00:00"
	exampleExpires   = "2026-09-02T21:59:59+00:00"
)

// The times at which something happened in the Yousign examples: the time of the
// event that tells of it.
var exampleMoments = []string{
	"2026-03-02T08:45:00+00:00", // rejected
	"2026-03-02T08:50:00+00:00", // approved
	"2026-03-02T10:11:12+00:00", // declined
	"2026-03-02T11:30:00+00:00", // signed
	"2026-03-02T12:00:07+00:00", // completed
}

var placeholders = []simulator.Placeholder{
	{Text: holdEventID},
	{Text: holdEventTime},
	{Text: holdSubscription},
	{Text: holdMoment},
	{Text: "3f1d2c4b-6a79-4e8f-9b0c-1d2e3f4a5b6c", Fresh: simulator.NewUUID}, // signature request
	{Text: exampleSigner, Fresh: simulator.NewUUID},
	{Text: exampleSigner2, Fresh: simulator.NewUUID},
	{Text: exampleApprover, Fresh: simulator.NewUUID},
	{Text: "af5dc143-7e80-4f62-b154-3d4e5f607182", Fresh: simulator.NewUUID}, // document to sign
	{Text: "b06ed254-8f91-4073-8265-4e5f60718293", Fresh: simulator.NewUUID}, // attachment
	{Text: "lease-2026-00012", Fresh: simulator.Numbered("lease-2026-")},
	{Text: "made-up-link", Fresh: func(r *rand.Rand) string { return "made-up-link-" + simulator.HexDigits(r, 32) }},
	{Text: exampleTitle, Fresh: func(r *rand.Rand) string { return simulator.Pick(r, titles) }},
	{Text: exampleCreated, Fresh: func(*rand.Rand) string { return exampleCreated }},
	{Text: exampleActivated, Fresh: func(*rand.Rand) string { return exampleActivated }},
	{Text: exampleExpires, Fresh: func(*rand.Rand) string { return exampleExpires }},
}

// A person signs.
type person struct{ first, last, email, phone string }

// examplePerson is the signer of the Yousign examples.
var examplePerson = person{"Zoé", "Lefèvre", "zoe.lefevre@example.com", "+33600000001"}

var people = []person{
	examplePerson,
	{"Hugo", "Marchand", "hugo.marchand@example.com", "+33600000002"},
	{"Inès", "Garnier", "ines.garnier@example.com", "+33600000003"},
	{"Marta", "Kowalska", "marta.kowalska@example.com", "+33600000004"},
	{"Tom", "Verbeke", "tom.verbeke@example.com", "+33600000005"},
	{"Aïcha", "Diallo", "aicha.diallo@example.com", "+33600000006"},
	{"Luís", "Ferreira", "luis.ferreira@example.com", "+33600000007"},
	{"Anna", "Bergmann", "anna.bergmann@example.com", "+33600000008"},
}

var titles = []string{
	exampleTitle, "Lease agreement - Flat 7", "Employment contract", "Framework agreement 2026",
	"Non-disclosure agreement", "Purchase order 4711", "Home insurance policy", "Amendment no. 2",
}

// timestamp is a time as Yousign writes it in its objects.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05+00:00") }
