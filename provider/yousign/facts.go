package yousign

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// Facts tells of an event how the request, the signer or the approver stands, and
// who and what it is about.
func (Provider) Facts(payload proto.Message) []string {
	e, _ := payload.(*yousignv1.Event)
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

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return "“" + s + "”"
}
