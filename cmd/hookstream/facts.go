package main

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// facts are the few words of an event's content by which people know what it is
// about: how it stands, who, which of their own ids. Never a credential.
func facts(e *hookstreamv1.Event) []string {
	switch payload := e.GetPayload().(type) {
	case *hookstreamv1.Event_Yousign:
		return nonEmpty(yousignFacts(payload.Yousign))
	case *hookstreamv1.Event_Ignisign:
		return nonEmpty(ignisignFacts(payload.Ignisign))
	}
	return nil
}

func yousignFacts(e *yousignv1.Event) []string {
	request := e.GetSignatureRequest()
	found := []string{personOf(e.GetSigner().GetInfo()), request.GetName(), request.GetExternalId(), quoted(e.GetReason())}
	switch {
	case e.GetSigner() != nil:
		return append([]string{e.GetSigner().GetStatusRaw()}, found...)
	case e.GetApprover() != nil:
		return append([]string{e.GetApprover().GetStatusRaw(), personOf(e.GetApprover().GetInfo())}, found...)
	case request != nil:
		return append([]string{request.GetStatusRaw()}, found...)
	}
	return append(nodeFacts(e.ProtoReflect()), found...)
}

// nodeFacts looks into whatever other message an event holds.
func nodeFacts(m protoreflect.Message) (found []string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.Message() == nil || fd.IsList() || fd.IsMap() || !m.Has(fd) {
			continue
		}
		node := m.Get(fd).Message().Interface()
		if n, ok := node.(interface{ GetStatusRaw() string }); ok {
			found = append(found, n.GetStatusRaw())
		}
		if n, ok := node.(person); ok {
			found = append(found, personOf(n))
		}
		if n, ok := node.(interface{ GetExternalId() string }); ok {
			found = append(found, n.GetExternalId())
		}
	}
	return found
}

type person interface {
	GetFirstName() string
	GetLastName() string
}

func personOf(p person) string {
	return strings.TrimSpace(p.GetFirstName() + " " + p.GetLastName())
}

func ignisignFacts(e *ignisignv1.Event) []string {
	found := contentFacts(e.ProtoReflect())
	if nature := e.GetMsgNatureRaw(); nature == "ERROR" || nature == "WARNING" {
		found = append([]string{nature}, found...)
	}
	return append(found, e.GetError().GetErrorCodeRaw())
}

// contentFacts looks into the content of an event of Ignisign: each topic has a
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

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return "“" + s + "”"
}
