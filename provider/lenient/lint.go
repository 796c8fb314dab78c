package lenient

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Lint reports what keeps m's type, or one it holds, from taking every JSON
// object without loss: a message without a rest field, an enum without its text
// beside it, a field of a type that JSON cannot fill, two fields of one name. It
// is for the tests of those who write schemas.
func Lint(m proto.Message) error {
	l := linter{seen: make(map[protoreflect.FullName]bool)}
	l.message(m.ProtoReflect().Descriptor())
	return errors.Join(l.errs...)
}

type linter struct {
	seen map[protoreflect.FullName]bool
	errs []error
}

func (l *linter) errorf(format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("lenient: "+format, args...))
}

func (l *linter) message(desc protoreflect.MessageDescriptor) {
	if l.seen[desc.FullName()] || desc.FullName().Parent() == "google.protobuf" {
		return
	}
	l.seen[desc.FullName()] = true
	rests, names := 0, make(map[string]protoreflect.Name)
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		switch facts := factsOf(fd); {
		case facts.GetRest():
			rests++
			if kindOf(fd) != kindStruct || fd.IsList() {
				l.errorf("%s is not a Struct", fd.FullName())
			}
		case facts.GetComputed() || rawOf(fd):
		default:
			l.field(fd)
			l.names(fd, names)
		}
		if fd.Message() != nil {
			l.message(fd.Message())
		}
	}
	if rests != 1 {
		l.errorf("%s has %d rest fields", desc.FullName(), rests)
	}
}

func (l *linter) field(fd protoreflect.FieldDescriptor) {
	switch kind := kindOf(fd); {
	case kind == kindNone:
		l.errorf("%s cannot be filled from JSON", fd.FullName())
	case kind == kindEnum && rawFor(fd) == 0:
		l.errorf("%s has no text beside it", fd.FullName())
	case kind != kindEnum && !fd.HasPresence() && !fd.IsList():
		l.errorf("%s does not tell absent from empty", fd.FullName())
	}
}

func (l *linter) names(fd protoreflect.FieldDescriptor, names map[string]protoreflect.Name) {
	for _, rank := range namesOf(fd, factsOf(fd)) {
		for _, name := range rank {
			if other, taken := names[name]; taken {
				l.errorf("%s bears the name %q of %s", fd.FullName(), name, other)
			}
			names[name] = fd.Name()
		}
	}
}
