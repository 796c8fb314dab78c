package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A textFlag is a flag that is made when the program starts, of what a provider says.
type textFlag struct {
	name, help, placeholder, group, value string // value: unless it is given
	choices                               []string
	required                              bool
	yes                                   bool // it is there or not, and takes no text
	empties                               bool // given nothing, it empties what there is
}

// textFlags are such flags.
type textFlags struct {
	// Flags is a pointer to a struct of a field for each; nil: no flags.
	Flags any `embed:""`
}

func newTextFlags(flags []textFlag) textFlags {
	var fields []reflect.StructField
	for i, f := range flags {
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("Flag%d", i), Type: f.typ(), Tag: f.tag()})
	}
	return textFlags{reflect.New(reflect.StructOf(fields)).Interface()}
}

func (f textFlag) typ() reflect.Type {
	switch {
	case f.yes:
		return reflect.TypeFor[bool]()
	case f.empties, len(f.choices) > 0: // kong wants a default of an enum that is no pointer
		return reflect.TypeFor[*string]()
	}
	return reflect.TypeFor[string]()
}

// tag says to kong what the flag is.
func (f textFlag) tag() reflect.StructTag {
	tag := fmt.Sprintf("name:%q help:%q", f.name, f.help)
	for _, part := range []struct{ key, value string }{
		{"placeholder", f.placeholder}, {"group", f.group}, {"enum", strings.Join(f.choices, ",")}, {"default", f.value},
	} {
		if part.value != "" {
			tag += fmt.Sprintf(" %s:%q", part.key, part.value)
		}
	}
	if f.required {
		tag += ` required:""`
	}
	return reflect.StructTag(tag)
}

// given answers the texts that were given, by their flags; "true" of one without.
func (f textFlags) given() map[string]string {
	texts := make(map[string]string)
	if f.Flags == nil {
		return texts
	}
	flags := reflect.ValueOf(f.Flags).Elem()
	for i := range flags.NumField() {
		if value := flags.Field(i); !value.IsZero() {
			texts[flags.Type().Field(i).Tag.Get("name")] = fmt.Sprint(reflect.Indirect(value))
		}
	}
	return texts
}

// has reports whether there is a flag.
func (f textFlags) has(name string) bool {
	if f.Flags == nil {
		return false
	}
	flags := reflect.TypeOf(f.Flags).Elem()
	for i := range flags.NumField() {
		if flags.Field(i).Tag.Get("name") == name {
			return true
		}
	}
	return false
}

// merged answers flags of which none has the name of another: of equal ones the first,
// in the groups of all.
func merged(flags []textFlag) (all []textFlag) {
	for _, f := range flags {
		i := slices.IndexFunc(all, func(have textFlag) bool { return have.name == f.name })
		if i < 0 {
			all = append(all, f)
		} else if all[i].group != f.group {
			all[i].group += ", " + f.group
		}
	}
	return all
}
