package simulator

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// A placeholder is a text of the examples that becomes another one in every
// webhook, or in every story: what a sender would make anew.
type placeholder struct {
	text string
	// fresh makes another text of the kind; nil for what is known only when it is
	// sent.
	fresh func(*rand.Rand) string
}

// Placeholders that are put into the examples before they are cut up. They are
// what is filled in at the moment of sending.
const (
	holdEventID      = "hold-event-id"
	holdEventTime    = "hold-event-time"
	holdMoment       = "hold-moment"
	holdSubscription = "f4a23698-c3d5-44b7-86a9-829304152637"
	holdAppID        = "hold-app-id"
	holdAppEnv       = "hold-app-env"
	holdToken        = "hold-token"
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

var yousignPlaceholders = []placeholder{
	{holdEventID, nil},
	{holdEventTime, nil},
	{holdSubscription, nil},
	{holdMoment, nil},
	{"3f1d2c4b-6a79-4e8f-9b0c-1d2e3f4a5b6c", newUUID}, // signature request
	{exampleSigner, newUUID},
	{exampleSigner2, newUUID},
	{exampleApprover, newUUID},
	{"af5dc143-7e80-4f62-b154-3d4e5f607182", newUUID}, // document to sign
	{"b06ed254-8f91-4073-8265-4e5f60718293", newUUID}, // attachment
	{"lease-2026-00012", numbered("lease-2026-")},
	{"made-up-link", func(r *rand.Rand) string { return "made-up-link-" + hexDigits(r, 32) }},
	{exampleTitle, func(r *rand.Rand) string { return pick(r, titles) }},
	{exampleCreated, func(*rand.Rand) string { return exampleCreated }},
	{exampleActivated, func(*rand.Rand) string { return exampleActivated }},
	{exampleExpires, func(*rand.Rand) string { return exampleExpires }},
}

// Texts of the Ignisign examples.
const (
	exampleSignerID2       = "66f1c0de4a7b2c0011cc0002"
	exampleSignerExternal2 = "employee-3"
	// secondSignatureID is not in the examples: there only one signs.
	secondSignatureID = "66f1c0de4a7b2c0011dd0002"
)

var ignisignPlaceholders = []placeholder{
	{holdAppID, nil},
	{holdAppEnv, nil},
	{holdToken, nil},
	{"66f1c0de4a7b2c0011aa0001", newHexID}, // signature request
	{"66f1c0de4a7b2c0011bb0001", newHexID}, // document
	{"66f1c0de4a7b2c0011bb0002", newHexID}, // annex
	{"66f1c0de4a7b2c0011cc0001", newHexID}, // signer
	{exampleSignerID2, newHexID},
	{"66f1c0de4a7b2c0011dd0001", newHexID}, // signature
	{secondSignatureID, newHexID},
	{"contract-2042", numbered("contract-")}, // the documents' ids begin with it too
	{"customer-17", numbered("customer-")},
	{exampleSignerExternal2, numbered("employee-")},
	{"sst_example", secret("sst")},   // session of an embedded signer
	{"spt_example", secret("spt")},   // proof of a signature request
	{"dpt_example_1", secret("dpt")}, // proof of a document
	{"dpt_example_2", secret("dpt")},
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

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// newUUID makes a UUID of version 4 that is the same again for the same seed.
func newUUID(r *rand.Rand) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	id, _ := uuid.NewRandomFromReader(bytes.NewReader(b[:])) // there are enough bytes
	return id.String()
}

func newHexID(r *rand.Rand) string { return hexDigits(r, 24) }

func hexDigits(r *rand.Rand, n int) string {
	digits := make([]byte, n)
	for i := range digits {
		digits[i] = "0123456789abcdef"[r.IntN(16)]
	}
	return string(digits)
}

// numbered makes references of an integrator, as they count them.
func numbered(prefix string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return prefix + strconv.Itoa(10_000+r.IntN(9_990_000)) }
}

// secret makes a token of a kind that the sender's own services take.
func secret(kind string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return kind + "_" + hexDigits(r, 40) }
}

// timestamp is a time as Yousign writes it in its objects.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05+00:00") }
