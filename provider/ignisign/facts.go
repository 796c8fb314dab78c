package ignisign

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
)

// Facts tells of an event whether it is a failure, how the content stands, and the
// integrator's own ids of what it is about.
func (Provider) Facts(payload proto.Message) []string {
	e, _ := payload.(*ignisignv1.Event)
	found := contentFacts(e.ProtoReflect())
	if nature := e.GetMsgNatureRaw(); nature == "ERROR" || nature == "WARNING" {
		found = append([]string{nature}, found...)
	}
	return append(found, e.GetError().GetErrorCodeRaw())
}

// contentFacts looks into the content of an event: each topic has a
// message of its own, with the same names for the same things.
func contentFacts(m protoreflect.Message) (found []string) {
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("content"))
	if fd == nil {
		return nil
	}
	content := m.Get(fd).Message().Interface()
	if c, ok := content.(interface{ GetStatusRaw() string }); ok {
		found = append(found, c.GetStatusRaw())
	}
	if c, ok := content.(interface{ GetSignatureRequestExternalId() string }); ok {
		found = append(found, c.GetSignatureRequestExternalId())
	}
	if c, ok := content.(interface{ GetSignerExternalId() string }); ok {
		found = append(found, c.GetSignerExternalId())
	}
	if c, ok := content.(interface{ GetDocumentExternalId() string }); ok {
		found = append(found, c.GetDocumentExternalId())
	}
	return found
}
