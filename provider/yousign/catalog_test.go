package yousign

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

func TestCatalog(t *testing.T) {
	catalog := Catalog()
	if len(catalog) != 59 || int(Provider{}.Info().GetEventTypeCount()) != len(catalog) {
		t.Errorf("%d types", len(catalog))
	}
	stages := make(map[hookstreamv1.EventType_Stage]int)
	for _, typ := range catalog {
		stages[typ.GetStage()]++
		if typ.GetDescription() == "" || typ.GetTopic()+"."+typ.GetAction() != typ.GetType() {
			t.Errorf("%s: %+v", typ.GetType(), typ)
		}
		ev, _ := Decode([]byte(typ.GetExample()))
		if ev.GetEventNameRaw() != typ.GetType() || ev.GetEventName() == 0 || ev.GetTopic() == 0 || ev.GetAction() == nil {
			t.Errorf("%s: the example is read as %v %v %v", typ.GetType(), ev.GetEventName(), ev.GetTopic(), ev.GetAction())
		}
		contentIsThere(t, typ, ev)
	}
	for stage, want := range map[hookstreamv1.EventType_Stage]int{
		hookstreamv1.EventType_STAGE_LIVE: 52, hookstreamv1.EventType_STAGE_EMERGING: 4, hookstreamv1.EventType_STAGE_LEGACY: 3,
	} {
		if stages[stage] != want {
			t.Errorf("%v: %d types, want %d", stage, stages[stage], want)
		}
	}
}

// contentIsThere checks that the messages named for a type exist and that its
// example fills them.
func contentIsThere(t *testing.T, typ *hookstreamv1.EventType, ev *yousignv1.Event) {
	var filled []string
	ev.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if fd.Message() != nil && fd.Message().FullName().Parent() == "hookstream.yousign.v1" {
			filled = append(filled, string(fd.Message().FullName()))
		}
		return true
	})
	for _, content := range typ.GetContentTypes() {
		if _, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(content)); err != nil {
			t.Errorf("%s: %v", typ.GetType(), err)
		}
		if !slices.Contains(filled, content) {
			t.Errorf("%s: the example has no %s, but %v", typ.GetType(), content, filled)
		}
	}
	if len(typ.GetContentTypes()) != len(filled) {
		t.Errorf("%s: %v named, %v filled", typ.GetType(), typ.GetContentTypes(), filled)
	}
}

// What grants access is marked, so that it is withheld.
func TestSensitiveFields(t *testing.T) {
	var got []string
	seen := make(map[protoreflect.FullName]bool)
	var visit func(protoreflect.MessageDescriptor)
	visit = func(desc protoreflect.MessageDescriptor) {
		if seen[desc.FullName()] {
			return
		}
		seen[desc.FullName()] = true
		for i := range desc.Fields().Len() {
			fd := desc.Fields().Get(i)
			facts, _ := proto.GetExtension(fd.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
			for of, kind := range map[string]optionsv1.Sensitivity{"": facts.GetSensitivity(), "within ": facts.GetInnerSensitivity()} {
				if kind != 0 {
					got = append(got, string(fd.Parent().Name())+"."+string(fd.Name())+" "+of+strings.TrimPrefix(kind.String(), "SENSITIVITY_"))
				}
			}
			if fd.Message() != nil {
				visit(fd.Message())
			}
		}
	}
	visit((&yousignv1.Event{}).ProtoReflect().Descriptor())
	slices.Sort(got)
	want := []string{
		"AnalysisType.rest IDENTITY",
		"Applicant.rest IDENTITY",
		"Approver.approval_link ACCESS",
		"BankAccountConnection.data IDENTITY",
		"BankAccountConnection.extracted_from_document IDENTITY",
		"BankAccountConnection.rest IDENTITY",
		"BankAccountLookup.data IDENTITY",
		"BankAccountLookup.extracted_from_document IDENTITY",
		"BankAccountLookup.rest IDENTITY",
		"BankAccountVerification.data IDENTITY",
		"BankAccountVerification.extracted_from_document IDENTITY",
		"BankAccountVerification.rest IDENTITY",
		"CompanyVerification.data IDENTITY",
		"CompanyVerification.extracted_from_document IDENTITY",
		"CompanyVerification.rest IDENTITY",
		"DocumentAnalysis.checks IDENTITY",
		"DocumentAnalysis.extracted_from_document IDENTITY",
		"DocumentAnalysis.rest IDENTITY",
		"Event.data_rest IDENTITY",
		"Event.envelope_rest IDENTITY",
		"Event.metadata_rest within IDENTITY",
		"Event.rest within IDENTITY",
		"FraudIndicator.rest IDENTITY",
		"FraudRiskAnalysis.rest IDENTITY",
		"IdentityDocumentVerification.data IDENTITY",
		"IdentityDocumentVerification.extracted_from_document IDENTITY",
		"IdentityDocumentVerification.rest IDENTITY",
		"IdentityVideoVerification.data IDENTITY",
		"IdentityVideoVerification.extracted_from_document IDENTITY",
		"IdentityVideoVerification.rest IDENTITY",
		"IdentityVideoVerification.verification_url ACCESS",
		"LegacyVerification.data IDENTITY",
		"LegacyVerification.extracted_from_document IDENTITY",
		"LegacyVerification.rest IDENTITY",
		"LegalPerson.bank_account IDENTITY",
		"LegalPerson.rest IDENTITY",
		"Monitoring.rest IDENTITY",
		"NaturalPerson.bank_account IDENTITY",
		"NaturalPerson.rest IDENTITY",
		"ProofOfAddressVerification.data IDENTITY",
		"ProofOfAddressVerification.extracted_from_document IDENTITY",
		"ProofOfAddressVerification.rest IDENTITY",
		"Signer.signature_image_preview ACCESS",
		"Signer.signature_link ACCESS",
		"WatchlistVerification.data IDENTITY",
		"WatchlistVerification.extracted_from_document IDENTITY",
		"WatchlistVerification.rest IDENTITY",
		"WorkflowAction.rest IDENTITY",
		"WorkflowActionGroup.rest IDENTITY",
		"WorkflowAttempt.rest IDENTITY",
		"WorkflowResolution.rest IDENTITY",
		"WorkflowResource.rest IDENTITY",
		"WorkflowSession.rest IDENTITY",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}
