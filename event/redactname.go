package event

import (
	"strconv"
	"strings"
	"sync"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// names is what content without a schema is held to.
type names struct {
	hidden map[string]bool // in plain form
	// access says that links and tokens are not shown.
	access bool
}

// accessEndings are how names of links and tokens end, in plain form and in the
// singular.
var accessEndings = []string{
	"token", "secret", "key", "password", "passcode", "passphrase", "otp", "credential", "link", "url", "uri", "href",
	"otpcode", "smscode", "onetimecode", "verificationcode", "jwt", "bearer", "authorization", "cookie",
}

// accessTails may stand behind such an ending, and say nothing else: accessTokenV2,
// secret_value, link_to_sign.
var accessTails = []string{"value", "text", "raw", "tosign", "v"}

// hideKey reports whether what stands under the key is withheld, whatever it is.
func (n names) hideKey(key string) bool {
	name := plainName(key)
	return n.hidden[name] || n.access && (endsLikeAccess(name) || endsInPIN(key))
}

func endsLikeAccess(name string) bool {
	name = strings.TrimRight(name, "0123456789")
	for _, tail := range accessTails {
		name = strings.TrimSuffix(name, tail)
	}
	name = strings.TrimSuffix(name, "s")
	for _, ending := range accessEndings {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	return false
}

// hideText reports whether a text is withheld for what it is.
func (n names) hideText(text string) bool { return n.hideTextWithin(text, 0) }

// maxTextDepth is how often JSON may be a text within JSON and is still looked
// into.
const maxTextDepth = 4

func (n names) hideTextWithin(text string, depth int) bool {
	if !n.access && len(n.hidden) == 0 {
		return false
	}
	if n.access && holdsAddress(text) {
		return true
	}
	text = strings.TrimFunc(text, isBeside)
	switch {
	case len(text) < 2:
		return false
	case text[0] == '{' || text[0] == '[':
		return depth == maxTextDepth || n.hideJSON(text, depth+1)
	case text[0] == '"' && closing(text, 1) == len(text)-1:
		return depth == maxTextDepth || n.hideJSON(text, depth+1)
	}
	return false
}

// isBeside reports whether a character stands before JSON and is no part of it, for
// readers that are lenient.
func isBeside(r rune) bool { return r == '\ufeff' || unicode.IsSpace(r) }

// holdsAddress reports whether a web address, or one that opens an app, stands in a
// text: a link to sign is one, also within a sentence, escaped as in JSON or in
// percent signs, and without its scheme. So is a JSON Web Token, which links are
// made of. A text may be a megabyte: each byte is looked at a few times.
func holdsAddress(text string) bool {
	return anywhere(text, "//", isAddress) ||
		anywhere(text, `:\/\/`, func(before, after string) bool { return endsInLetter(before) && startsWord(after) }) ||
		anywhere(text, "%3", func(before, after string) bool {
			return endsInLetter(before) && len(after) >= 7 && strings.EqualFold(after[:7], "a%2f%2f")
		}) ||
		anywhere(text, "www.", isHost) || anywhere(text, "WWW.", isHost) ||
		anywhere(text, "/", isPathOfHost) || anywhere(text, "?", isPathOfHost) || holdsJWT(text)
}

// anywhere reports whether a test holds for what is before and after a sign, where
// it stands.
func anywhere(text, sign string, test func(before, after string) bool) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], sign)
		if i < 0 {
			return false
		}
		at += i
		if test(text[:at], text[at+len(sign):]) {
			return true
		}
		at += len(sign)
	}
}

// isAddress tells what stands around two slashes: a scheme, or none and a host.
func isAddress(before, after string) bool {
	if scheme, ok := strings.CutSuffix(before, ":"); ok {
		return endsInLetter(scheme) && startsWord(after)
	}
	const longest = 63 // of a part of a host name
	name := run(after[:min(len(after), longest)], isWord)
	return name > 0 && strings.HasPrefix(after[name:], ".") && isHost(before, after[name:])
}

// isHost reports whether a host name begins after before, of which after is what
// follows its first part.
func isHost(before, after string) bool {
	after = strings.TrimPrefix(after, ".")
	return (before == "" || strings.IndexByte(" \t\r\n\"'(=<>,;", before[len(before)-1]) >= 0) && endsInLetter(after[:min(len(after), 1)])
}

// isPathOfHost tells what stands around the slash or the question mark behind a host
// name without a scheme: sign.example/x, sign.example:8443?t=x.
func isPathOfHost(before, after string) bool {
	const longest = 260 // of a host name with its port
	if !endsInLetter(before) || after == "" || !isWord(after[0]) && strings.IndexByte("?#%~", after[0]) < 0 {
		return false
	}
	before = before[max(0, len(before)-longest):]
	from := strings.LastIndexFunc(before, func(r rune) bool { return r > '~' || !isWord(byte(r)) && r != '.' && r != ':' })
	host, _, _ := strings.Cut(before[from+1:], ":")
	if from >= 0 && strings.IndexByte("/@%\\", before[from]) >= 0 {
		return false // in the middle of a path
	}
	name, top, ok := cutLast(host, ".")
	return ok && endsInLetter(name) && len(top) > 1 && (strings.Trim(top, smallLetters) == "" || strings.Trim(top, strings.ToUpper(smallLetters)) == "")
}

