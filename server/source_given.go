package server

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// checkGiven refuses values of a source that can only be mistakes: they would be
// kept, and the sender be refused until somebody notices. Only what was written
// now is looked at, so that a source that was kept by an earlier version can still
// be changed.
func (s *sourceService) checkGiven(src *hookstreamv1.Source, written func(field string) bool) (v violations) {
	m := src.ProtoReflect()
	for fd := range fieldsOf(m) {
		if isConfig(fd) && m.Has(fd) {
			v.addCredentials(m.Get(fd).Message(), string(fd.Name()), written)
		}
	}
	v.addMistakes(s.store.Providers().Review(src, written))
	return v
}

// everyField is what a caller wrote who gave a whole source.
func everyField(string) bool { return true }

// addCredentials holds the credentials of a config, whichever they are, to
// addSecret: texts that the schema marks INPUT_ONLY.
func (v *violations) addCredentials(config protoreflect.Message, at string, written func(field string) bool) {
	for fd := range fieldsOf(config) {
		path := join(at, fd)
		switch {
		case fd.Kind() != protoreflect.StringKind || !has(fd, annotations.FieldBehavior_INPUT_ONLY) || !written(path):
		case fd.IsList():
			list := config.Get(fd).List()
			for i := range list.Len() {
				v.addSecret(fmt.Sprintf("%s[%d]", path, i), list.Get(i).String())
			}
		default:
			v.addSecret(path, config.Get(fd).String())
		}
	}
}

// addSecret says so when a secret begins or ends with what nobody sees: it came
// along from a page or a file, and no sender signs with it. What the secret is
// does not stand in the violation.
func (v *violations) addSecret(field, secret string) {
	first, _ := utf8.DecodeRuneInString(secret)
	last, _ := utf8.DecodeLastRuneInString(secret)
	switch {
	case secret == "":
	case unseen(first) && unseen(last):
		v.add(field, "begins and ends with white space or another character that cannot be seen, which is no part of a secret")
	case unseen(first):
		v.add(field, "begins with white space or another character that cannot be seen, which is no part of a secret")
	case unseen(last):
		v.add(field, "ends with white space or another character that cannot be seen, which is no part of a secret")
	}
}

func unseen(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }
