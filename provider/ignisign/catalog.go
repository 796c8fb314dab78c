package ignisign

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/lenient"
)

const (
	live      = hookstreamv1.EventType_STAGE_LIVE
	emerging  = hookstreamv1.EventType_STAGE_EMERGING
	legacy    = hookstreamv1.EventType_STAGE_LEGACY
	postponed = hookstreamv1.EventType_STAGE_POSTPONED
)

// A catalogEntry says of a type what its schema does not.
type catalogEntry struct {
	topic       ignisignv1.Topic
	action      string
	stage       hookstreamv1.EventType_Stage
	description string
}

// catalog has an entry for every action of every topic's enum.
var catalog = []catalogEntry{
	{ignisignv1.Topic_TOPIC_APP, "SETTINGS_UPDATED", live, "The settings of the application were changed. Sent only to endpoints of PRODUCTION."},
	{ignisignv1.Topic_TOPIC_APP, "MEMBERSHIP_UPDATED", live, "The members of the application were changed. Sent only to endpoints of PRODUCTION."},
	{ignisignv1.Topic_TOPIC_APP, "ARCHIVED", live, "The application was archived. Sent only to endpoints of PRODUCTION."},

	{ignisignv1.Topic_TOPIC_SIGNATURE, "FINALIZED", live, "A signer has signed a document."},
	{ignisignv1.Topic_TOPIC_SIGNATURE, "FAILED", live, "The signature of a document by a signer failed."},

	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "INITIALIZED", live, "A signature request was created."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "UPDATED", live, "A signature request was changed."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "READY", live, "A signature request is ready to be launched."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "LAUNCHED", live, "Signing is open. The only event with the session tokens of embedded signers."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "FAILED", live, "The launch or the processing of a signature request failed."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "CANCELLED", live, "A signature request was cancelled before anybody had signed."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "EXPIRED", live, "A signature request expired before anybody had signed."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "COMPLETED", live, "A signature request is finished, which includes cancelled and expired ones that somebody had signed."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "CHILDREN_GENERATED", live, "A signature request was split into child requests."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "APPROVER_STEP", live, "A signature request is with its approvers. Since version 4."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "WAITING_DOCUMENTS", legacy, "A signature request waits for documents that were asked for. Version 3 only."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "PUBLISH", emerging, "Named only by Ignisign's quick start; READY or LAUNCHED may be meant."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST, "CLOSED", emerging, "Named only by Ignisign's quick start; how the request ended is not said."},

	{ignisignv1.Topic_TOPIC_SIGNER, "CREATED", live, "A signer was created."},
	{ignisignv1.Topic_TOPIC_SIGNER, "INPUTS_ADDED", live, "Information about a signer was added. Says which, not what."},

	{ignisignv1.Topic_TOPIC_SIGNATURE_PROFILE, "CREATED", live, "A signature profile was created. Rare or gone in version 4, which has signer profiles."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_PROFILE, "ARCHIVED", live, "A signature profile was archived. Rare or gone in version 4, which has signer profiles."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_PROFILE, "UPDATED", emerging, "A signature profile was changed. Named only by Ignisign's quick start."},

	{ignisignv1.Topic_TOPIC_SIGNATURE_SESSION, "INITIALIZED", live, "A signer's signing session was opened."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_SESSION, "UPDATED", emerging, "A signer's signing session was changed. Named only by Ignisign's quick start."},

	{ignisignv1.Topic_TOPIC_SIGNATURE_PROOF, "GENERATED", live, "Proofs of a signature request are ready or, with the nature ERROR, could not be made."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_PROOF, "ADV_GENERATED", live, "The advanced proof of a document is ready."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_PROOF, "FAILED", emerging, "A proof could not be made. Named only by Ignisign's quick start; elsewhere it is GENERATED with the nature ERROR."},

	{ignisignv1.Topic_TOPIC_SIGNATURE_SIGNER_IMAGE, "GENERATED", live, "The image of a signer's signature is ready or, most likely, could not be made, with the nature ERROR."},
	{ignisignv1.Topic_TOPIC_SIGNATURE_SIGNER_IMAGE, "FAILED", emerging, "The image of a signer's signature could not be made. Named only by Ignisign's quick start."},

	{ignisignv1.Topic_TOPIC_DOCUMENT_REQUEST, "PROVIDED", legacy, "A document that was asked for was provided. Version 3 only."},

	{ignisignv1.Topic_TOPIC_ID_PROOFING, "LAUNCHED", postponed, "The proofing of a signer's identity began. Withdrawn in February 2024."},
	{ignisignv1.Topic_TOPIC_ID_PROOFING, "COMPLETED", postponed, "The proofing of a signer's identity ended. Withdrawn in February 2024."},
	{ignisignv1.Topic_TOPIC_ID_PROOFING, "INITIALIZED", postponed, "The proofing of a signer's identity was created. Only in Ignisign's first version; its content is not known."},
	{ignisignv1.Topic_TOPIC_ID_PROOFING, "FINALIZED", postponed, "The proofing of a signer's identity was finished. Only in Ignisign's first version; its content is not known."},
}

// Catalog answers every event type of Ignisign under its canonical name, in the
// order of the topics. The messages are the caller's.
func Catalog() []*hookstreamv1.EventType {
	types := make([]*hookstreamv1.EventType, len(catalog))
	for i, e := range catalog {
		types[i] = e.eventType()
	}
	return types
}

func (e catalogEntry) eventType() *hookstreamv1.EventType {
	topic := lenient.EnumWire(topicDesc, e.topic.Number())
	typ := topic + "." + e.action
	body, err := example(typ)
	if err != nil {
		panic("ignisign: no example of " + typ) // both are compiled in
	}
	return &hookstreamv1.EventType{
		Provider: ID, Type: typ, Topic: topic, Action: e.action,
		Description: e.description, Stage: e.stage,
		Aliases:      e.aliases(typ),
		ContentTypes: []string{string(contentOf(e.topic).message.Message().FullName())},
		Example:      string(body),
	}
}

// aliases answers all other names of a type: every name of its topic with every
// name of its action.
func (e catalogEntry) aliases(typ string) []string {
	var aliases []string
	actions := contentOf(e.topic).action.Enum()
	for _, topic := range names(topicDesc, e.topic.Number()) {
		for _, action := range names(actions, contentOf(e.topic).actionOf(e.action)) {
			if alias := topic + "." + action; alias != typ {
				aliases = append(aliases, alias)
			}
		}
	}
	return aliases
}

// names answers the canonical name of an enum's value, then its aliases.
func names(desc protoreflect.EnumDescriptor, number protoreflect.EnumNumber) []string {
	facts, _ := proto.GetExtension(desc.Values().ByNumber(number).Options(), optionsv1.E_EnumValue).(*optionsv1.EnumValueFacts)
	return append([]string{lenient.EnumWire(desc, number)}, facts.GetAliases()...)
}
