package app_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
)

// Every example of Ignisign's bodies, with a token that the simulated API knows,
// arrives on a stream as its golden file says.
func TestIgnisignExamplesArriveTyped(t *testing.T) {
	apps := []simulate.App{{Env: "DEVELOPMENT"}, {Env: "PRODUCTION"}, {Env: "TEST"}}
	api := startSimulator(t, simulate.Options{Apps: apps})
	g := start(t, options(t))
	paths := make(map[string]string) // of the ingress, by environment
	for i, a := range apps {
		src := ignisignSource(api, i)
		src.IncludeSensitiveFields = true
		paths[a.Env] = g.createSource(strings.ToLower(a.Env), src).GetIngressPath()
	}
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}})
	const dir = "../provider/ignisign"
	for _, file := range bodies(t, dir+"/examples") {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			env := environmentOf(t, file)
			token := api.MintToken(simulate.DefaultAppID, env)
			body, err := ignisign.Sample(name, simulate.DefaultAppID, env, token)
			if err != nil {
				t.Fatal(err)
			}
			if status := g.post(paths[env], "", string(body)); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
			e := next(t, stream)
			if n := api.Checks(token); n != 1 {
				t.Errorf("the API was asked %d times, want once", n)
			}
			// The golden files hold the examples' own token.
			payload := proto.CloneOf(e.GetIgnisign())
			payload.VerificationToken = proto.String("vt_example")
			checkGolden(t, filepath.Join(dir, "testdata/golden", name+".json"), e.GetDecodeState(), payload)
		})
	}
}

func environmentOf(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		AppEnv string `json:"appEnv"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		t.Fatal(err)
	}
	return body.AppEnv
}

// esign is a gateway with one source of the simulated Ignisign, and a listener.
type esign struct {
	t      *testing.T
	api    *simulate.API
	url    string
	stream grpc.ServerStreamingClient[hookstreamv1.SubscribeResponse]
}

func newEsign(t *testing.T) *esign {
	t.Helper()
	api := startSimulator(t, simulate.Options{})
	g := start(t, options(t))
	src := g.createSource("esign", ignisignSource(api, 0))
	s := &esign{
		t: t, api: api, url: "http://" + g.Addrs().Ingress + src.GetIngressPath(),
		stream: g.subscribe(&hookstreamv1.SubscribeRequest{}),
	}
	if _, err := s.stream.Recv(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *esign) mint() string { return s.api.MintToken(s.api.App().ID, s.api.App().Env) }

func (s *esign) post(id, token string, want int) {
	s.t.Helper()
	if got := postIgnisign(s.t, s.api, s.url, id, token); got != want {
		s.t.Errorf("%s was answered %d, want %d", id, got, want)
	}
}

func (s *esign) faults(f simulate.Faults) {
	s.t.Helper()
	if err := s.api.SetFaults(f); err != nil {
		s.t.Fatal(err)
	}
}

// expect wants the next event to be about id, with that verification.
func (s *esign) expect(id string, state hookstreamv1.Verification_State) {
	s.t.Helper()
	e := next(s.t, s.stream)
	if got := e.GetIgnisign().GetSignatureRequest().GetSignatureRequestExternalId(); got != id {
		s.t.Errorf("event about %q, want %q", got, id)
	}
	if got := e.GetVerification().GetState(); got != state {
		s.t.Errorf("%s: verification %s, want %s", id, got, state)
	}
}

const (
	verified  = hookstreamv1.Verification_STATE_VERIFIED
	ambiguous = hookstreamv1.Verification_STATE_VERIFIED_AFTER_AMBIGUOUS_ATTEMPT
)

// Nothing but what Ignisign vouches for comes out, and each answer is the one
// the sender should get.
func TestIgnisignVerdicts(t *testing.T) {
	s := newEsign(t)
	token := s.mint()
	s.post("valid", token, http.StatusOK)
	s.expect("valid", verified)
	s.post("valid", token, http.StatusOK) // the same again is a duplicate
	s.post("stolen", token, http.StatusOK)
	if n := s.api.Checks(token); n != 1 {
		t.Errorf("a token that was published was asked about %d times", n)
	}
	s.post("forged", strings.Repeat("f", 46), http.StatusUnauthorized)

	s.faults(simulate.Faults{ExpireTokens: true})
	s.post("expired", s.mint(), http.StatusUnauthorized)
	s.faults(simulate.Faults{})
	s.post("last", s.mint(), http.StatusOK)
	s.expect("last", verified) // and nothing before it
}

// While Ignisign cannot answer, its webhooks are kept and answered 200; they are
// published when it can.
func TestIgnisignOutages(t *testing.T) {
	for name, fault := range map[string]simulate.Faults{
		"connections dropped": {Down: simulate.DownDrop, Times: 3},
		"unavailable":         {Down: simulate.Down503, Times: 3},
		"credentials refused": {RefuseCredentials: true, Times: 3},
		"too many requests":   {RateLimited: true, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newEsign(t)
			s.faults(fault)
			s.post("kept", s.mint(), http.StatusOK)
			s.expect("kept", verified)
		})
	}
}

// The answer is lost after the token was spent: asked again, Ignisign says that
// it was spent, and that was us.
func TestIgnisignLosesTheAnswer(t *testing.T) {
	s := newEsign(t)
	s.faults(simulate.Faults{LoseAnswer: true, Times: 1})
	token := s.mint()
	s.post("ours", token, http.StatusOK)
	s.expect("ours", ambiguous)
	if n := s.api.Checks(token); n != 2 {
		t.Errorf("the API was asked %d times, want 2", n)
	}
}
