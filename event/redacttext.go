package event

import (
	"encoding/json"
	"strings"
)

// maxTexts bounds how often JSON in texts of JSON is looked into. Each time the
// backslashes double, so that no document has many.
const maxTexts = 12

// textNames reports whether a text is JSON, or the beginning of some, that has a
// key which is spelt like a sensitive field, however deep. It does not recurse over
// what is nested, and takes time in proportion to the text.
func textNames(text string, names map[string]bool) bool { return textNamesIn(text, names, maxTexts) }

func textNamesIn(text string, names map[string]bool, texts int) bool {
	start := strings.TrimLeft(text, " \t\r\n")
	if start == "" || start[0] != '{' && start[0] != '[' {
		return false
	}
	if texts == 0 {
		return true // nobody means that
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		end := quoted(text, i)
		content := unquote(text[i:end])
		i = end - 1
		if rest := strings.TrimLeft(text[end:], " \t\r\n"); strings.HasPrefix(rest, ":") {
			if names[plainName(content)] {
				return true
			}
		} else if textNamesIn(content, names, texts-1) {
			return true
		}
	}
	return false
}

// quoted answers where the JSON string that starts at i ends.
func quoted(text string, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// unquote answers what a JSON string says; what cannot be read says its bytes.
func unquote(s string) (content string) {
	if !strings.Contains(s, "\\") {
		return strings.Trim(s, "\"")
	}
	if json.Unmarshal([]byte(s), &content) != nil {
		return strings.Trim(s, "\"")
	}
	return content
}
