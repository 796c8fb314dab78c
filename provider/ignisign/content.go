package ignisign

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	"github.com/hookstream/hookstream/provider/lenient"
)

const topicApp = ignisignv1.Topic_TOPIC_APP

var (
	topicDesc = ignisignv1.Topic(0).Descriptor()
	eventDesc = (*ignisignv1.Event)(nil).ProtoReflect().Descriptor()
)

// contents says which fields of an Event belong to a topic: `name` holds the
// content and `name_action` the action. SIGNER_AUTH has neither.
var contents = map[ignisignv1.Topic]*content{
	ignisignv1.Topic_TOPIC_APP:                    newContent("application"),
	ignisignv1.Topic_TOPIC_SIGNATURE:              newContent("signature"),
	ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST:      newContent("signature_request"),
	ignisignv1.Topic_TOPIC_SIGNER:                 newContent("signer"),
	ignisignv1.Topic_TOPIC_SIGNATURE_PROFILE:      newContent("signature_profile"),
	ignisignv1.Topic_TOPIC_SIGNATURE_SESSION:      newContent("signature_session"),
	ignisignv1.Topic_TOPIC_SIGNATURE_PROOF:        newContent("signature_proof"),
	ignisignv1.Topic_TOPIC_SIGNATURE_SIGNER_IMAGE: newContent("signature_signer_image"),
	ignisignv1.Topic_TOPIC_DOCUMENT_REQUEST:       newContent("document_request"),
	ignisignv1.Topic_TOPIC_ID_PROOFING:            newContent("id_proofing"),
}

// A content is the pair of fields of one topic, and what reads the second.
type content struct {
	action, message protoreflect.FieldDescriptor
	decoder         *lenient.Decoder
}

func newContent(name protoreflect.Name) *content {
	message := eventDesc.Fields().ByName(name)
	return &content{
		action:  eventDesc.Fields().ByName(name + "_action"),
		message: message,
		decoder: lenient.DecoderOf((&ignisignv1.Event{}).ProtoReflect().NewField(message).Message().Interface()),
	}
}

// contentOf answers nil for a topic without a content.
func contentOf(topic ignisignv1.Topic) *content { return contents[topic] }

// actionOf answers the action that goes by a name, 0 for none. A nil content has
// no actions.
func (c *content) actionOf(name string) protoreflect.EnumNumber {
	if c == nil {
		return 0
	}
	return lenient.EnumNumber(c.action.Enum(), name)
}

// topicOf answers the topic that goes by a name.
func topicOf(name string) ignisignv1.Topic {
	return ignisignv1.Topic(lenient.EnumNumber(topicDesc, name))
}
