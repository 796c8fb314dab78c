package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/setting"
)

// settingFlags are a flag for each setting of a resource, made of its table and of
// its schema.
type settingFlags struct {
	// Flags is a struct with a field for each: its type is made by newSettingFlags.
	Flags any `embed:""`

	flags []settingFlag // a field of Flags each
}

// A settingFlag is a flag that says what a setting is to be, or empties it.
type settingFlag struct {
	row    setting.Row
	field  protoreflect.FieldDescriptor
	clears bool
}

// newSettingFlags makes the flags of commands that make a resource, or change one:
// then what never changes and what has commands of its own has none, and what is a
// list can be emptied.
func newSettingFlags(table setting.Table, of proto.Message, changes bool) settingFlags {
	var out settingFlags
	var fields []reflect.StructField
	add := func(f settingFlag, help string) {
		typ, tag := f.kind()
		out.flags = append(out.flags, f)
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("Flag%d", len(fields)), Type: typ,
			Tag: reflect.StructTag(fmt.Sprintf(`name:%q help:%q group:%q %s`, f.name(), help, f.row.Group, tag)),
		})
	}
	for row, fd := range table.Of(of.ProtoReflect().Descriptor()) {
		f := settingFlag{row: row, field: fd}
		if typ, _ := f.kind(); typ == nil || changes && (setting.IsFixed(fd) || row.Switch) {
			continue
		}
		add(f, f.help(changes))
		if changes && f.severalValues() && fd.Enum() == nil {
			f.clears = true
			add(f, "Remove all "+words(fd)+".")
		}
	}
	out.Flags = reflect.New(reflect.StructOf(fields)).Interface()
	return out
}

// help is the sentence of the row with what else there is to know.
func (f settingFlag) help(changes bool) string {
	text := f.row.Help
	switch {
	case f.severalValues() && changes:
		text += "; given once or more, they replace all"
	case f.severalValues():
		text += "; may be repeated"
	}
	return text + f.limits() + "."
}

// severalValues reports whether the flag may be given more than once.
func (f settingFlag) severalValues() bool { return f.field.IsList() || f.field.IsMap() }

// name of one value, as a flag that is repeated has.
func (f settingFlag) name() string {
	kebab := strings.ReplaceAll(f.row.Field, "_", "-")
	switch {
	case f.clears:
		return "no-" + kebab
	case f.row.Flag != "":
		return f.row.Flag
	case f.severalValues():
		return strings.TrimSuffix(kebab, "s")
	}
	return kebab
}

// kind answers the type of the flag, nil for a setting that has flags of its own, and
// what its tag says of its values. A nil pointer stands for a flag that was not given.
func (f settingFlag) kind() (typ reflect.Type, tag string) {
	_, bytes := f.row.Values.(setting.Sizes)
	switch fd := f.field; {
	case f.clears:
		return reflect.TypeFor[bool](), ""
	case fd.IsMap():
		return reflect.TypeFor[map[string]string](), `placeholder:"KEY=VALUE"`
	case fd.IsList() && fd.Enum() != nil:
		return reflect.TypeFor[[]string](), fmt.Sprintf("placeholder:%q", strings.Join(choices(fd), "|"))
	case fd.IsList():
		return reflect.TypeFor[[]string](), `placeholder:"PATTERN"`
	case fd.Enum() != nil:
		return reflect.TypeFor[*string](), fmt.Sprintf("enum:%q placeholder:%q", strings.Join(choices(fd), ","), strings.Join(choices(fd), "|"))
	case fd.Kind() == protoreflect.BoolKind:
		return reflect.TypeFor[*bool](), `negatable:""`
	case fd.Kind() == protoreflect.StringKind:
		return reflect.TypeFor[*string](), `placeholder:"TEXT"`
	case bytes:
		return reflect.TypeFor[*size](), `placeholder:"SIZE"`
	case fd.Kind() == protoreflect.Int32Kind:
		return reflect.TypeFor[*int32](), `placeholder:"N"`
	case fd.Kind() == protoreflect.Int64Kind:
		return reflect.TypeFor[*int64](), `placeholder:"N"`
	case fd.Kind() == protoreflect.DoubleKind:
		return reflect.TypeFor[*float64](), `placeholder:"N"`
	case isSpan(fd):
		return reflect.TypeFor[*span](), `placeholder:"DURATION"`
	}
	return nil, ""
}

func isSpan(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && fd.Message().FullName() == (*durationpb.Duration)(nil).ProtoReflect().Descriptor().FullName()
}

// limits are bounds and default, as help says them.
func (f settingFlag) limits() (text string) {
	if f.row.Values == nil {
		return ""
	}
	if f.field.Enum() == nil {
		text = ": " + f.row.Values.Bounds()
	}
	if preset := f.row.Values.Default(); preset != "" {
		text += "; " + choiceWord(preset) + " unless said otherwise"
	}
	return text
}

// choices are the values of an enum, as flags spell them.
func choices(fd protoreflect.FieldDescriptor) (out []string) {
	values := fd.Enum().Values()
	for i := 1; i < values.Len(); i++ { // the first stands for none
		out = append(out, choiceWord(setting.Word(values.Get(i))))
	}
	return out
}

// choiceWord is a value of an enum as flags spell it. What is no such value stays.
func choiceWord(word string) string {
	if word != strings.ToUpper(word) {
		return word
	}
	return strings.ToLower(strings.ReplaceAll(word, "_", "-"))
}

