package provider

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Configured is a Provider that has words for the settings of its sources, by which
// people give them on a command line. Of another, Words answers those of the schema.
type Configured interface {
	Settings() Settings
}

// Settings are what people give of the config of a source.
type Settings struct {
	// Credential is the one that the source is made with. It is never a flag. Without a
	// field there is none.
	Credential CredentialSetting
	// Others are flags, in the order in which people want to read them.
	Others []Setting
}

// A CredentialSetting is where a source's credential goes, and what people know of it.
type CredentialSetting struct {
	// Field is that of the config: a text, or a list of texts.
	Field string
	// Name is what the sender calls it: `API key`.
	Name string
	// Owner says whose it is, as in `the subscription's secret key`; may be empty.
	Owner string
	// Variable is that of the environment which holds it.
	Variable string
	// Several says that a source accepts more than one at a time: the field is a list.
	Several bool
	// Place is what the sender calls the field that takes one which was made here.
	// Empty: the sender makes them.
	Place string
}

// String names it in a sentence.
func (c CredentialSetting) String() string {
	if c.Owner == "" {
		return "the " + c.Name
	}
	return c.Owner + " " + c.Name
}

// A Setting is a field of a config that is a flag.
type Setting struct {
	// Field is that of the config: a text or an enum.
	Field string
	// Flag is the flag's name; the field's with hyphens when it is empty.
	Flag string
	// Help says what it is, without a full stop. Unless says what is so without it:
	// `if not X-Signature`; empty for one that has no such value.
	Help, Unless string
	// Placeholder stands for its value in help, and Example is one that people might
	// give.
	Placeholder, Example string
	// Default is the value of a source that is made without one.
	Default string
	// Required says that no source can do without.
	Required bool
	// InRequests says that the sender's requests depend on it.
	InRequests bool
}

// Name answers the flag's name.
func (s Setting) Name() string {
	return cmp.Or(s.Flag, strings.ReplaceAll(s.Field, "_", "-"))
}

// Words answers the settings of a provider's sources: see Configured.
func Words(p Provider) Settings {
	if p, ok := p.(Configured); ok {
		return p.Settings()
	}
	id := p.Info().GetId()
	words := Settings{}
	for _, f := range configFields(id) {
		name := strings.ReplaceAll(string(f.Name()), "_", " ")
		switch {
		case f.Kind() != protoreflect.StringKind || behaves(f, annotations.FieldBehavior_OUTPUT_ONLY):
		case behaves(f, annotations.FieldBehavior_INPUT_ONLY):
			if words.Credential.Field == "" {
				variable := "HOOKSTREAM_" + strings.ToUpper(id+"_"+string(f.Name()))
				words.Credential = CredentialSetting{Field: string(f.Name()), Name: name, Variable: variable, Several: f.IsList()}
			}
		case !f.IsList():
			words.Others = append(words.Others, Setting{
				Field: string(f.Name()), Help: "The source's " + name, Placeholder: "TEXT", Example: "text",
				Required: behaves(f, annotations.FieldBehavior_REQUIRED), InRequests: true,
			})
		}
	}
	return words
}

// configField answers the field of a source that holds a provider's config, nil when
// the schema has none.
func configField(id string) protoreflect.FieldDescriptor {
	source := (*hookstreamv1.Source)(nil).ProtoReflect().Descriptor()
	return source.Oneofs().ByName("config").Fields().ByName(protoreflect.Name(id))
}

// configFields answers the fields of a provider's config, none when the schema has no
// such sources.
func configFields(id string) (fields []protoreflect.FieldDescriptor) {
	f := configField(id)
	if f == nil {
		return nil
	}
	for i := range f.Message().Fields().Len() {
		fields = append(fields, f.Message().Fields().Get(i))
	}
	return fields
}

// Configure makes a source one of a provider and puts texts into fields of its config;
// an enum is given as one of Choices. Empty texts leave their fields as they are.
func Configure(src *hookstreamv1.Source, id string, texts map[string]string) error {
	field := configField(id)
	if field == nil {
		return fmt.Errorf("the schema has no sources of %s", id)
	}
	config := src.ProtoReflect().Mutable(field).Message()
	for name, text := range texts {
		f := config.Descriptor().Fields().ByName(protoreflect.Name(name))
		switch {
		case text == "":
		case f == nil:
			return fmt.Errorf("a source of %s has no %s", id, name)
		case f.Kind() == protoreflect.EnumKind:
			i := slices.Index(Choices(id, name), text)
			if i < 0 {
				return fmt.Errorf("%s is none of its values: %q", name, text)
			}
			config.Set(f, protoreflect.ValueOfEnum(f.Enum().Values().Get(i+1).Number()))
		case f.IsList():
			config.Mutable(f).List().Append(protoreflect.ValueOfString(text))
		default:
			config.Set(f, protoreflect.ValueOfString(text))
		}
	}
	return nil
}

// Choices answers what an enum of a provider's config is given as: the names of its
// values in lower-case letters, without that of the enum and the first, which stands
// for none. Nothing for another field.
func Choices(id, field string) (choices []string) {
	fields := configFields(id)
	i := slices.IndexFunc(fields, func(f protoreflect.FieldDescriptor) bool { return string(f.Name()) == field })
	if i < 0 || fields[i].Enum() == nil {
		return nil
	}
	values := fields[i].Enum().Values()
	enum := strings.TrimSuffix(string(values.Get(0).Name()), "UNSPECIFIED")
	for i := 1; i < values.Len(); i++ {
		choices = append(choices, strings.ToLower(strings.TrimPrefix(string(values.Get(i).Name()), enum)))
	}
	return choices
}

// Texts answers the texts of a source's config by their fields, the first of each list;
// none when it has no config.
func Texts(src *hookstreamv1.Source) map[string]string {
	texts := make(map[string]string)
	cfg := configOf(src)
	if cfg == nil {
		return texts
	}
	cfg.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.StringKind:
		case !f.IsList():
			texts[string(f.Name())] = v.String()
		case v.List().Len() > 0:
			texts[string(f.Name())] = v.List().Get(0).String()
		}
		return true
	})
	return texts
}
