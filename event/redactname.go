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
	// objects are the names of what an event is about and what is withheld but for
	// its typed fields, in plain form.
	objects map[string]bool
	// access says that links and tokens are not shown, identity that what was read
	// from papers is not.
	access, identity bool
	// closed says that nothing is shown that holds more than a single value.
	closed bool
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
	return n.hidden[name] || n.access && (endsLike(name, accessEndings, accessTails) || endsInPIN(key)) ||
		n.identity && endsLike(name, identityEndings, identityTails)
}

// identityEndings are how names of numbers end by which papers and bank accounts are
// known, in plain form and in the singular.
var identityEndings = []string{
	"socialsecuritynumber", "ssn", "fiscalnumber", "taxnumber", "taxid", "taxpayernumber", "identificationnumber", "identitynumber",
	"identitycardnumber", "nationalid", "nationalnumber", "passportnumber", "documentnumber", "licencenumber", "licensenumber", "accountnumber", "iban", "mrz",
}

// identityTails may stand behind such an ending: mrz_line_1.
var identityTails = []string{"value", "text", "raw", "line"}

func endsLike(name string, endings, tails []string) bool {
	name = strings.TrimRight(name, "0123456789")
	for _, tail := range tails {
		name = strings.TrimSuffix(name, tail)
	}
	name = strings.TrimSuffix(name, "s")
	for _, ending := range endings {
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
	if !n.access && !n.identity && len(n.hidden) == 0 {
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
			if n.hideKey(s) || n.mayHidePair("", s) && isWithheldPair("", s, firstValue(after)) || n.isObject(s) && opensObject(after) {
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
	known := namesOf(file)
	return names{
		hidden: notShown(known.fields, shown), objects: notShown(known.objects, shown),
		access: shown&access == 0, identity: shown&identity == 0,
	}
}

func notShown(all map[string]Kinds, shown Kinds) map[string]bool {
	hidden := make(map[string]bool)
	for name, kinds := range all {
		if kinds&^shown != 0 {
			hidden[name] = true
		}
	}
	return hidden
}

// packageNames are names in a package, in plain form, and the kinds that they are
// sensitive in: of every sensitive field, and of every object of the event whose
// rest is.
type packageNames struct{ fields, objects map[string]Kinds }

var namesOfPackages sync.Map // protoreflect.FullName to packageNames

func namesOf(file protoreflect.FileDescriptor) packageNames {
	if names, ok := namesOfPackages.Load(file.Package()); ok {
		return names.(packageNames)
	}
	names := packageNames{make(map[string]Kinds), make(map[string]Kinds)}
	names.collect(file.Messages())
	protoregistry.GlobalFiles.RangeFilesByPackage(file.Package(), func(f protoreflect.FileDescriptor) bool {
		names.collect(f.Messages())
		return true
	})
	namesOfPackages.Store(file.Package(), names)
	return names
}

func (n packageNames) collect(messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		m := messages.Get(i)
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			if facts := factsOf(f); !facts.GetRest() && !facts.GetComputed() { // of those no sender has a name
				addNames(n.fields, f, kindOf(f))
			}
			if m.Name() == "Event" {
				addNames(n.objects, f, kindOfRest(f.Message()))
			}
		}
		n.collect(m.Messages())
	}
}

// kindOfRest answers the kind that the rest of a message is sensitive in.
func kindOfRest(m protoreflect.MessageDescriptor) Kinds {
	if m != nil && !isUntyped(m) {
		for i := range m.Fields().Len() {
			if f := m.Fields().Get(i); factsOf(f).GetRest() {
				return kindOf(f)
			}
		}
	}
	return 0
}

// addNames adds what a sender calls a field that is sensitive, or holds what is.
func addNames(to map[string]Kinds, f protoreflect.FieldDescriptor, kind Kinds) {
	if kind == 0 {
		return
	}
	facts := factsOf(f)
	for _, name := range append([]string{string(f.Name()), facts.GetJson()}, facts.GetJsonAliases()...) {
		if name != "" {
			to[plainName(name)] |= kind
		}
	}
}
