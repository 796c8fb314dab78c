package ingress_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
)

func again(r *ingress.Refused) ingress.Again {
	h := make(http.Header)
	maps.Copy(h, r.Header)
	maps.Copy(h, r.Proof)
	return ingress.Again{Source: r.Source, Header: h, Body: r.Body, ReceiveTime: r.ReceiveTime, Spent: r.Spent}
}

// promote promotes a request if at is given, and only looks at it otherwise.
func (f *fixture) promote(r *ingress.Refused, at time.Time) ingress.Promotion {
	f.t.Helper()
	p, err := f.gateway.Promote(context.Background(), again(r), at)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f *fixture) setSecret(s string) {
	f.sources.update("local", func(src *hookstreamv1.Source) { src.GetYousign().Secrets = []string{s} })
}

// What was refused for a wrong secret becomes one event once that is corrected, however
// often it is promoted, and whether or not its sender repeats it before or after.
func TestWhatIsGenuineAfterAllIsPublishedOnce(t *testing.T) {
	r := &refusals{}
	f := setup(t, r.option)
	f.setSecret("wrong")
	for n, id := range []string{"1", "2", "3"} {
		if got := f.postLocal(message(id)); got.status != 401 {
			t.Fatalf("status %d", got.status)
		}
		r.next(t, n)
	}
	f.post(localPath, strings.NewReader(message("4")), signatureHeader, "forged")
	forged := r.next(t, 3)
	at := time.Now()
	for _, one := range r.all() {
		if p := f.promote(one, at); p.Outcome != provider.Rejected || p.Reason != "signature_mismatch" || p.Event != "" {
			t.Errorf("before the secret is corrected: %+v", p)
		}
	}
	f.setSecret(secret)
	if got := f.postLocal(message("2")); got.status != 200 { // the sender repeats it
		t.Fatalf("status %d", got.status)
	}
	first, second := r.all()[0], r.all()[1]
	if p := f.promote(first, time.Time{}); p.Outcome != provider.Genuine || p.Result != 0 || p.Event != "" {
		t.Errorf("looked at: %+v", p)
	}
	repeated := f.only()
	for range 2 {
		if p := f.promote(second, at); p.Outcome != provider.Genuine || p.Result != ingress.Duplicate || p.Event != repeated.GetName() {
			t.Errorf("what was repeated: %+v, want %s", p, repeated.GetName())
		}
		if p := f.promote(forged, at); p.Outcome != provider.Rejected || p.Event != "" {
			t.Errorf("a forgery: %+v", p)
		}
	}
	if p := f.promote(first, at); p.Outcome != provider.Genuine || p.Result != ingress.Published || p.Event == "" {
		t.Errorf("promoted: %+v", p)
	}
	f.restart()
	if got := f.postLocal(message("1")); got.status != 200 { // the sender repeats it
		t.Errorf("status %d", got.status)
	}
	events := f.events()
	for _, when := range []time.Time{at, {}} {
		if p := f.promote(first, when); p.Result != ingress.Duplicate || p.Event != events[1].GetName() {
			t.Errorf("promoted again: %+v", p)
		}
	}
	if len(events) != 2 || len(f.events()) != 2 {
		t.Fatalf("%d events, then %d", len(events), len(f.events()))
	}
	v := events[1].GetVerification()
	if v.GetState() != hookstreamv1.Verification_STATE_VERIFIED || !v.GetPromoteTime().AsTime().Equal(at) || !events[1].GetReceiveTime().AsTime().Equal(first.ReceiveTime) {
		t.Errorf("it is %v, received %v", v, events[1].GetReceiveTime().AsTime())
	}
	if repeated.GetVerification().GetPromoteTime() != nil {
		t.Error("what its sender repeated is marked as promoted")
	}
}

// A source that publishes what is not genuine as such does not when it is promoted; a
// type that nobody wants is not published; and there may be no source.
func TestPromotingIsNoWayAround(t *testing.T) {
	r := &refusals{}
	f := setup(t, r.option)
	f.post(localPath, strings.NewReader(message("1")), signatureHeader, "forged")
	forged := r.next(t, 0)
	f.sources.update("local", func(s *hookstreamv1.Source) { s.DisabledTypes = []string{"thing.*"} })
	f.postLocal(message("2"))
	unwanted := r.next(t, 1)
	f.sources.update("local", func(s *hookstreamv1.Source) {
		s.VerificationMode = hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW
	})
	at := time.Now()
	if p := f.promote(forged, at); p.Outcome != provider.Rejected {
		t.Errorf("a forgery: %+v", p)
	}
	for _, when := range []time.Time{at, {}} {
		if p := f.promote(unwanted, when); p.Outcome != provider.Genuine || p.Result != ingress.DisabledType || p.Event != "" {
			t.Errorf("of a type that nobody wants: %+v", p)
		}
	}
	if n := len(f.events()); n != 0 {
		t.Errorf("%d events", n)
	}
	f.sources.put("local", nil)
	if p := f.promote(unwanted, at); p.Outcome != provider.Undecided || p.Reason != ingress.ReasonSourceGone {
		t.Errorf("of a source that is gone: %+v", p)
	}
}

// What only its sender can vouch for is decided by asking it, once, when it is promoted.
func TestWhatOnlyItsSenderCanVouchForIsAsked(t *testing.T) {
	r := &refusals{}
	f := setup(t, r.option)
	f.sources.update("remote", func(s *hookstreamv1.Source) { s.GetIgnisign().AppId = "another" })
	body := strings.Replace(message("1"), "{", `{"app":"app",`, 1)
	f.api.mint("1")
	if got := f.postRemote(body); got.status != 401 {
		t.Fatalf("status %d", got.status)
	}
	one := r.next(t, 0)
	if p := f.promote(one, time.Now()); p.Outcome != provider.Rejected || p.Reason != ingress.NotForSource.String() {
		t.Errorf("of another application: %+v", p)
	}
	f.sources.update("remote", func(s *hookstreamv1.Source) { s.GetIgnisign().AppId = "app" })
	if p := f.promote(one, time.Time{}); p.Outcome != provider.Undecided || p.Reason != ingress.ReasonSenderNotAsked || p.Result != 0 {
		t.Errorf("looked at: %+v", p)
	}
	at := time.Now()
	if p := f.promote(one, at); p.Result != ingress.Pending {
		t.Errorf("promoted: %+v", p)
	}
	f.waitForEvents(1)
	e := f.only()
	if v := e.GetVerification(); v.GetState() != hookstreamv1.Verification_STATE_VERIFIED || !v.GetPromoteTime().AsTime().Equal(at) {
		t.Errorf("it is %v", v)
	}
	if p := f.promote(one, at); p.Outcome != provider.Genuine || p.Result != ingress.Duplicate || p.Event != e.GetName() {
		t.Errorf("promoted again: %+v", p)
	}
	one.Body, one.Spent = []byte(strings.Replace(body, `"1"`, `"2"`, 1)), true
	if p := f.promote(one, at); p.Outcome != provider.Undecided || p.Reason != ingress.ReasonProofSpent {
		t.Errorf("what was asked about: %+v", p)
	}
}
