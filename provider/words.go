package provider

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Summarizer is a Provider that knows what of an event people want to see first.
type Summarizer interface {
	// Facts answers the few words of an event's content by which people know what it
	// is about: how it stands, who, which of their own ids. Some may be empty. Never a
	// credential. payload is the message of its Decoder, sensitive fields possibly
	// cleared.
	Facts(payload proto.Message) []string
}

// A Describer is a Provider that has words of its own for the settings of a source.
type Describer interface {
	// Describe answers them in the order in which people want to read them. Some
	// values may be empty. Never a credential.
	Describe(src *hookstreamv1.Source) []Property
}

// An Exemplifier is a Provider that has something to show to those who try it.
type Exemplifier interface {
	// ExampleConditions answers a few conditions on its events, as FIELD=VALUE of its
	// Selector.
	ExampleConditions() string
	// ExampleType answers a type that people know at sight.
	ExampleType() string
}

// A Property is something that is told of a source.
type Property struct{ Name, Value string }

// Facts answers what people know an event by: see Summarizer. Nothing, when its
// provider is none.
func (s *Set) Facts(e *hookstreamv1.Event) []string {
	m := e.ProtoReflect()
	f := m.WhichOneof(m.Descriptor().Oneofs().ByName("payload"))
	if s == nil || f == nil || f.Message() == nil {
		return nil
	}
	if p, ok := s.byID[string(f.Name())].(Summarizer); ok {
		return p.Facts(m.Get(f).Message().Interface())
	}
	return nil
}

// Describe answers what is particular to the provider of a source: see Describer. Of
// another provider, the texts of its config that are no credential.
func (s *Set) Describe(src *hookstreamv1.Source) (properties []Property) {
	if p, ok := s.Of(src).(Describer); ok {
		return p.Describe(src)
	}
	cfg := configOf(src)
	if cfg == nil {
		return nil
	}
	m := cfg.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if f.Kind() == protoreflect.StringKind && f.Cardinality() != protoreflect.Repeated && !behaves(f, annotations.FieldBehavior_INPUT_ONLY) {
			name := strings.ReplaceAll(string(f.Name()), "_", " ")
			properties = append(properties, Property{name, m.Get(f).String()})
		}
	}
	return properties
}

// behaves reports what the schema says of a field: that it is a credential, which is
// INPUT_ONLY, or the gateway's own, or cannot be left out.
func behaves(f protoreflect.FieldDescriptor, as annotations.FieldBehavior) bool {
	behaviours, _ := proto.GetExtension(f.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviours, as)
}

// FingerprintText tells people of a Fingerprint; empty for none.
func FingerprintText(fingerprint string) string {
	if fingerprint == "" {
		return ""
	}
	return "fingerprint " + fingerprint
}

// ExampleType answers a type of a provider's for people to try: see Exemplifier. Of
// another, the first that it lists.
func ExampleType(p Provider) string {
	if p, ok := p.(Exemplifier); ok {
		return p.ExampleType()
	}
	for _, t := range p.EventTypes() {
		return t.GetType()
	}
	return ""
}

// Told joins what there is.
func Told(parts ...string) string {
	parts = slices.DeleteFunc(slices.Clone(parts), func(text string) bool { return text == "" })
	return strings.Join(parts, ", ")
}
