package listing

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// field is a path from an item to a value.
type field struct {
	path []protoreflect.FieldDescriptor // all but the last are single messages
	key  string                         // of the last, when it is a map that is looked into
	in   bool                           // the map is looked into
}

// field finds the value that names lead to, by the names of the schema or of
// JSON. What follows a map is a key of it, dots and all.
func (s Schema) field(names []string) (field, error) {
	var f field
	md := s.Message
	for i, name := range names {
		if md == nil {
			return f, fmt.Errorf("%s has no fields", strings.Join(names[:i], "."))
		}
		fd := s.named(md, name)
		if fd == nil {
			return f, fmt.Errorf("%s is not a field of %s", strings.Join(names[:i+1], "."), md.Name())
		}
		f.path = append(f.path, fd)
		rest := names[i+1:]
		if fd.IsMap() && len(rest) > 0 {
			if fd.MapKey().Kind() != protoreflect.StringKind {
				return f, fmt.Errorf("%s cannot be looked into", strings.Join(names[:i+1], "."))
			}
			f.key, f.in = strings.Join(rest, "."), true
			return f, nil
		}
		if md = nil; fd.Message() != nil && !fd.IsMap() && !fd.IsList() {
			md = fd.Message()
		}
	}
	return f, nil
}

func (s Schema) named(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	fd := md.Fields().ByName(protoreflect.Name(name))
	if fd == nil {
		fd = md.Fields().ByJSONName(name)
	}
	if fd == nil || s.Hidden != nil && s.Hidden(fd) {
		return nil
	}
	return fd
}

func (f field) last() protoreflect.FieldDescriptor { return f.path[len(f.path)-1] }

// kind describes the value itself: that of a map which is looked into.
func (f field) kind() protoreflect.FieldDescriptor {
	if f.in {
		return f.last().MapValue()
	}
	return f.last()
}

// many says that the value is a list, or a map as a whole.
func (f field) many() bool { return !f.in && (f.last().IsMap() || f.last().IsList()) }

// get answers the value in an item, unless something on the way to it is unset.
func (f field) get(m protoreflect.Message) (protoreflect.Value, bool) {
	for _, fd := range f.path[:len(f.path)-1] {
		if !m.Has(fd) {
			return protoreflect.Value{}, false
		}
		m = m.Get(fd).Message()
	}
	switch fd := f.last(); {
	case f.in:
		v := m.Get(fd).Map().Get(protoreflect.ValueOfString(f.key).MapKey())
		return v, v.IsValid()
	case fd.HasPresence() && !m.Has(fd):
		return protoreflect.Value{}, false
	default:
		return m.Get(fd), true
	}
}

// has says that the value is there and, where that cannot be told from a zero,
// not zero.
func (f field) has(m protoreflect.Message) bool {
	for _, fd := range f.path[:len(f.path)-1] {
		if !m.Has(fd) {
			return false
		}
		m = m.Get(fd).Message()
	}
	if f.in {
		return m.Get(f.last()).Map().Has(protoreflect.ValueOfString(f.key).MapKey())
	}
	return m.Has(f.last())
}
