package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
	"github.com/hookstream/hookstream/provider/yousign"
)

// oddSecret is what lets somebody sign, in bodies of odd forms.
const oddSecret = "s3cr3t-that-nobody-may-see"

// oddContents are forms that a sender may give to what it sends, with a secret in
// each that has a place for one: %s is the name of a field that is secret.
func oddContents() map[string]string {
	secret := `"%s":"` + oddSecret + `"`
	deep := func(open, end string, n int) string {
		return strings.Repeat(open, n) + `{` + secret + `}` + strings.Repeat(end, n)
	}
	return map[string]string{
		"plain":                   `{` + secret + `}`,
		"in capitals":             `{"SIGNATURE_LINK":"` + oddSecret + `","signatureLink":"` + oddSecret + `","Signature-Link":"` + oddSecret + `"}`,
		"a list of secrets":       `{"%s":["` + oddSecret + `",1,null]}`,
		"an object of secrets":    `{"%s":{"a":{"b":"` + oddSecret + `"}}}`,
		"an unknown object":       `{"later":{"more":[{` + secret + `},null,7]}}`,
		"deep objects":            deep(`{"a":`, `}`, 40),
		"deep lists":              `{"a":` + deep(`[`, `]`, 40) + `}`,
		"deeper than any bound":   deep(`{"a":`, `}`, 5000),
		"a text of JSON":          `{"later":"{\"%s\":\"` + oddSecret + `\"}"}`,
		"a text of JSON in text":  `{"later":"\"{\\\"%s\\\":\\\"` + oddSecret + `\\\"}\""}`,
		"a text of JSON in lists": `{"later":["[{\"%s\":\"` + oddSecret + `\"}]"]}`,
		"a repeated key":          `{` + secret + `,` + secret + `}`,
		"a key in escapes":        `{"\u0074oken":"` + oddSecret + `","signature\u005flink":"` + oddSecret + `"}`,
		"an empty object":         `{}`,
		"a list":                  `[{` + secret + `},null]`,
		"null":                    `null`,
		"a text":                  `"text"`,
		"a number":                `1e999`,
		"numbers":                 `{"id":9007199254740993,"status":3,"n":-0.0,"m":1e400}`,
		"wrong types":             `{"id":{},"status":[],"name":true,"created_at":{},"signers":"x","documents":{"0":{}}}`,
		"lone surrogates":         `{"name":"\ud800","\udfff":1,` + secret + `}`,
		"NUL and controls":        `{"name":"\u0000\u0001\u007f\u2028","":"",` + secret + `}`,
		"very many":               `{"a":[` + strings.Repeat("[],", 60_000) + `{` + secret + `}]}`,
	}
}

// A genuine body is answered 200 and published, whatever its form, once and as it
// came; and nothing shows the secret in it.
func checkOdd(t *testing.T, g *gateway, post func(body string) int, wrap func(content string) []string, name string) {
	t.Helper()
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	for why, content := range oddContents() {
		if strings.Contains(content, "%s") {
			content = strings.ReplaceAll(content, "%s", name)
		}
		for i, body := range wrap(content) {
			if status := post(body); status != http.StatusOK {
				t.Errorf("%s, form %d: answered %d", why, i, status)
				continue
			}
			e := next(t, stream)
			shown, err := protojson.Marshal(e)
			if err != nil {
				t.Fatalf("%s, form %d: %v", why, i, err)
			}
			if strings.Contains(string(shown), oddSecret) {
				t.Errorf("%s, form %d: it is shown: %.600s", why, i, shown)
			}
			if strings.Contains(body, oddSecret) && len(e.GetRedactedFields()) == 0 && e.GetDecodeState() == hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
				t.Errorf("%s, form %d: nothing is told: %.600s", why, i, shown)
			}
		}
	}
}

func TestOddBodiesOfYousign(t *testing.T) {
	heavy.Test(t)
	g := start(t, options(t))
	src := g.createSource("odd", yousignSource())
	n := 0
	post := func(body string) int { return g.post(src.GetIngressPath(), yousign.Sign(secret, []byte(body)), body) }
	checkOdd(t, g, post, func(content string) (bodies []string) {
		for _, form := range []string{
			`{"event_id":"%d","event_name":"signer.notified","data":{"signer":%s}}`,
			`{"event_id":"%d","event_name":"signature_request.activated","data":{"signature_request":{"signers":[null,%s]}}}`,
			`{"event_id":"%d","event_name":"signature_request.activated","data":{"signature_request":%s}}`,
			`{"event_id":"%d","event_name":"approver.notified","data":{"approver":%s,"signer":7}}`,
			`{"event_id":"%d","event_name":"later.thing","data":%s}`,
			`{"event_id":"%d","event_name":"contact.created","data":{},"later":%s}`,
			`{"metadata":{"event_id":"%d","event_name":"signer.notified","later":%s},"data":{}}`,
			`{"metadata":{"event_id":"%d","event_name":"signer.notified"},"data":{"signer":{"info":%s}}}`,
			`{"event_id":%d,"event_name":null,"data":%s}`,
			`[%d,%s]`, "\ufeff" + ` {"event_id":"%d","event_name":"signer.done","data":{"signer":%s}}`,
			`{"event_id":"%d","event_name":"signer.notified","data":{"signer":%s}} and more`,
		} {
			n++
			bodies = append(bodies, fmt.Sprintf(form, n, content))
		}
		return bodies
	}, "signature_link")
}

func TestOddBodiesOfIgnisign(t *testing.T) {
	heavy.Test(t)
	api := startSimulator(t, simulate.Options{})
	g := start(t, options(t))
	src := g.createSource("odd", ignisignSource(api, 0))
	a := api.App()
	post := func(body string) int { return g.post(src.GetIngressPath(), "", body) }
	checkOdd(t, g, post, func(content string) (bodies []string) {
		for _, form := range []string{
			`"topic":"SIGNATURE_REQUEST","action":"LAUNCHED","msgNature":"INFO","content":%s`,
			`"topic":"SIGNATURE_REQUEST","action":"LAUNCHED","msgNature":"INFO","content":{"signers":[null,%s]}`,
			`"topic":"SIGNATURE_PROOF","action":"GENERATED","msgNature":"ERROR","content":null,"error":%s`,
			`"topic":"SIGNATURE_PROOF","action":"GENERATED","msgNature":"SUCCESS","content":{"documents":[%s,null]}`,
			`"topic":"LATER","action":"NEW","msgNature":"NEW","content":%s`,
			`"topic":"APP","action":"ARCHIVED","msgNature":"INFO","later":%s`,
			`"topic":"SIGNER","action":"CREATED","msgNature":"INFO","content":%s,"error":{"context":{}}`,
		} {
			token, err := json.Marshal(api.MintToken(a.ID, a.Env))
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, fmt.Sprintf(`{"appId":%q,"appEnv":%q,"verificationToken":%s,`, a.ID, a.Env, token)+fmt.Sprintf(form, content)+`}`)
		}
		return bodies
	}, "token")
}
