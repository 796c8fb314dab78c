// Package jsonline keeps JSON on one line for every reader of lines.
package jsonline

import "bytes"

// Escape escapes in JSON what some reader takes for the end of a line, as
// Python's splitlines and JavaScript of old do with U+0085, U+2028 and U+2029.
// Beyond ASCII there is nothing in JSON but what stands in a string, and the rest
// of such characters protojson escapes itself.
func Escape(json []byte) []byte {
	if !bytes.Contains(json, nextLine) && !bytes.Contains(json, lineSeparator) && !bytes.Contains(json, paragraphSeparator) {
		return json
	}
	json = bytes.ReplaceAll(json, nextLine, []byte(`\u0085`))
	json = bytes.ReplaceAll(json, lineSeparator, []byte(`\u2028`))
	return bytes.ReplaceAll(json, paragraphSeparator, []byte(`\u2029`))
}

var (
	nextLine           = []byte("\u0085")
	lineSeparator      = []byte("\u2028")
	paragraphSeparator = []byte("\u2029")
)
