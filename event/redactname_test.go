package event

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// What lets somebody act is withheld under whatever name and however deep it comes,
// also in JSON that is kept as text; what is harmless is not.
func TestRedactContentWithoutSchema(t *testing.T) {
	d := redactTestType(t)
	for _, c := range []struct {
		in, want string
		paths    []string
	}{
		{`{"sessionToken": "t", "title": "a"}`, `{"title": "a"}`, []string{"rest.sessionToken"}},
		{`{"signer": {"auth_Secret": 1, "label": "b"}}`, `{"signer": {"label": "b"}}`, []string{"rest.signer.auth_Secret"}},
		{`{"links": ["a"], "embedded_link": {"a": 1}, "API-KEYS": null, "link2": "x"}`, `{}`, []string{"rest.API-KEYS", "rest.embedded_link", "rest.link2", "rest.links"}},
		{`{"password": "p", "otp": "1", "credentials": "c", "callback_uri": "u"}`, `{}`, []string{"rest.callback_uri", "rest.credentials", "rest.otp", "rest.password"}},
		{`{"page": "https://sign.example/?t=x", "list": ["a", " HTTP://x", "b"]}`, `{"list": ["a", null, "b"]}`, []string{"rest.list[1]", "rest.page"}},
		{
			`{"token_type": "bearer", "link_expiration": "d", "keyboard": "k", "secretary": "s", "n": 1, "note": "see http"}`,
			`{"token_type": "bearer", "link_expiration": "d", "keyboard": "k", "secretary": "s", "n": 1, "note": "see http"}`, nil,
		},
		{`{"deep": "{\"a\":[{\"signatureLink\":\"x\"}]}"}`, `{}`, []string{"rest.deep"}},
		{`{"deep": " [\"https://x.example\"]"}`, `{}`, []string{"rest.deep"}},
		{`{"deep": "{\"signature\\u005flink\":1}"}`, `{}`, []string{"rest.deep"}},
		{`{"deep": "{\"a\":\"{\\\"api_key\\\":1}\"}"}`, `{}`, []string{"rest.deep"}},
		{`{"deep": "\"{\\\"signature_link\\\":1}\""}`, `{}`, []string{"rest.deep"}},
		{`{"deep": "\ufeff\u00a0{\"signature_link\":1}"}`, `{}`, []string{"rest.deep"}},
		{
			`{"a": "yousign://sign/x", "b": "https%3A%2F%2Fsign.example%2Fx", "c": "//sign.example/x", "d": "at www.sign.example", "e": "https:\\/\\/sign.example", "f": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.abc"}`,
			`{}`,
			[]string{"rest.a", "rest.b", "rest.c", "rest.d", "rest.e", "rest.f"},
		},
		{
			`{"accessTokenV2": "x", "secret_value": "x", "link_to_sign": "x", "otpCode": "x", "one_time_code": "x", "passphrase": "x", "jwt": "x", "href": "x", "Authorization": "x"}`,
			`{}`,
			[]string{
				"rest.Authorization", "rest.accessTokenV2", "rest.href", "rest.jwt", "rest.link_to_sign", "rest.one_time_code", "rest.otpCode", "rest.passphrase", "rest.secret_value",
			},
		},
		{
			`{"code": "x", "link_expiration_date": "x", "token_count": 1, "context": "x", "raw": "x", "value": "x", "n": "a/b//c and key: value, 1//2"}`,
			`{"code": "x", "link_expiration_date": "x", "token_count": 1, "context": "x", "raw": "x", "value": "x", "n": "a/b//c and key: value, 1//2"}`, nil,
		},
		{
			`{"pin": "1", "user_pin": 12, "signerPin": "x", "accessPIN": "x", "pins": ["x"], "session": "x", "session_id": "x", "sessionId": 3, "sid": "x", "signature_sessions": ["x"]}`,
			`{}`,
			[]string{
				"rest.accessPIN", "rest.pin", "rest.pins", "rest.session", "rest.sessionId", "rest.session_id", "rest.sid", "rest.signature_sessions", "rest.signerPin", "rest.user_pin",
			},
		},
		{
			`{"code": "493027", "codes": [1, "12-34-56"], "signing_code": 493027, "securityCode": "A1B2", "sign": {"code": "4930 27"}, "deep": "{\"code\": 493027}", "deeper": "{\"codes\":[\"493027\"]}"}`,
			`{"sign": {}}`,
			[]string{"rest.code", "rest.codes", "rest.deep", "rest.deeper", "rest.securityCode", "rest.sign.code", "rest.signing_code"},
		},
		{
			`{"country_code": "FR12", "postalCode": 75001, "zipcode": "75001", "status_codes": [2000, "40100"], "error": {"code": "E1001", "context": {"code": "E1002"}}, "errors": [{"code": 10234}]}`,
			`{"country_code": "FR12", "postalCode": 75001, "zipcode": "75001", "status_codes": [2000, "40100"], "error": {"code": "E1001", "context": {"code": "E1002"}}, "errors": [{"code": 10234}]}`, nil,
		},
		{
			`{"code": "INVALID_DOCUMENT", "codes": [404, "x"], "spin": "x", "shipping": "x", "session": {"status": "x"}, "workflow_session_id": "x", "session_count": 3, "deep": "{\"error_code\": \"E1001\", \"code\": \"x\", \"session\": {}}"}`,
			`{"code": "INVALID_DOCUMENT", "codes": [404, "x"], "spin": "x", "shipping": "x", "session": {"status": "x"}, "workflow_session_id": "x", "session_count": 3, "deep": "{\"error_code\": \"E1001\", \"code\": \"x\", \"session\": {}}"}`, nil,
		},
		{
			`{"a": "sign.example/x", "b": "at sign.example:8443/x now", "c": "SIGN.EXAMPLE?t=1", "d": "(sub.sign.example/?t=1)", "e": "sign-1.example.fr/a/b"}`,
			`{}`,
			[]string{"rest.a", "rest.b", "rest.c", "rest.d", "rest.e"},
		},
		{
			`{"a": "image/jpeg", "b": "sign.example", "c": "and/or", "d": "1.5/2.0", "e": "J.Dupont/A.Martin", "f": "S.A./N.V.", "g": "12.11.2025/13.11.2025", "h": "a@sign.example", "i": "contract.pdf?", "j": "x/contract.pdf/y", "k": "TCP/IP"}`,
			`{"a": "image/jpeg", "b": "sign.example", "c": "and/or", "d": "1.5/2.0", "e": "J.Dupont/A.Martin", "f": "S.A./N.V.", "g": "12.11.2025/13.11.2025", "h": "a@sign.example", "i": "contract.pdf?", "j": "x/contract.pdf/y", "k": "TCP/IP"}`, nil,
		},
		{`{"note": "Sign at HTTPS://sign.example/?t=x, please", "n": "a // b http:// ://x"}`, `{"n": "a // b http:// ://x"}`, []string{"rest.note"}},
		{`{"said": "\"Hello\", and \"", "half": "\"", "quoted": "\"a\""}`, `{"said": "\"Hello\", and \"", "half": "\"", "quoted": "\"a\""}`, nil},
		{`{"deep": "{\"a\":\"unfinished"}`, `{}`, []string{"rest.deep"}},
		{`{"deep": "{\"title\":\"a\",\"n\":[1,2]}", "text": "[1] a note"}`, `{"deep": "{\"title\":\"a\",\"n\":[1,2]}", "text": "[1] a note"}`, nil},
	} {
		m := fromJSON(t, d, `{"rest": `+c.in+`}`)
		redactsTheSame(t, m)
		open := proto.Clone(m)
		paths := Redact(m, 0)
		if diff := cmp.Diff(c.paths, paths); diff != "" {
			t.Errorf("%s: paths:\n%s", c.in, diff)
		}
		if diff := cmp.Diff(fromJSON(t, d, `{"rest": `+c.want+`}`), m, protocmp.Transform()); diff != "" {
			t.Errorf("%s:\n%s", c.in, diff)
		}
		shown, kinds := proto.Clone(open), access
		if strings.Contains(c.in, "unfinished") {
			kinds = AllKinds // of what cannot be read nobody knows that it is of no paper
		}
		if found := Redact(shown, kinds); found != nil || !proto.Equal(shown, open) {
			t.Errorf("%s: with links and tokens shown %v is withheld: %s", c.in, found, protojson.Format(shown))
		}
	}
}

// The numbers of papers and accounts go with what was read from papers, and with no
// link.
func TestRedactNumbersOfPapers(t *testing.T) {
	d := redactTestType(t)
	in := `{"rest": {"a": {"social_security_number": 1, "n": 1}, "IBAN": "x", "mrz_line_1": "x", "nationalId": null, "text": "{\"documentNumbers\": []}", "ssn2": "x",
		"number": "x", "document": "x", "taxation": "x", "company_number": "x", "phone_number": "x", "ibanez": "x", "lesson": "x"}}`
	want := []string{"rest.IBAN", "rest.a.social_security_number", "rest.mrz_line_1", "rest.nationalId", "rest.ssn2", "rest.text"}
	for _, shown := range []Kinds{0, access} {
		m := fromJSON(t, d, in)
		redactsTheSame(t, m)
		if diff := cmp.Diff(want, Redact(m, shown)); diff != "" {
			t.Errorf("%d shown: %s", shown, diff)
		}
	}
	if paths := Redact(fromJSON(t, d, in), identity); paths != nil {
		t.Errorf("withheld though shown: %v", paths)
	}
}
