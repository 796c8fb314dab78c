package yousign

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider/lenient"
)

// Catalog lists every event that Yousign is known to send or to have sent, in
// the order of the schema. The caller may change what it gets.
func Catalog() []*hookstreamv1.EventType {
	values := yousignv1.EventName(0).Descriptor().Values()
	types := make([]*hookstreamv1.EventType, 0, values.Len())
	for i := range values.Len() {
		name := lenient.EnumWire(yousignv1.EventName(0).Descriptor(), values.Get(i).Number())
		if name != "" {
			types = append(types, eventType(name))
		}
	}
	return types
}

func eventType(name string) *hookstreamv1.EventType {
	topic, action := event.SplitType(name)
	example, _ := examples.ReadFile(exampleFile(name)) // each has one: see the test
	t := &hookstreamv1.EventType{
		Provider:     ID,
		Type:         name,
		Topic:        topic,
		Action:       action,
		Description:  meanings[name],
		Stage:        stageOf(topic),
		ContentTypes: contentTypes(topic),
		Example:      string(example),
	}
	if former, ok := formerNames[name]; ok {
		t.Aliases = []string{former}
	}
	return t
}

func stageOf(topic string) hookstreamv1.EventType_Stage {
	switch {
	case topics[topic].former:
		return hookstreamv1.EventType_STAGE_LEGACY
	case topic == "monitoring.natural_person":
		return hookstreamv1.EventType_STAGE_EMERGING
	}
	return hookstreamv1.EventType_STAGE_LIVE
}

// contentTypes answers the messages that hold the content of a topic's events.
func contentTypes(topic string) []string {
	t := topics[topic]
	types := []string{messageOf(t.node)}
	if t.entities == "signature_requests" && t.about != t.node {
		types = append(types, messageOf(t.about))
	}
	return types
}

func messageOf(node protoreflect.Name) string {
	return string(eventFields.ByName(node).Message().FullName())
}

// formerNames are the names until 2025 of what is named otherwise today.
var formerNames = map[string]string{
	"verification.identity_video.done":    "video_identity_verification.done",
	"verification.bank_account.done":      "bank_account_verification.done",
	"verification.identity_document.done": "id_document_verification.done",
}

// meanings says of each event what it means.
var meanings = map[string]string{
	"signature_request.activated":                   "Made available to its recipients. With approvers its status may be `approval`, otherwise it is `ongoing`.",
	"signature_request.done":                        "All required signers have signed.",
	"signature_request.expired":                     "Its due date has passed.",
	"signature_request.reactivated":                 "An expired one was reopened by hand.",
	"signature_request.reminder_executed":           "A reminder was sent, by hand as one page of Yousign's documentation says; another says automatically.",
	"signature_request.automatic_reminder_executed": "An automatic reminder was sent. Not described by Yousign: read from the name.",
	"signature_request.approved":                    "All approvers have approved.",
	"signature_request.declined":                    "A signer declined. See `Event.reason`.",
	"signature_request.rejected":                    "An approver rejected. Since January 2026. See `Event.reason`.",
	"signature_request.canceled":                    "A user canceled it by hand.",
	"signature_request.deleted":                     "Deleted; it can be restored in Yousign's application. May hold identifiers only.",
	"signature_request.permanently_deleted":         "Gone for good. May hold identifiers only.",
	"signature_request.paused":                      "Paused. Not described by Yousign: read from the name.",
	"signature_request.resumed":                     "Resumed. Not described by Yousign: read from the name.",
	"signer.notified":                               "Can sign now: the link was sent or can be retrieved. The signer's link may be in the body, and is a credential.",
	"signer.link_opened":                            "The signing link was opened; whether each time or only the first is told both ways.",
	"signer.done":                                   "This signer has signed. Others may not have.",
	"signer.declined":                               "This signer declined. See `Event.reason`.",
	"signer.error":                                  "Signing failed within Yousign, which then cancels the signature request by itself.",
	"signer.sender_contacted":                       "The signer asked the sender for a change. Where the body holds the message, if at all, is not documented. Advanced and qualified signatures.",
	"signer.identification_blocked":                 "The identity check failed and the signer cannot go on. Advanced and qualified signatures.",
	"signer.identification_succeeded":               "The identity was verified. Advanced and qualified signatures.",
	"signer.identification_failed":                  "The identity check failed. See `Event.reason`. Advanced and qualified signatures.",
	"signer.identification_expired":                 "The signer did not sign within 30 minutes of being identified. Qualified signatures; not sent in the sandbox.",
	"signer.identity_saved":                         "The signer saved a reusable digital identity. Qualified signatures.",
	"signer.notification_delivery_failed":           "The first invitation could not be delivered by email. Sent again whenever the status of the failure changes.",
	"approver.notified":                             "Can approve now. The approver's link may be in the body, and is a credential.",
	"approver.approved":                             "This approver approved.",
	"approver.rejected":                             "This approver rejected. See `Event.reason`.",
	"approver.notification_delivery_failed":         "The first invitation could not be delivered by email. Sent again whenever the status of the failure changes.",
	"contact.created":                               "Created, by other means than importing a CSV file.",
	"user.completed":                                "An invited user filled in the profile.",
	"electronic_seal.done":                          "The document is sealed.",
	"electronic_seal.error":                         "Sealing failed. Yousign gives no reason.",
	"verification.identity_video.done":              "The verification of an identity by video is finished, which does not mean passed: read the status.",
	"verification.identity_document.done":           "The verification of an identity document is finished, which does not mean passed: read the status.",
	"verification.bank_account.done":                "The verification of a bank account is finished, which does not mean passed: read the status.",
	"verification.bank_account_connection.done":     "The verification of a bank account by connecting to the bank is finished, which does not mean passed: read the status.",
	"verification.bank_account_lookup.done":         "The look-up of a bank account is finished, which does not mean passed: read the status.",
	"verification.company.done":                     "The verification of a company is finished, which does not mean passed: read the status.",
	"verification.watchlist.done":                   "The screening of a person against watch lists is finished, which does not mean passed: read the status.",
	"verification.proof_of_address.done":            "The verification of a proof of address is finished, which does not mean passed: read the status.",
	"document_analysis.done":                        "Finished, which does not mean without findings: read the status.",
	"workflow_session.started":                      "The session was started. Not described by Yousign: read from the name.",
	"workflow_session.blocked":                      "The session cannot go on. Not described by Yousign: read from the name.",
	"workflow_session.done":                         "The session is finished. Not described by Yousign: read from the name.",
	"workflow_action_group.started":                 "The group was started. Not described by Yousign: read from the name.",
	"workflow_action_group.blocked":                 "The group cannot go on. Not described by Yousign: read from the name.",
	"workflow_action_group.done":                    "The group is finished. Not described by Yousign: read from the name.",
	"applicant.notified":                            "A link to the session was generated.",
	"applicant.processed":                           "The applicant finished every verification.",
	"applicant.session_blocked":                     "The applicant can do nothing more on the link.",
	"monitoring.natural_person.activated":           "Watching has begun; activation takes a while.",
	"monitoring.natural_person.inconclusive":        "Watching could not begin. Final.",
	"monitoring.natural_person.updated":             "Something changed about the person.",
	"monitoring.natural_person.canceled":            "Watching was stopped.",
	"video_identity_verification.done":              "The verification of an identity by video, as named until 2025 is finished, which does not mean passed: read the status.",
	"bank_account_verification.done":                "The verification of a bank account, as named until 2025 is finished, which does not mean passed: read the status.",
	"id_document_verification.done":                 "The verification of an identity document, as named until 2025 is finished, which does not mean passed: read the status.",
}
