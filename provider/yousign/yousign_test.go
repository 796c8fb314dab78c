package yousign

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/providertest"
)

// Secrets of the test vectors.
const (
	secretK  = "0123456789abcdef0123456789abcdef"
	secretK2 = "ZxCvBnMaSdFgHjKlQwErTyUiOp123456"
)

func newProvider(t testing.TB, secrets ...string) *Verifier {
	t.Helper()
	p, err := NewVerifier(&yousignv1.SourceConfig{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func signedRequest(body, signature string) *provider.Request {
	return &provider.Request{
		Header:      http.Header{DefaultSignatureHeader: {signature}},
		Body:        []byte(body),
		ReceiveTime: time.Date(2026, 3, 2, 8, 20, 0, 0, time.UTC),
	}
}

func TestRequests(t *testing.T) {
	providertest.Run(t, newProvider(t, secretK, secretK2), "testdata/requests")
}

func TestNewRefusesNoSecret(t *testing.T) {
	for _, cfg := range []*yousignv1.SourceConfig{nil, {}, {Secrets: []string{""}}, {Secrets: []string{secretK, ""}}} {
		if _, err := NewVerifier(cfg); err == nil {
			t.Errorf("accepted %d secrets of which one is empty or none", len(cfg.GetSecrets()))
		}
	}
}

const bodyV1 = `{"event_id":"a0001357-1001-4001-8001-abc000001eef","event_name":"signer.done","event_time":"1772439061",` +
	`"subscription_id":"f4a23698-c3d5-44b7-86a9-829304152637","subscription_description":"Event gateway","sandbox":true,"data":{}}`

// Computed with OpenSSL, not with the code under test.
var vectors = []struct{ name, secret, body, signature string }{
	{"V1", secretK, bodyV1, "52bce64890895f15226669445d022612a4ebff4265ec5a57d6d073711b12dc81"},
	{"V2", secretK, `{"event_name":"signer.done", "data":{}}`, "6bd9f3a4d6320e09ffe90e577317ec9cc8513c0bfc870121ca0db113f50b1cb1"},
	{"V3", secretK, `{"event_name":"signer.done","data":{}}`, "52a1e209e777fd9abcfe2cdcf82ce463bfe43cce953284d038ef4177361b2c03"},
	{"V4", secretK, `{"event_name":"signer.done","data":{}}` + "\n", "4c5981625d719e810b983ed02dccbd14a35ce9776cb9b51d0b4973b449b101d3"},
	{
		"V5", secretK, `{"data":{"signer":{"info":{"first_name":"Zo\u00e9"},"redirect_urls":{"success":"https:\/\/example.com\/ok"}}}}`,
		"89b4b4871da082200bcec85c74d06fb84e8087b215af9d57b03b8ddd4f1e54b6",
	},
	{
		"V6", secretK, `{"data":{"signer":{"info":{"first_name":"Zoé"},"redirect_urls":{"success":"https://example.com/ok"}}}}`,
		"c7b4dccaeb871333a44cd21f621b8c0a44952c36886fc63060518caf2b6e48a5",
	},
	{"V7", secretK, "", "796cd3078af14636753d26b3b5555422ff55a3e261cf847b48e95371b9bd0aa2"},
	{"V8", secretK2, bodyV1, "e019108c96fc5c1d61bdf9908ec83b74ef97f7e2225521f283e7deb626a7dd99"},
	{"a library's test", "keySecret", `{"metadata":{},"data":{}}`, "5fc4206ebaa33b96f3050f0160e7dd6a9fb2f6f0f87ffb1092e2bd1d087a2a7b"},
	{"a library's test, empty", "keySecret", "", "55ca73b6a2ce802901d5e1cf2847af90df935e8c7e9db71586a7d87d27f04298"},
	{"a library's test, spaces", "keySecret", `{"data":   {"a":1}}`, "c29dfc34970e1e13195d339d7a860c1dc84b06b7b8bede2b49e48549f3f5bc81"},
	{
		"a service's test", "test-secret", `{"event_name":"signature_request.done","data":{}}`,
		"9f51dd9bcfb9dd7a97249ec7b866c9e9972d53466d6fdcf275bc256a8f466e64",
	},
	{
		"a script", "test-secret-123", `{"event_id":"123","event_name":"signature_request.done"}`,
		"52e5aa0de0acaf782b38b21fc9788814c745e9e440332a59251a752236949e79",
	},
	{
		"another service's test", "webhook-secret",
		`{"event_name":"signature_request.done","data":{"signature_request":{"id":"sig-77","status":"done"}}}`,
		"6d6d9b81ec451a5ca897e75e35834fd50fba59b0c7ebec9a99a0a28529e4070c",
	},
}

func TestSignatureVectors(t *testing.T) {
	for _, v := range vectors {
		checkVector(t, v.name, v.secret, v.body, "sha256="+v.signature)
	}
	for file, signature := range map[string]string{
		"signature_request.done.json": "63f737ed2d90fcf20b2d92da4314ffada5fe37750867a2a131421fda2370287b",
		"signer.declined.json":        "ebe243903ca3f147bb1af45719a9fcb3f06a42c96b79c931fc24f28c36c12e46",
		"approver.rejected.json":      "dcee8f9bb1627863e37e6e52ffe7d15fb989388a9728bf1a9be1f81e5d302c31",
		"electronic_seal.done.json":   "98aba64294beafc418cbc0a8ba8672b93fa4faba2254675587a69460aed8051f",
		"contact.created.json":        "508c743d9bff255dc3cadc3aed1de57b346a02821941d8eee13a46b3f24548dc",
	} {
		body, err := os.ReadFile("examples/" + file)
		if err != nil {
			t.Fatal(err)
		}
		checkVector(t, file, secretK, string(body), "sha256="+signature)
	}
}

func checkVector(t *testing.T, name, secret, body, signature string) {
	t.Helper()
	if got := Sign(secret, []byte(body)); got != signature {
		t.Errorf("%s: Sign = %s, want %s", name, got, signature)
	}
	p := newProvider(t, secret)
	for range 2 { // the second time with a used state
		verdict := p.Verify(context.Background(), signedRequest(body, signature), provider.Info{})
		want := provider.Verdict{
			Outcome: provider.Genuine, Method: "hmac-sha256", SecretIndex: 1, KeyFingerprint: provider.KeyFingerprint(secret),
			Coverage: hookstreamv1.Verification_COVERAGE_BODY,
		}
		if verdict != want {
			t.Errorf("%s: %+v", name, verdict)
		}
	}
}

// Bodies that are equal as JSON have each their own signature.
func TestSignatureIsOfTheBytes(t *testing.T) {
	p := newProvider(t, secretK)
	for _, v := range vectors[1:6] {
		for _, other := range vectors[1:6] {
			verdict := p.Verify(context.Background(), signedRequest(v.body, "sha256="+other.signature), provider.Info{})
			if genuine := verdict.Outcome == provider.Genuine; genuine != (v.name == other.name) {
				t.Errorf("body %s with the signature of %s: %+v", v.name, other.name, verdict)
			}
		}
	}
}

func TestForgedSignatures(t *testing.T) {
	good := Sign(secretK, []byte(bodyV1))
	digits := strings.TrimPrefix(good, "sha256=")
	for _, c := range []struct {
		why    string
		values []string
		reason string
	}{
		{"no header", nil, "signature_missing"},
		{"empty", []string{""}, "signature_missing"},
		{"no digits", []string{"sha256="}, "signature_malformed"},
		{"no prefix", []string{digits}, "signature_malformed"},
		{"another algorithm", []string{"sha1=" + digits}, "signature_malformed"},
		{"a prefix in upper case", []string{"SHA256=" + digits}, "signature_malformed"},
		{"63 digits", []string{good[:len(good)-1]}, "signature_malformed"},
		{"65 digits", []string{good + "0"}, "signature_malformed"},
		{"not hexadecimal", []string{good[:len(good)-1] + "g"}, "signature_malformed"},
		{"two in one", []string{good + "," + good}, "signature_malformed"},
		{"two headers", []string{good, good}, "signature_malformed"},
		{"one digit off", []string{good[:len(good)-1] + "0"}, "signature_mismatch"},
		{"of another body", []string{Sign(secretK, []byte("{}"))}, "signature_mismatch"},
		{"under another secret", []string{Sign(secretK2, []byte(bodyV1))}, "signature_mismatch"},
		{"under an empty secret", []string{Sign("", []byte(bodyV1))}, "signature_mismatch"},
		{"under the secret's bytes as hexadecimal", []string{Sign("\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", []byte(bodyV1))}, "signature_mismatch"},
	} {
		req := signedRequest(bodyV1, "")
		req.Header = http.Header{DefaultSignatureHeader: c.values}
		want := provider.Verdict{Outcome: provider.Rejected, Method: "hmac-sha256", Reason: c.reason}
		if got := newProvider(t, secretK).Verify(context.Background(), req, provider.Info{}); got != want {
			t.Errorf("%s: %+v", c.why, got)
		}
	}
}

// Requests of one source are verified at once, each with a state of its own.
func TestSignaturesAtOnce(t *testing.T) {
	p := newProvider(t, secretK)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			body := fmt.Sprintf(`{"n":%d,"padding":"%s"}`, n, strings.Repeat("x", n*1000))
			right, wrong := Sign(secretK, []byte(body)), Sign(secretK, []byte(body+" "))
			for range 200 {
				for signature, want := range map[string]provider.Outcome{right: provider.Genuine, wrong: provider.Rejected} {
					if v := p.Verify(context.Background(), signedRequest(body, signature), provider.Info{}); v.Outcome != want {
						t.Errorf("%d: %v, want %v", n, v.Outcome, want)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if n := len(p.keys[0].idle); n == 0 || n > 8 {
		t.Errorf("%d states are kept of at most 8 that were in use", n)
	}
}

func TestSignatureInUpperCaseDigits(t *testing.T) {
	signature := "sha256=" + strings.ToUpper(strings.TrimPrefix(Sign(secretK, []byte(bodyV1)), "sha256="))
	if v := newProvider(t, secretK).Verify(context.Background(), signedRequest(bodyV1, signature), provider.Info{}); v.Outcome != provider.Genuine {
		t.Errorf("%+v", v)
	}
}

func TestTwoSecrets(t *testing.T) {
	p := newProvider(t, secretK, secretK2)
	for i, secret := range []string{secretK, secretK2} {
		v := p.Verify(context.Background(), signedRequest(bodyV1, Sign(secret, []byte(bodyV1))), provider.Info{})
		if v.Outcome != provider.Genuine || v.SecretIndex != i+1 {
			t.Errorf("secret %d: %+v", i+1, v)
		}
	}
}

func TestExpiredSecret(t *testing.T) {
	expire := time.Date(2026, 3, 6, 9, 0, 0, 0, time.UTC)
	p, err := NewVerifier(&yousignv1.SourceConfig{
		Secrets:      []string{secretK, secretK2},
		SecretStates: []*yousignv1.SecretState{{}, {ExpireTime: timestamppb.New(expire)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secret string
		at     time.Time
		want   provider.Outcome
	}{
		{secretK2, expire.Add(-time.Nanosecond), provider.Genuine},
		{secretK2, expire, provider.Rejected},
		{secretK2, expire.AddDate(1, 0, 0), provider.Rejected},
		{secretK, expire.AddDate(1, 0, 0), provider.Genuine},
	} {
		req := signedRequest(bodyV1, Sign(c.secret, []byte(bodyV1)))
		req.ReceiveTime = c.at
		if v := p.Verify(context.Background(), req, provider.Info{}); v.Outcome != c.want {
			t.Errorf("at %v: %+v", c.at, v)
		}
	}
}

func TestSignatureHeaderOfAnotherName(t *testing.T) {
	p, err := NewVerifier(&yousignv1.SourceConfig{Secrets: []string{secretK}, SignatureHeader: "x-youtrust-SIGNATURE-256"})
	if err != nil {
		t.Fatal(err)
	}
	req := signedRequest(bodyV1, Sign(secretK, []byte(bodyV1)))
	if v := p.Verify(context.Background(), req, provider.Info{}); v.Reason != "signature_missing" {
		t.Errorf("under the usual name: %+v", v)
	}
	req.Header = http.Header{}
	req.Header.Set("X-Youtrust-Signature-256", Sign(secretK, []byte(bodyV1)))
	if v := p.Verify(context.Background(), req, provider.Info{}); v.Outcome != provider.Genuine {
		t.Errorf("under its own name: %+v", v)
	}
}

func TestSample(t *testing.T) {
	now := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	seen := make(map[string]bool)
	for _, typ := range Catalog() {
		body, id, err := Sample(typ.GetType(), now)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(typ.GetExample()), &want); err != nil {
			t.Fatal(err)
		}
		info, err := newProvider(t, secretK).Inspect(&provider.Request{Body: body})
		if err != nil || info.EventID != id || len(id) != 36 || seen[id] || !info.OccurTime.Equal(now) ||
			info.Topic+"."+info.Action != typ.GetType() {
			t.Errorf("%s: %+v, %v", typ.GetType(), info, err)
		}
		seen[id] = true
		if len(body) != len(typ.GetExample()) {
			t.Errorf("%s: more than two values were changed", typ.GetType())
		}
	}
	if _, _, err := Sample("signer.danced", now); err == nil {
		t.Error("made a sample of an unknown type")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(Sign(secretK, []byte(bodyV1)), []byte(bodyV1))
	f.Add("sha256=", []byte(""))
	f.Add(strings.ToUpper(Sign(secretK, nil)), []byte(nil))
	p := newProvider(f, secretK)
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		v := p.Verify(context.Background(), signedRequest(string(body), signature), provider.Info{})
		right := strings.HasPrefix(signature, "sha256=") && strings.EqualFold(signature, Sign(secretK, body))
		if (v.Outcome == provider.Genuine) != right {
			t.Errorf("signature %q: %+v", signature, v)
		}
	})
}

func FuzzInspect(f *testing.F) {
	addExamples(f)
	p := newProvider(f, secretK)
	f.Fuzz(func(t *testing.T, body []byte) {
		info, err := p.Inspect(&provider.Request{Body: body})
		ev, _ := Decode(body)
		if err != nil {
			if ev.GetEventNameRaw() != "" {
				t.Errorf("refused %q: %v", ev.GetEventNameRaw(), err)
			}
			return
		}
		if info.DedupKey == "" || len(info.DedupKey) > 128 || len(info.Entity) > 128 {
			t.Errorf("%+v", info)
		}
		// "a." and "a" are one type.
		name := strings.TrimSuffix(ev.GetEventNameRaw(), ".")
		if typ := strings.TrimSuffix(info.Topic+"."+info.Action, "."); name != typ || ev.GetEventId() != info.EventID {
			t.Errorf("Inspect says %q %q, Decode %q %q", typ, info.EventID, name, ev.GetEventId())
		}
		if ev.GetEventTime() != nil && !ev.GetEventTime().AsTime().Equal(info.OccurTime) {
			t.Errorf("Inspect says %v, Decode %v", info.OccurTime, ev.GetEventTime().AsTime())
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	body, err := os.ReadFile("examples/signer.done.json")
	if err != nil {
		b.Fatal(err)
	}
	p := newProvider(b, secretK)
	req := signedRequest(string(body), Sign(secretK, body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if v := p.Verify(context.Background(), req, provider.Info{}); v.Outcome != provider.Genuine {
			b.Fatal(v)
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	body, err := os.ReadFile("examples/signer.done.json")
	if err != nil {
		b.Fatal(err)
	}
	p := newProvider(b, secretK)
	req := signedRequest(string(body), "")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Inspect(req); err != nil {
			b.Fatal(err)
		}
	}
}
