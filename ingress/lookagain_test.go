package ingress_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
)

// elsewhere is what was changed on another gateway and was not heard of here.
type elsewhere struct {
	mu      sync.Mutex
	unheard []*hookstreamv1.Source
	down    error
	asked   atomic.Int64
}

func (e *elsewhere) change(src *hookstreamv1.Source) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unheard = append(e.unheard, src)
}

func (e *elsewhere) breaks(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = err
}

func (e *elsewhere) catchUp(to *sourceList) error {
	e.asked.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.down != nil {
		return e.down
	}
	for _, src := range e.unheard {
		to.set(src)
	}
	e.unheard = nil
	return nil
}

func setupBehind(t *testing.T) (*fixture, *elsewhere) {
	e := new(elsewhere)
	var f *fixture
	f = setup(t, func(o *ingress.Options) {
		o.CatchUp = func(context.Context, func() bool) error { return e.catchUp(f.sources) }
	})
	return f, e
}

// No sender is refused for good by what a gateway has not heard of: neither by a source
// that is new, nor by a secret or an application that was changed.
func TestASenderIsNotRefusedByWhatWasNotHeardOf(t *testing.T) {
	f, e := setupBehind(t)
	want := func(what string, a answer, status int) {
		t.Helper()
		if a.status != status {
			t.Errorf("%s: %d %s, want %d", what, a.status, a.body, status)
		}
	}
	signed := func(path, id, key string) answer {
		return f.post(path, strings.NewReader(message(id)), signatureHeader, sign(key, message(id)))
	}
	e.change(localSource("new"))
	want("a new source", signed("/webhooks/new/new-key", "one", secret), http.StatusOK)
	e.change(localSource("awaited"))
	want("a new source, and a sender that awaits a word", f.post("/webhooks/awaited/awaited-key", strings.NewReader(message("two")),
		signatureHeader, sign(secret, message("two")), "Expect", "100-continue"), http.StatusOK)

	rotated := localSource("local")
	rotated.GetYousign().Secrets = []string{"the second secret"}
	e.change(rotated)
	want("a new secret", signed(localPath, "three", "the second secret"), http.StatusOK)
	want("the former secret", signed(localPath, "four", secret), http.StatusUnauthorized)

	shadow := localSource("local")
	shadow.VerificationMode = hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW
	shadow.GetYousign().Secrets = []string{"the third secret"}
	e.change(shadow)
	want("a new secret in shadow mode", signed(localPath, "five", "the third secret"), http.StatusOK)
	last := localSource("local")
	last.VerificationMode = shadow.GetVerificationMode()
	last.GetYousign().Secrets = []string{"the fourth secret"}
	e.change(last)
	want("another in shadow mode", signed(localPath, "six", "the fourth secret"), http.StatusOK)

	moved := remoteSource("remote")
	moved.Config = &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{AppId: "other"}}
	e.change(moved)
	f.api.mint("seven")
	want("another application", f.postRemote(strings.Replace(message("seven"), "{", `{"app":"other",`, 1)), http.StatusOK)

	want("no source", signed("/webhooks/none/none-key", "eight", secret), http.StatusNotFound)
	want("a wrong key", signed("/webhooks/new/another-key", "nine", secret), http.StatusNotFound)
	asked := e.asked.Load()
	want("what is genuine", signed("/webhooks/new/new-key", "ten", secret), http.StatusOK)
	if now := e.asked.Load(); now != asked {
		t.Errorf("asked %d times for what is genuine", now-asked)
	}
	if got := f.events(); len(got) != 7 {
		t.Errorf("%d events", len(got))
	} else {
		for _, ev := range got {
			if s := ev.GetVerification().GetState(); s != hookstreamv1.Verification_STATE_VERIFIED {
				t.Errorf("%s is %s", ev.GetProviderEventId(), s)
			}
		}
	}

	// While nobody says what is new, nobody is refused for good.
	e.breaks(errors.New("nobody answers"))
	want("no source", signed("/webhooks/none/none-key", "eleven", secret), http.StatusServiceUnavailable)
	want("a wrong secret", signed("/webhooks/new/new-key", "twelve", "wrong"), http.StatusServiceUnavailable)
	want("what is genuine", signed("/webhooks/new/new-key", "thirteen", secret), http.StatusOK)
}
