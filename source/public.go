package source

import (
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Public answers a copy of src without credentials, which may be shown to
// whoever manages sources. Those that have ended are not listed beside others.
func (s *Store) Public(src *hookstreamv1.Source) *hookstreamv1.Source {
	out := proto.CloneOf(src)
	s.providers.Credentials(out).Refresh(out, time.Now())
	clearInputOnly(out.ProtoReflect())
	return out
}

// clearInputOnly clears every field that the schema marks INPUT_ONLY, at any
// depth, so that the credential of the next provider is not forgotten here.
func clearInputOnly(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case isInputOnly(fd):
			m.Clear(fd)
		case fd.Message() != nil && !fd.IsMap() && !fd.IsList():
			clearInputOnly(v.Message())
		case fd.Message() != nil && fd.IsList():
			for i := range v.List().Len() {
				clearInputOnly(v.List().Get(i).Message())
			}
		}
		return true
	})
}

func isInputOnly(fd protoreflect.FieldDescriptor) bool {
	behaviors, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, annotations.FieldBehavior_INPUT_ONLY)
}
