package yousign

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeNonASCII writes JSON with every character beyond ASCII as \u and four
// hexadecimal digits, as PHP does by default.
func escapeNonASCII(body []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(body) {
		switch {
		case r < utf8.RuneSelf:
			out.WriteByte(byte(r))
		case r <= 0xFFFF:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		}
	}
	return out.Bytes()
}
