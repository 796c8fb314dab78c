package server

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// applySubscriptionMask changes dst into what the paths name of src. No path at
// all names every field that src has. A field that is named and not set in src
// is cleared in dst, where it stands for its default.
func applySubscriptionMask(dst, src *hookstreamv1.Subscription, paths []string) (bad violations) {
	to, from := dst.ProtoReflect(), src.ProtoReflect()
	switch {
	case len(paths) == 0:
		setPopulated(to, from, &bad)
	case slices.Contains(paths, "*"):
		if len(paths) > 1 {
			bad.add("update_mask", "* stands alone")
			return bad
		}
		for fd := range fieldsOf(to) {
			setSetting(to, from, fd, &bad)
		}
	default:
		for _, path := range paths {
			setSettingPath(to, from, path, &bad)
		}
	}
	return bad
}

// setPopulated sets every field that from has, and of one with parts, as the
// selector, that says something every part that it has.
func setPopulated(to, from protoreflect.Message, bad *violations) {
	from.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !hasParts(fd) || proto.Size(v.Message().Interface()) == 0 {
			setSetting(to, from, fd, bad)
			return true
		}
		v.Message().Range(func(part protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			setPart(to, from, fd, string(part.Name()), bad)
			return true
		})
		return true
	})
}

// setSetting gives to the field as from has it, or as from has it not. What only
// the gateway writes is passed over: callers send back what they were answered.
func setSetting(to, from protoreflect.Message, fd protoreflect.FieldDescriptor, bad *violations) {
	switch {
	case has(fd, annotations.FieldBehavior_OUTPUT_ONLY), has(fd, annotations.FieldBehavior_IDENTIFIER), fd.Name() == "etag":
	case has(fd, annotations.FieldBehavior_IMMUTABLE):
		if from.Has(fd) && !to.Get(fd).Equal(from.Get(fd)) {
			bad.add("subscription."+string(fd.Name()), "never changes after the subscription is created")
		}
	case from.Has(fd):
		to.Set(fd, from.Get(fd))
	default:
		to.Clear(fd)
	}
}

// setSettingPath sets the field, the label or the part of the selector that a
// path names, in the schema's spelling or in JSON's.
func setSettingPath(to, from protoreflect.Message, path string, bad *violations) {
	name, part, nested := strings.Cut(path, ".")
	fd := fieldByName(to.Descriptor(), name)
	switch {
	case fd == nil:
		bad.add("update_mask", "there is no field %q", path)
	case !nested:
		setSetting(to, from, fd, bad)
	case fd.IsMap():
		setLabel(to, from, fd, part)
	case hasParts(fd):
		setPart(to, from, fd, part, bad)
	default:
		bad.add("update_mask", "%q has no parts that can be named", name)
	}
}

// setLabel sets one key of a map, or removes it.
func setLabel(to, from protoreflect.Message, fd protoreflect.FieldDescriptor, key string) {
	k := protoreflect.ValueOfString(key).MapKey()
	if labels := from.Get(fd).Map(); labels.Has(k) {
		to.Mutable(fd).Map().Set(k, labels.Get(k))
	} else if to.Has(fd) {
		to.Mutable(fd).Map().Clear(k)
	}
}

// hasParts reports whether a field is a message of ours: a duration is one value.
func hasParts(fd protoreflect.FieldDescriptor) bool {
	return isConfig(fd) && fd.Message().FullName().Parent() != "google.protobuf"
}

func setPart(to, from protoreflect.Message, fd protoreflect.FieldDescriptor, part string, bad *violations) {
	inner := fieldByName(fd.Message(), part)
	if inner == nil {
		bad.add("update_mask", "there is no part %q of the %s that can be named", part, fd.Name())
		return
	}
	dst, src := to.Mutable(fd).Message(), from.Get(fd).Message()
	if src.Has(inner) {
		dst.Set(inner, src.Get(inner))
	} else {
		dst.Clear(inner)
	}
}
