package ignisign

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/provider"
)

// What Ignisign stores with a token may be the event. The token alone is not
// bound to the body, so a body that says something else is a forgery with a
// token that somebody overheard.
func TestContext(t *testing.T) {
	const body = `{"appId":"a","appEnv":"E","topic":"SIGNATURE_IMAGE","action":"GENERATED","msgNature":"SUCCESS",
		"content":{"documentId":"d","n":1.50,"deep":{"b":[1,null],"a":"é"},"gone":null,"empty":{}},"verificationToken":"t"}`
	asked, err := readEnvelope([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, context string
		matches      bool
	}{
		{"nothing", `null`, true},
		{"an empty object", `{}`, true},
		{"text", `"webhook"`, true},
		{"something else", `{"ip":"10.0.0.1"}`, true},
		{"all of it", `{"appId":"a","appEnv":"E","topic":"SIGNATURE_IMAGE","action":"GENERATED","msgNature":"SUCCESS",
			"content":{"deep":{"a":"\u00e9","b":[1e0,null]},"documentId":"d","n":1.5,"new":{}}}`, true},
		{"the topic's other name", `{"topic":"SIGNATURE_SIGNER_IMAGE"}`, true},
		{"no content", `{"content":null}`, true},
		{"content in another form", `{"content":"{}"}`, true},
		{"another application", `{"appId":"b"}`, false},
		{"another environment", `{"appEnv":"F"}`, false},
		{"another nature", `{"msgNature":"ERROR"}`, false},
		{"another topic", `{"topic":"SIGNER"}`, false},
		{"an unknown topic", `{"topic":"BRAND_NEW"}`, false},
		{"another action", `{"action":"FAILED"}`, false},
		{"an unknown action", `{"action":"BRAND_NEW"}`, false},
		{"empty content", `{"content":{}}`, false},
		{"another value", `{"content":{"documentId":"D","n":1.5,"deep":{"b":[1,null],"a":"é"}}}`, false},
		{"another order of a list", `{"content":{"documentId":"d","n":1.5,"deep":{"b":[null,1],"a":"é"}}}`, false},
		{"a member more", `{"content":{"documentId":"d","n":1.5,"deep":{"b":[1,null],"a":"é"},"x":0}}`, false},
		{"a member less", `{"content":{"documentId":"d","n":1.5}}`, false},
		{"text for a number", `{"content":{"documentId":"d","n":"1.5","deep":{"b":[1,null],"a":"é"}}}`, false},
	} {
		got := judge(answer{taken: true, status: 200, body: []byte(`{"isValid":true,"context":` + c.context + `}`)}, asked)
		want := rejectedFor("content_mismatch", false)
		if c.matches {
			want = genuine
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", c.why, diff)
		}
	}
}

func TestActionsOtherNameInContext(t *testing.T) {
	asked := envelope{topic: "SIGNATURE_REQUEST", action: "INIT"}
	got := judge(answer{status: 200, body: []byte(`{"isValid":true,"context":{"action":"INITIALIZED"}}`)}, asked)
	if got.Outcome != provider.Genuine {
		t.Errorf("%+v", got)
	}
}

func TestEventIDOfContext(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 128))
	for context, want := range map[string]string{
		`{"webhookEventId":"66f1"}`:          "66f1",
		`{"webhookEventId":"` + long + `"}`:  long,
		`{"webhookEventId":"` + long + `x"}`: "",
		`{"webhookEventId":17}`:              "",
		`{}`:                                 "",
	} {
		got := judge(answer{status: 200, body: []byte(`{"isValid":true,"context":` + context + `}`)}, envelope{})
		if got.Outcome != provider.Genuine || got.EventID != want {
			t.Errorf("%s: %+v", context, got)
		}
	}
}