const smallLetters = "abcdefghijklmnopqrstuvwxyz"

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func endsInLetter(s string) bool {
	return s != "" && ('a' <= s[len(s)-1]|0x20 && s[len(s)-1]|0x20 <= 'z' || '0' <= s[len(s)-1] && s[len(s)-1] <= '9')
}

func startsWord(s string) bool { return s != "" && s[0] != '/' && s[0] > ' ' }

// holdsJWT looks for three parts in the alphabet of URLs, of which the first begins
// as an object of JSON does.
func holdsJWT(text string) bool {
	const least = 8
	for {
		_, after, ok := strings.Cut(text, "eyJ")
		if !ok {
			return false
		}
		head := run(after, isWord)
		text = after[head:]
		if head < least || !strings.HasPrefix(text, ".") {
			continue
		}
		if claims := run(text[1:], isWord); claims >= least && strings.HasPrefix(text[1+claims:], ".") {
			return true
		}
	}
}

// run is how many bytes at the beginning are of a kind.
func run(s string, of func(byte) bool) int {
	n := 0
	for n < len(s) && of(s[n]) {
		n++
	}
	return n
}

func isWord(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// hideJSON looks at every string of JSON that is kept as text, whether it is valid
// or not: at those before a colon as names, at the others as texts. What cannot be
// read is withheld.
func (n names) hideJSON(text string, depth int) bool {
	for {
		start := strings.IndexByte(text, '"')
		if start < 0 {
			return false
		}
		end := closing(text, start+1)
		if end < 0 {
			return true
		}
		s, err := unquote(text[start : end+1])
		if err != nil {
			return true
		}
		text = text[end+1:]
		if after, ok := strings.CutPrefix(strings.TrimLeft(text, " \t\r\n"), ":"); ok {
			if n.hideKey(s) || n.mayHidePair("", s) && isWithheldPair("", s, firstValue(after)) {
				return true
			}
		} else if n.hideTextWithin(s, depth) {
			return true
		}
	}
}

// closing answers where the string ends whose content begins at i, -1 for nowhere.
func closing(text string, i int) int {
	for ; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// unquote reads a string of JSON, in quotes. Go has all its escapes but one.
func unquote(s string) (string, error) {
	if !strings.Contains(s, "\\") {
		return s[1 : len(s)-1], nil
	}
	s = strings.ReplaceAll(s, `\/`, `/`)
	return strconv.Unquote(s)
}

// plainName makes `signature_link`, `signatureLink` and `Signature-Link` one.
func plainName(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z':
			return c + ('a' - 'A')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c > '~':
			return c
		}
		return -1
	}, s)
}

// namesHeldTo answers what content without a schema is held to in the package of
// the file.
func namesHeldTo(file protoreflect.FileDescriptor, shown Kinds) names {
	hidden := make(map[string]bool)
	for name, kinds := range sensitiveNames(file) {
		if kinds&^shown != 0 {
			hidden[name] = true
		}
	}
	return names{hidden: hidden, access: shown&access == 0}
}

var namesOfPackages sync.Map // protoreflect.FullName to map[string]Kinds

// sensitiveNames answers every name, in plain form, of every sensitive field in
// the package of the file, and its kinds.
func sensitiveNames(file protoreflect.FileDescriptor) map[string]Kinds {
	if names, ok := namesOfPackages.Load(file.Package()); ok {
		return names.(map[string]Kinds)
	}
	names := make(map[string]Kinds)
	collectNames(file.Messages(), names)
	protoregistry.GlobalFiles.RangeFilesByPackage(file.Package(), func(f protoreflect.FileDescriptor) bool {
		collectNames(f.Messages(), names)
		return true
	})
	namesOfPackages.Store(file.Package(), names)
	return names
}

func collectNames(messages protoreflect.MessageDescriptors, names map[string]Kinds) {
	for i := range messages.Len() {
		m := messages.Get(i)
		for j := range m.Fields().Len() {
			addNames(m.Fields().Get(j), names)
		}
		collectNames(m.Messages(), names)
	}
}

// addNames leaves out what no sender has a name for.
func addNames(f protoreflect.FieldDescriptor, names map[string]Kinds) {
	facts := factsOf(f)
	if kindOf(f) == 0 || facts.GetRest() || facts.GetComputed() {
		return
	}
	for _, name := range append([]string{string(f.Name()), facts.GetJson()}, facts.GetJsonAliases()...) {
		if name != "" {
			names[plainName(name)] |= kindOf(f)
		}
	}
}
