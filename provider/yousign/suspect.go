package yousign

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// suspect says what most likely happened to a request whose digest differs. It
// tries what captures and configurations usually do wrong: when the signature
// fits one of these, that is no guess.
func (x examination) suspect() string {
	bodies := bodyVariants(x.body)
	for _, secret := range x.secrets {
		for _, v := range bodies {
			if x.fits(secret, v.body) {
				return "the signature fits the body " + v.what + ": the signature is over the bytes as they arrived"
			}
		}
		for _, v := range secretVariants(secret) {
			if x.fits(v.secret, x.body) {
				return "the signature fits the secret " + v.what + ": the key is the characters that Yousign shows, no more and no less"
			}
		}
	}
	return "either the secret is another (compare its fingerprint with `hookstream sources get SOURCE`), the body was altered or re-encoded after it arrived, or the request is forged"
}

func (x examination) fits(secret string, body []byte) bool {
	// The case of the digits does not matter; nobody can time this.
	return strings.EqualFold(Sign(secret, body), x.signature)
}

type bodyVariant struct {
	what string
	body []byte
}

// bodyVariants are what the body may have been before it was captured.
func bodyVariants(body []byte) []bodyVariant {
	variants := []bodyVariant{
		{"without its last line feed", bytes.TrimSuffix(body, []byte("\n"))},
		{"without the white space at its end", bytes.TrimRight(body, " \t\r\n")},
		{"with a line feed at its end", append(bytes.Clone(body), '\n')},
		{"with its CRLF as LF", bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))},
		{"without its byte order mark", bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))},
	}
	var compact bytes.Buffer
	if json.Compact(&compact, body) != nil {
		return variants
	}
	slashes := bytes.ReplaceAll(compact.Bytes(), []byte(`/`), []byte(`\/`))
	return append(variants,
		bodyVariant{"without white space between its tokens", compact.Bytes()},
		bodyVariant{"without white space and with escaped slashes", slashes},
		bodyVariant{"without white space and with escaped slashes and letters", escapeNonASCII(slashes)},
		bodyVariant{"without white space and with escaped letters", escapeNonASCII(compact.Bytes())},
		bodyVariant{"indented by two spaces", indented(body, "  ")},
		bodyVariant{"indented by four spaces", indented(body, "    ")},
	)
}

func indented(body []byte, indent string) []byte {
	var out bytes.Buffer
	if json.Indent(&out, bytes.TrimSpace(body), "", indent) != nil {
		return body
	}
	return out.Bytes()
}

type secretVariant struct{ what, secret string }

// secretVariants are what the secret may have been before it was copied.
func secretVariants(secret string) []secretVariant {
	variants := []secretVariant{
		{"without the white space around it", strings.TrimSpace(secret)},
		{"with a line feed at its end", secret + "\n"},
		{"without the quotes around it", strings.Trim(secret, `"'`)},
	}
	if raw, err := hex.DecodeString(secret); err == nil {
		variants = append(variants, secretVariant{"decoded from hexadecimal", string(raw)})
	}
	if raw, err := base64.StdEncoding.DecodeString(secret); err == nil {
		variants = append(variants, secretVariant{"decoded from base64", string(raw)})
	}
	return variants
}
