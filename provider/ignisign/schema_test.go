package ignisign

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/event"
	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
	"github.com/hookstream/hookstream/provider/lenient"
)

func enumValue(n protoreflect.EnumNumber) protoreflect.Value { return protoreflect.ValueOfEnum(n) }

// The schema takes every JSON object without loss.
func TestSchemaLint(t *testing.T) {
	if err := lenient.Lint(&ignisignv1.Event{}); err != nil {
		t.Error(err)
	}
}

// fields calls found for every field of a message and of those within.
func fields(desc protoreflect.MessageDescriptor, found func(protoreflect.FieldDescriptor, *optionsv1.FieldFacts)) {
	seen := make(map[protoreflect.FullName]bool)
	var visit func(protoreflect.MessageDescriptor)
	visit = func(desc protoreflect.MessageDescriptor) {
		if seen[desc.FullName()] || desc.ParentFile().Package() != eventDesc.ParentFile().Package() {
			return
		}
		seen[desc.FullName()] = true
		for i := range desc.Fields().Len() {
			fd := desc.Fields().Get(i)
			facts, _ := proto.GetExtension(fd.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
			found(fd, facts)
			if fd.Message() != nil {
				visit(fd.Message())
			}
		}
	}
	visit(desc)
}

// A secret whose mark is lost is handed to everybody.
func TestSensitiveFields(t *testing.T) {
	var got []string
	fields(eventDesc, func(fd protoreflect.FieldDescriptor, facts *optionsv1.FieldFacts) {
		if kind := facts.GetSensitivity(); kind != 0 {
			got = append(got, strings.TrimPrefix(string(fd.FullName()), "hookstream.ignisign.v1.")+" "+strings.TrimPrefix(kind.String(), "SENSITIVITY_"))
		}
	})
	slices.Sort(got)
	want := []string{
		"Event.verification_token ACCESS",
		"IdProofing.rest IDENTITY", "IdProofing.token ACCESS",
		"SignatureProof.signature_proof_token ACCESS", "SignatureProof.signature_proof_url ACCESS",
		"SignatureProofDocument.token ACCESS", "SignatureProofDocument.url ACCESS",
		"SignatureRequestSigner.token ACCESS",
		"Signer.auth_secret ACCESS",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// No value of an example that is marked as a secret by its prefix is left when
// the sensitive fields are taken away.
func TestNoSecretOutsideSensitiveFields(t *testing.T) {
	for _, name := range exampleNames() {
		body, _ := example(name)
		ev, _ := Decode(body)
		event.Redact(ev, 0)
		text, err := proto.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"vt_", "sst_", "spt_", "dpt_", "sas_", "ipt_"} {
			if strings.Contains(string(text), prefix+"example") {
				t.Errorf("%s: %sexample is left", name, prefix)
			}
		}
	}
}

// What is called as a number of papers, or as the proofing of an identity, is withheld
// wherever it stands.
func TestPapersAreWithheld(t *testing.T) {
	for _, body := range []string{
		`{"topic":"PAPER_PROOFING","action":"COMPLETED","content":{"documentNumber":"SECRET"}}`,
		`{"topic":"SIGNER_AUTH","action":"COMPLETED","content":{"idProofing":{"first":"SECRET"}}}`,
		`{"topic":"SIGNER_ID_PROOFING","action":"FINALIZED","content":{"first":{"x":"SECRET"}}}`,
		`{"topic":"SIGNER","action":"CREATED","content":{"deep":[{"passportNumber":"SECRET"}]}}`,
		`{"topic":"SIGNER","action":"CREATED","content":{},"idProofing":{"first":"SECRET"}}`,
		`{"topic":"SIGNER","action":"CREATED","content":{},"error":{"context":{"iban":"SECRET"}}}`,
	} {
		ev, _ := Decode([]byte(body))
		paths := event.Redact(ev, 0)
		if text, err := proto.Marshal(ev); err != nil || strings.Contains(string(text), "SECRET") || len(paths) != 1 {
			t.Errorf("%s: %s, %v, withheld %v", body, text, err, paths)
		}
	}
}

// Ignisign writes camelCase. A field that could be filled under our name too
// would let a body show another value than the one that was verified.
func TestFieldsBearIgnisignsNamesOnly(t *testing.T) {
	fields(eventDesc, func(fd protoreflect.FieldDescriptor, facts *optionsv1.FieldFacts) {
		ours := facts.GetRest() || facts.GetComputed() || strings.HasSuffix(string(fd.Name()), "_raw") && facts == nil
		if !ours && facts.GetJson() == "" && string(fd.Name()) != fd.JSONName() {
			t.Errorf("%s has no JSON name of its own", fd.FullName())
		}
	})
}

// Every code of the provider's list, the removed ones after them.
func TestErrorCodes(t *testing.T) {
	desc := ignisignv1.ErrorCode(0).Descriptor()
	if n := desc.Values().Len(); n != 1+349+8 {
		t.Errorf("%d values", n)
	}
	for i := 1; i < desc.Values().Len(); i++ {
		value := desc.Values().Get(i)
		wire := lenient.EnumWire(desc, value.Number())
		if value.Number() != protoreflect.EnumNumber(i) || lenient.EnumNumber(desc, wire) != value.Number() {
			t.Errorf("%s is spelt %s, number %d", value.Name(), wire, value.Number())
		}
		if "ERROR_CODE_"+strings.ReplaceAll(wire, "__", "_") != string(value.Name()) {
			t.Errorf("%s is spelt %s", value.Name(), wire)
		}
	}
	for _, wire := range []string{
		"BAD_REQUEST", "OAUTH2_INVALID_GRANT_TYPE", "TOKEN_ALREADY_CONSUMED", "TOO_MANY_SIGNAURE_ATTEMPTS",
		"GET_PRIVATE_FILE_ERRORS__CANNOT_GET_FILE", "SIGNER_CREATION__NOT_YET_IMPLEMENTED__IGNISIGN_EIDAS_LEVEL__QES",
		"PDF_ENCRYPTED_OR_CORRUPTED",
	} {
		if lenient.EnumNumber(desc, wire) == 0 {
			t.Errorf("no code %s", wire)
		}
	}
}

// Every topic has its content, but for the one without.
func TestContents(t *testing.T) {
	for i := range topicDesc.Values().Len() {
		topic := ignisignv1.Topic(topicDesc.Values().Get(i).Number())
		c := contentOf(topic)
		if has := topic != 0 && topic != ignisignv1.Topic_TOPIC_SIGNER_AUTH; has != (c != nil) {
			t.Errorf("%v: %v", topic, c)
		}
		if c != nil && (c.action == nil || c.message == nil) {
			t.Errorf("%v: a field is missing", topic)
		}
	}
}