// Only a token that was ours to spend may pass for spent by us.
func TestFlagsTogether(t *testing.T) {
	for body, want := range map[string]provider.Verdict{
		`{"isValid":false}`: rejectedFor("token_invalid", false),
		`{"isValid":false,"alreadyConsumed":true,"isExpired":true}`:          rejectedFor("token_already_consumed", true),
		`{"isValid":false,"alreadyConsumed":true,"badTarget":true}`:          rejectedFor("token_wrong_purpose", false),
		`{"isValid":false,"alreadyConsumed":true,"badRelatedId":true}`:       rejectedFor("token_wrong_app", false),
		`{"isValid":false,"alreadyConsumed":true,"notFound":true}`:           rejectedFor("token_not_found", false),
		`{"isValid":false,"haveBeenConsumed":true}`:                          rejectedFor("token_invalid", false),
		`{"isValid":false,"alreadyConsumed":"true"}`:                         rejectedFor("token_invalid", false),
		`{"isValid":false,"code":"TOKEN_ALREADY_CONSUMED"}`:                  rejectedFor("token_invalid", false),
		`{"isValid":false,"isValid":true}`:                                   rejectedFor("token_invalid", false),
		`{"isValid":true,"isValid":false}`:                                   genuine,
		`{"isValid":true,"alreadyConsumed":true}`:                            genuine, // as the SDK has it
		`{"code":"TOKEN_EXPIRED","message":{"any":"thing"},"errorStr":true}`: rejectedFor("token_expired", false),
		`{"code":"TOKEN_NOT_FOUND"}`:                                         rejectedFor("token_not_found", false),
		`{"code":"TOKEN_INVALID"}`:                                           rejectedFor("token_invalid", false),
	} {
		if diff := cmp.Diff(want, judge(answer{status: 200, body: []byte(body)}, envelope{})); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"90":                            90 * time.Second,
		"-5":                            0,
		"1.5":                           0,
		"7200":                          time.Hour,
		"99999999999999999999":          0,
		"Mon, 02 Mar 2026 08:00:30 GMT": 30 * time.Second,
		"Mon, 02 Mar 2026 07:00:00 GMT": 0,
		"Tue, 03 Mar 2026 08:00:00 GMT": time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

var reasons = []string{
	ReasonTokenMissing, ReasonTokenAlreadyConsumed, ReasonTokenNotFound, ReasonTokenExpired, ReasonTokenWrongPurpose,
	ReasonTokenWrongApp, ReasonTokenInvalid, ReasonContentMismatch, ReasonCredentialsRefused, ReasonRateLimited,
	ReasonAPIUnavailable, ReasonQuestionRefused, ReasonAnswerUnreadable,
}

// Whatever the answer: only a yes with success lets something in, a verdict makes
// sense, and nothing of the answer is in it but an event id.
func FuzzVerdict(f *testing.F) {
	for _, name := range []string{"valid", "valid-with-context", "already-consumed", "not-found", "expired", "bad-target", "bad-related-id"} {
		f.Add(200, []byte(apiExample(f, "verification.response."+name)))
	}
	f.Add(400, []byte(apiExample(f, "api-error")))
	f.Add(401, []byte(`{"code":"TOKEN_EXPIRED"}`))
	f.Add(503, []byte(`<html>`))
	body, err := example("SIGNATURE_REQUEST.COMPLETED")
	if err != nil {
		f.Fatal(err)
	}
	asked, err := readEnvelope(body)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		v := judge(answer{taken: true, status: status, body: body}, asked)
		if v.Method != Method || len(v.EventID) > maxEventID {
			t.Errorf("%+v", v)
		}
		if v.Outcome == provider.Genuine {
			if v.Reason != "" || status < 200 || status > 299 || !bytes.Contains(body, []byte("true")) {
				t.Errorf("let in: %+v", v)
			}
			return
		}
		if !slices.Contains(reasons, v.Reason) || v.EventID != "" {
			t.Errorf("%+v", v)
		}
		if v.Outcome == provider.Rejected && (v.MaybeSpent || v.OurFault || v.RetryAfter != 0) ||
			v.Outcome == provider.Undecided && v.AlreadySpent {
			t.Errorf("of another outcome: %+v", v)
		}
		if v.AlreadySpent != (v.Reason == ReasonTokenAlreadyConsumed) {
			t.Errorf("%+v", v)
		}
	})
}
