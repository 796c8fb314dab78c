package ignisign

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider"
)

//go:embed examples
var examples embed.FS

// errNoSample says that there is no example of a type.
var errNoSample = fmt.Errorf("ignisign: no sample of this type: %w", provider.ErrNoSuchType)

// exampleNames answers the names of all examples: a type, and after a further dot
// what is special about it, SIGNATURE_PROOF.GENERATED.error.
func exampleNames() []string {
	entries, err := examples.ReadDir("examples")
	if err != nil {
		panic(err) // it is compiled in
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".json")
	}
	return names
}

// example answers the body of an example.
func example(name string) ([]byte, error) {
	if !slices.Contains(exampleNames(), name) {
		return nil, errNoSample
	}
	return examples.ReadFile(path.Join("examples", name+".json"))
}

// Sample answers a body of the given type (an alias, or the name of a variant
// such as SIGNATURE_PROOF.GENERATED.error, will do) as Ignisign would send it for
// this application and environment with this verification token.
func Sample(typ, appID, appEnv, token string) ([]byte, error) {
	body, err := example(typ)
	if err != nil {
		return nil, err
	}
	for _, edit := range []struct{ path, value string }{
		{"appId", appID},
		{"appEnv", appEnv},
		{"content.appId", appID},
		{"content.appEnv", appEnv},
		{"verificationToken", token},
	} {
		body = replace(body, edit.path, edit.value)
	}
	return body, nil
}

// replace puts a string where a body has one at this path, and leaves every other
// byte as it is.
func replace(body []byte, path, value string) []byte {
	old := gjson.GetBytes(body, path)
	if old.Type != gjson.String {
		return body
	}
	return slices.Concat(body[:old.Index], quote(value), body[old.Index+len(old.Raw):])
}

// quote writes a string in JSON without escapes that JSON does not need.
func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string and a buffer: nothing can go wrong
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
