package server

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// A parameter is one key of a query.
type parameter struct {
	key    string
	values []string
	path   []protoreflect.FieldDescriptor // empty: there is no such field
	index  string                         // of a map: labels[team]=x
}

// parameterOf finds the field of a key, in the schema's spelling or in JSON's.
func parameterOf(md protoreflect.MessageDescriptor, key string, values []string) parameter {
	p := parameter{key: key, values: values}
	name, index, indexed := strings.Cut(key, "[")
	if indexed {
		p.index = "[" + index
	}
	for name := range strings.SplitSeq(name, ".") {
		if md == nil {
			return parameter{key: key}
		}
		fd := fieldByName(md, name)
		if fd == nil {
			return parameter{key: key}
		}
		p.path = append(p.path, fd)
		md = fd.Message()
	}
	return p
}

// field is the schema's spelling of what a parameter gives.
func (p parameter) field() string {
	if len(p.path) == 0 {
		return brief(p.key)
	}
	var at string
	for _, fd := range p.path {
		at = join(at, fd)
	}
	return at + brief(p.index)
}

func (p parameter) last() protoreflect.FieldDescriptor { return p.path[len(p.path)-1] }

// choices are the oneofs that a parameter sets a member of, with that member.
func (p parameter) choices() map[string]string {
	all := make(map[string]string)
	at := ""
	for _, fd := range p.path {
		if choice := choiceOf(fd); choice != "" {
			all[part(at, string(choice))] = string(fd.Name())
		}
		at = join(at, fd)
	}
	return all
}

// checkQuery refuses parameters that name no field, or one that another part of
// the request gives, or one that is given twice, and values that a field does not
// take: all at once.
func (r *restRule) checkQuery(u *url.URL) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return badRequest("", "the query cannot be read: parameters have & between them, and a percent sign is followed by two hexadecimal digits")
	}
	var v violations
	var read []parameter
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p := parameterOf(r.request, key, values[key])
		wrong := r.misplaced(p)
		if wrong == "" {
			wrong = beside(p, read)
		}
		if wrong == "" {
			wrong = r.misread(p)
		}
		switch {
		case wrong == "":
			read = append(read, p)
		case len(v) < maxMistakes:
			v.add(p.field(), "%s", wrong)
		}
	}
	return v.err()
}

// misplaced says why a parameter would be passed over.
func (r *restRule) misplaced(p parameter) string {
	field := p.field()
	switch {
	case len(p.path) == 0:
		return "there is no such parameter"
	case !utf8.ValidString(strings.Join(p.values, "")):
		return "is not UTF-8"
	case r.body == "*":
		return "belongs into the body of this method"
	case within(field, r.body):
		return "is a part of the body"
	case slices.ContainsFunc(r.inPath, func(bound string) bool { return within(field, bound) }):
		return "stands in the path"
	case p.index != "" && !p.last().IsMap():
		return "has no keys"
	}
	return ""
}

// beside says why a parameter does not go with those before it.
func beside(p parameter, others []parameter) string {
	for _, other := range others {
		switch {
		case p.field() == other.field():
			return "is given as " + quoted(other.key) + " already"
		case within(p.field(), other.field()), within(other.field(), p.field()):
			return "is given with " + quoted(other.key) + " already"
		}
		chosen := other.choices()
		for choice, member := range p.choices() {
			if chosen[choice] != "" && chosen[choice] != member {
				return "cannot be given beside " + quoted(other.key)
			}
		}
	}
	return ""
}

// misread says why the values of a parameter are none of its field.
func (r *restRule) misread(p parameter) string {
	fd := p.last()
	if len(p.values) > 1 && !fd.IsList() {
		return "is given more than once"
	}
	for _, value := range p.values {
		if r.reads(p.key, value) {
			continue
		}
		switch {
		case fd.IsMap():
			return "must be given as " + fd.JSONName() + "[KEY]=VALUE"
		case fd.Message() != nil && expectedMessage(fd.Message()) == expectedObject:
			return "is no parameter by itself, but its fields are"
		}
		return misfit(fd, value)
	}
	return ""
}

// reads asks grpc-gateway, which will read the parameter, whether it can.
func (r *restRule) reads(key, value string) bool {
	request, err := protoregistry.GlobalTypes.FindMessageByName(r.request.FullName())
	if err != nil {
		return false
	}
	return runtime.PopulateQueryParameters(request.New().Interface(), url.Values{key: {value}}, utilities.NewDoubleArray(nil)) == nil
}