// apply copies what was given and names the fields.
func (f settingFlags) apply(to proto.Message) (paths []string, err error) {
	m, flags := to.ProtoReflect(), reflect.ValueOf(f.Flags).Elem()
	for i, flag := range f.flags {
		given := flags.Field(i)
		if given.IsZero() {
			continue
		}
		path := string(flag.field.Name())
		switch {
		case flag.clears && slices.Contains(paths, path):
			return nil, misused("--%s and --%s exclude each other", f.flags[i-1].name(), flag.name())
		case !flag.clears:
			if err := flag.set(m, given.Interface()); err != nil {
				return nil, err
			}
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// set gives a field of m what was given.
func (f settingFlag) set(m protoreflect.Message, given any) error {
	switch v := given.(type) {
	case map[string]string:
		for key, value := range v {
			m.Mutable(f.field).Map().Set(protoreflect.ValueOfString(key).MapKey(), protoreflect.ValueOfString(value))
		}
	case []string:
		return f.setList(m, v)
	case *string:
		if f.field.Enum() == nil {
			m.Set(f.field, protoreflect.ValueOfString(*v))
			return nil
		}
		n, err := f.choice(*v)
		m.Set(f.field, protoreflect.ValueOfEnum(n))
		return err
	case *bool:
		m.Set(f.field, protoreflect.ValueOfBool(*v))
	case *int32:
		m.Set(f.field, protoreflect.ValueOfInt32(*v))
	case *int64:
		m.Set(f.field, protoreflect.ValueOfInt64(*v))
	case *size:
		m.Set(f.field, protoreflect.ValueOfInt64(int64(*v)))
	case *float64:
		m.Set(f.field, protoreflect.ValueOfFloat64(*v))
	case *span:
		m.Set(f.field, protoreflect.ValueOfMessage(durationpb.New(time.Duration(*v)).ProtoReflect()))
	}
	return nil
}

// setList sets a list of texts or of values of an enum, of which `none` is none.
func (f settingFlag) setList(m protoreflect.Message, given []string) error {
	list := m.NewField(f.field).List()
	for _, text := range given {
		switch {
		case f.field.Enum() == nil:
			list.Append(protoreflect.ValueOfString(text))
		case text == "none" && len(given) == 1:
		default:
			n, err := f.choice(text)
			if err != nil {
				return err
			}
			list.Append(protoreflect.ValueOfEnum(n))
		}
	}
	m.Set(f.field, protoreflect.ValueOfList(list))
	return nil
}

// choice reads a value of an enum, of which flags that are repeated take none too.
func (f settingFlag) choice(text string) (protoreflect.EnumNumber, error) {
	all := choices(f.field)
	if i := slices.Index(all, choiceWord(strings.ToUpper(text))); i >= 0 {
		return f.field.Enum().Values().Get(i + 1).Number(), nil
	}
	if f.severalValues() {
		all = append(all, "none")
	}
	last := len(all) - 1
	return 0, misused("--%s %s: %s or %s", f.name(), text, strings.Join(all[:last], ", "), all[last])
}

// settingProperties says what a resource's settings are. One that is said elsewhere,
// as a selector is and what is a switch, is left out.
func settingProperties(table setting.Table, of proto.Message) (out []property) {
	for row, value := range settingTexts(table, of) {
		out = append(out, property{strings.ReplaceAll(row.Field, "_", " "), value})
	}
	return out
}

// settingColumns are the headings of settings in a list, and what is below them: of
// those that every list has, or of the others.
func settingColumns(table setting.Table, listed bool, of ...proto.Message) (heading []string, rows [][]string) {
	rows = make([][]string, len(of))
	for i, m := range of {
		heading = nil
		for row, value := range settingTexts(table, m) {
			if row.Listed == listed {
				heading = append(heading, strings.ToUpper(strings.ReplaceAll(row.Field, "_", " ")))
				rows[i] = append(rows[i], value)
			}
		}
	}
	return heading, rows
}

// settingTexts ranges over the settings with their values for people.
func settingTexts(table setting.Table, of proto.Message) func(yield func(setting.Row, string) bool) {
	return func(yield func(setting.Row, string) bool) {
		m := of.ProtoReflect()
		for row, fd := range table.Of(m.Descriptor()) {
			f := settingFlag{row: row, field: fd}
			if typ, _ := f.kind(); typ == nil || row.Switch {
				continue
			}
			text := ""
			if m.Has(fd) {
				text = f.text(m.Get(fd))
			}
			if !yield(row, text) {
				return
			}
		}
	}
}

// text is a value for people.
func (f settingFlag) text(v protoreflect.Value) string {
	switch fd := f.field; {
	case fd.IsMap():
		labels := make(map[string]string)
		v.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			labels[key.String()] = value.String()
			return true
		})
		return joinLabels(labels)
	case fd.IsList():
		var all []string
		for i := range v.List().Len() {
			all = append(all, f.one(v.List().Get(i)))
		}
		return strings.Join(all, " ")
	}
	return f.one(v)
}

// one is a value, of a list or not, for people.
func (f settingFlag) one(v protoreflect.Value) string {
	switch fd := f.field; {
	case fd.Enum() != nil:
		if value := fd.Enum().Values().ByNumber(v.Enum()); value != nil {
			return strings.ToLower(strings.ReplaceAll(setting.Word(value), "_", " "))
		}
	case fd.Kind() == protoreflect.BoolKind:
		return "yes"
	case isSpan(fd):
		return spanOf(v.Message().Interface().(*durationpb.Duration))
	case fd.Kind() == protoreflect.DoubleKind:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	if _, bytes := f.row.Values.(setting.Sizes); bytes {
		return size(v.Int()).String()
	}
	return v.String()
}

func words(fd protoreflect.FieldDescriptor) string {
	return strings.ReplaceAll(string(fd.Name()), "_", " ")
}
