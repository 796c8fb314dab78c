package main

import (
	"strings"
	"unicode"
)

// printable makes text of others safe to show on a terminal: what is not a
// visible character, above all the escapes that move the cursor or rename the
// window, becomes a replacement character. Line feeds stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// oneLine is printable in one line.
func oneLine(s string) string {
	return strings.ReplaceAll(printable(s), "\n", "\uFFFD")
}
