package server

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// maskUpdate copies into dst what a field mask names of src. What may be
// changed is read from the schema's field behaviours.
type maskUpdate struct {
	dst, src   protoreflect.Message
	written    map[string]bool // by their whole names, fields that dst now has from src
	violations violations
}

// updateMasked changes dst into what the paths name of src. No path at all names
// every field that src has.
func updateMasked(dst, src *hookstreamv1.Source, paths []string) *maskUpdate {
	u := &maskUpdate{dst: dst.ProtoReflect(), src: src.ProtoReflect(), written: make(map[string]bool)}
	if has := provider.IDOf(src); has != "" && has != provider.IDOf(dst) {
		u.violations.add("source."+has, "the provider of a source never changes")
		return u
	}
	switch {
	case len(paths) == 0:
		u.populated(u.dst, u.src, "")
	case slices.Contains(paths, "*"):
		u.everything(paths)
	default:
		for _, path := range paths {
			u.path(path)
		}
	}
	return u
}

// populated sets every field that src has, inside of messages too.
func (u *maskUpdate) populated(dst, src protoreflect.Message, at string) {
	src.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch path := join(at, fd); {
		case isConfig(fd):
			u.populated(dst.Mutable(fd).Message(), v.Message(), path)
		default:
			u.set(dst, src, fd, path)
		}
		return true
	})
}

// everything sets all fields but the credentials, which must be named.
func (u *maskUpdate) everything(paths []string) {
	if len(paths) > 1 {
		u.violations.add("update_mask", "* stands alone")
		return
	}
	for fd := range fieldsOf(u.dst) {
		if isConfig(fd) && u.src.Has(fd) {
			u.refuseCredentials(u.src.Get(fd).Message(), string(fd.Name()))
		}
		switch {
		case has(fd, annotations.FieldBehavior_IMMUTABLE) && !u.src.Has(fd):
			// What cannot change need not be repeated.
		case fd.ContainingOneof() == nil || u.src.Has(fd) || u.dst.Has(fd):
			// The other members of the oneof are not in dst and must not clear it.
			u.set(u.dst, u.src, fd, string(fd.Name()))
		}
	}
}

// refuseCredentials is better than to leave a new secret unused in silence.
func (u *maskUpdate) refuseCredentials(config protoreflect.Message, at string) {
	config.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if has(fd, annotations.FieldBehavior_INPUT_ONLY) {
			path := join(at, fd)
			u.violations.add("source."+path, "* leaves credentials alone: name %s in update_mask", path)
		}
		return true
	})
}

// path sets the one field that a path names, in the schema's spelling or in
// JSON's.
func (u *maskUpdate) path(path string) {
	dst, src, at := u.dst, u.src, ""
	names := strings.Split(path, ".")
	for i, name := range names {
		fd := fieldByName(dst.Descriptor(), name)
		if fd == nil {
			u.violations.add("update_mask", "there is no field %q", path)
			return
		}
		at = join(at, fd)
		last := i == len(names)-1
		switch {
		case last && isConfig(fd) && dst.Has(fd) && !src.Has(fd):
			u.violations.add("source."+at, "is named in update_mask and not given: name the parts of it that are to change")
		case last:
			u.set(dst, src, fd, at)
		case fd.IsMap():
			u.setKey(dst, src, fd, strings.Join(names[i+1:], ".")) // a key may have dots
			return
		case !isConfig(fd):
			u.violations.add("update_mask", "%q has no parts that can be named", at)
			return
		case !dst.Has(fd):
			u.violations.add("update_mask", "the source has no %s", at)
			return
		default:
			dst, src = dst.Mutable(fd).Message(), src.Get(fd).Message()
		}
	}
}

// set gives dst the field as src has it, or as src has it not. What only the
// gateway writes is passed over: callers send back what they were answered.
func (u *maskUpdate) set(dst, src protoreflect.Message, fd protoreflect.FieldDescriptor, at string) {
	switch {
	case has(fd, annotations.FieldBehavior_OUTPUT_ONLY), has(fd, annotations.FieldBehavior_IDENTIFIER), at == "etag":
	case has(fd, annotations.FieldBehavior_IMMUTABLE):
		if !dst.Get(fd).Equal(src.Get(fd)) {
			u.violations.add("source."+at, "never changes after the source is created")
		}
	case isConfig(fd):
		u.setConfig(dst, src, fd, at)
	case src.Has(fd):
		dst.Set(fd, src.Get(fd))
		u.written[at] = true
	default:
		dst.Clear(fd)
		u.written[at] = true
	}
}

// setConfig replaces a whole config. Its credentials stay unless src has them.
func (u *maskUpdate) setConfig(dst, src protoreflect.Message, fd protoreflect.FieldDescriptor, at string) {
	if !dst.Has(fd) {
		u.violations.add("update_mask", "the source has no %s", at)
		return
	}
	to, from := dst.Mutable(fd).Message(), src.Get(fd).Message()
	for inner := range fieldsOf(to) {
		if from.Has(inner) || !has(inner, annotations.FieldBehavior_INPUT_ONLY) {
			u.set(to, from, inner, join(at, inner))
		}
	}
}

// setKey sets one key of a map, or removes it.
func (u *maskUpdate) setKey(dst, src protoreflect.Message, fd protoreflect.FieldDescriptor, key string) {
	k := protoreflect.ValueOfString(key).MapKey()
	if from := src.Get(fd).Map(); from.Has(k) {
		dst.Mutable(fd).Map().Set(k, from.Get(k))
	} else if dst.Has(fd) {
		dst.Mutable(fd).Map().Clear(k)
	}
}

// isConfig reports whether a field is a message whose parts can be named.
func isConfig(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && fd.Cardinality() != protoreflect.Repeated &&
		!has(fd, annotations.FieldBehavior_OUTPUT_ONLY)
}

func has(fd protoreflect.FieldDescriptor, behavior annotations.FieldBehavior) bool {
	behaviors, _ := proto.GetExtension(fd.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(behaviors, behavior)
}

func fieldByName(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if fd := md.Fields().ByName(protoreflect.Name(name)); fd != nil {
		return fd
	}
	return md.Fields().ByJSONName(name)
}

// fieldsOf ranges over the fields of a message, set or not.
func fieldsOf(m protoreflect.Message) func(yield func(protoreflect.FieldDescriptor) bool) {
	return func(yield func(protoreflect.FieldDescriptor) bool) {
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			if !yield(fields.Get(i)) {
				return
			}
		}
	}
}

func join(at string, fd protoreflect.FieldDescriptor) string {
	if at == "" {
		return string(fd.Name())
	}
	return at + "." + string(fd.Name())
}
