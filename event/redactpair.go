package event

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// hidePair reports whether a value in content without a schema is withheld for its
// key and what it is: a session, a code to act with, or an object that an event is
// about, elsewhere than where the schema has it.
func (n names) hidePair(path []string, key string, value protoreflect.Message) bool {
	if n.isObject(key) && (holdsMore(value) || n.closed && len(textOf(value)) > longestValue) {
		return true
	}
	parent := parentIn(path)
	return n.mayHidePair(parent, key) && anyScalar(value, func(text string) bool { return isWithheldPair(parent, key, text) })
}

// longestValue is how many bytes a text may have that is a single value: what is
// longer is a page or a picture.
const longestValue = 256

// mayHidePair reports whether that depends on the value.
func (n names) mayHidePair(parent, key string) bool {
	return n.access && (isSession(key) || isCode(parent, key))
}

func isWithheldPair(parent, key, text string) bool {
	return isSession(key) && text != "" || isCode(parent, key) && isOneTimeCode(text)
}

// isObject reports whether a key is called as an object that an event is about and
// whose rest is withheld, or as any.
func (n names) isObject(key string) bool {
	return n.closed || len(n.objects) > 0 && n.objects[plainName(key)]
}

// holdsMore reports whether a value is an object or a list, also as text.
func holdsMore(v protoreflect.Message) bool {
	fields := v.Descriptor().Fields()
	for _, name := range []protoreflect.Name{"struct_value", "list_value"} {
		if f := fields.ByName(name); f != nil && v.Has(f) {
			return true
		}
	}
	return opensObject(textOf(v))
}

// opensObject reports whether an object or a list of JSON begins with the text, in
// quotes or not.
func opensObject(text string) bool {
	text = strings.TrimLeftFunc(text, func(r rune) bool { return isBeside(r) || r == ':' || r == '"' || r == '\\' })
	return text != "" && (text[0] == '{' || text[0] == '[')
}

// parentIn answers under which key an object stands, nearest first; what only says
// more of an error is passed over.
func parentIn(path []string) string {
	for i := len(path) - 1; i >= 0; i-- {
		name := strings.TrimPrefix(path[i], ".")
		if !strings.HasPrefix(name, "[") && name != "context" && name != "details" {
			return name
		}
	}
	return ""
}

// anyScalar reports whether a test holds for a text or number, or for one in a list.
func anyScalar(v protoreflect.Message, test func(string) bool) bool {
	fields := v.Descriptor().Fields()
	if f := fields.ByName("number_value"); f != nil && v.Has(f) {
		return test(strconv.FormatFloat(v.Get(f).Float(), 'f', -1, 64))
	}
	if f := fields.ByName("list_value"); f != nil && v.Has(f) {
		list := v.Get(f).Message()
		values := list.Get(list.Descriptor().Fields().ByName("values")).List()
		for i := range values.Len() {
			if anyScalar(values.Get(i).Message(), test) {
				return true
			}
		}
		return false
	}
	return test(textOf(v))
}

// firstValue answers the text of JSON up to where the value at its begin ends, or a
// list that it is.
func firstValue(text string) string {
	text = strings.TrimLeft(text, " \t\r\n")
	end := ",}"
	switch {
	case strings.HasPrefix(text, "["):
		end = "]"
	case strings.HasPrefix(text, "{"):
		return "" // its keys come next
	case strings.HasPrefix(text, `"`):
		text, end = text[1:], `"`
	}
	if i := strings.IndexAny(text, end); i >= 0 {
		text = text[:i]
	}
	return text
}

// endsInPIN reports whether the last word of a key is "pin": that of "spin" is not.
func endsInPIN(key string) bool {
	key = strings.TrimSuffix(strings.TrimRight(key, "0123456789-_ "), "s")
	at := len(key) - len("pin")
	if at < 0 || !strings.EqualFold(key[at:], "pin") {
		return false
	}
	return at == 0 || !isLetter(key[at-1]) || isUpper(key[at]) && !isUpper(key[at-1])
}

// isSession reports whether a key is called as what a browser or a signer is known by
// while a session lasts. That of a workflow only tells verifications apart.
func isSession(key string) bool {
	name := strings.TrimSuffix(strings.TrimRight(plainName(key), "0123456789"), "s")
	switch name {
	case "sid", "phpsessid", "jsessionid":
		return true
	}
	name = strings.TrimSuffix(name, "id")
	return strings.HasSuffix(name, "session") && !strings.HasSuffix(name, "workflowsession")
}

// harmlessCodes is what codes are of that let nobody act, in plain form and in the
// singular.
var harmlessCodes = []string{
	"country", "nationality", "region", "state", "province", "department", "city", "insee", "area", "dial", "dialing", "calling", "postal", "post", "zip",
	"language", "lang", "locale", "currency", "iso",
	"statu", "error", "reason", "result", "response", "return", "exit", "http", "failure", "rejection", "refusal", "decline", "warning", "violation",
	"type", "category", "activity", "industry", "naf", "ape", "nace", "sic", "legalform",
	"bank", "branch", "bic", "swift", "tax", "vat",
}

// isCode reports whether a key ends in "code" and is of nothing that is known to be
// harmless, by its own name or, when it is just a code, by that of the object around it.
func isCode(parent, key string) bool {
	of, ok := strings.CutSuffix(strings.TrimSuffix(strings.TrimRight(plainName(key), "0123456789"), "s"), "code")
	if ok && of == "" {
		of = plainName(parent)
	}
	of = strings.TrimSuffix(of, "s")
	for _, harmless := range harmlessCodes {
		if strings.HasSuffix(of, harmless) {
			return false
		}
	}
	return ok
}

// leastCode is how long a code to act with is at least; a status of HTTP is shorter.
const leastCode = 4

// isOneTimeCode reports whether a text has as many letters and digits as a code that
// somebody types in, with a digit among them.
func isOneTimeCode(text string) bool {
	signs, digits := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			signs, digits = signs+1, digits+1
		case isLetter(c):
			signs++
		}
	}
	return digits > 0 && signs >= leastCode
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
