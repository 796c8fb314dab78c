package ingress

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// A provider that does not answer is left alone for longer and longer, asked
// one question at a time meanwhile, and trusted again after one answer.
func TestBreaker(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBreaker(time.Second, 8*time.Second)
	ask := func() ticket {
		t.Helper()
		tk, _, ok := b.admit(now)
		if !ok {
			t.Fatalf("at %v: may not ask", now)
		}
		return tk
	}
	mayNot := func(want time.Duration) {
		t.Helper()
		if _, wait, ok := b.admit(now); ok || wait != want {
			t.Fatalf("at %v: may ask %v, wait %v, want %v", now, ok, wait, want)
		}
	}
	for range breakAfter - 1 {
		if b.report(ask(), now, false, false, 0) {
			t.Fatal("opened too early")
		}
	}
	late := ask() // under way when it opens
	if !b.report(ask(), now, false, false, 0) || !b.isOpen() {
		t.Fatal("did not open")
	}
	b.report(late, now, false, false, 0)
	mayNot(time.Second) // what was under way makes the pause no longer
	for _, pause := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		now = b.until
		probe := ask()
		mayNot(time.Second) // one at a time
		b.report(probe, now, false, false, 0)
		mayNot(pause)
	}
	now = b.until
	b.giveBack(ask()) // not asked after all
	if !b.report(ask(), now, true, false, 0) || b.isOpen() {
		t.Fatal("did not close")
	}
	ask()
	ask()
}

// Refused credentials and a provider's own wish to be left alone open it at
// once.
func TestBreakerOpensAtOnce(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBreaker(time.Second, time.Minute)
	if tk, _, _ := b.admit(now); !b.report(tk, now, false, true, 0) {
		t.Error("useless questions go on")
	}
	b = newBreaker(time.Second, time.Minute)
	tk, _, _ := b.admit(now)
	b.report(tk, now, false, false, 10*time.Minute)
	if _, wait, ok := b.admit(now); ok || wait != 10*time.Minute {
		t.Errorf("wait %v, want the ten minutes that were asked for", wait)
	}
}

func TestHands(t *testing.T) {
	var h hands
	now := time.Unix(0, 0)
	k := handKey{"source", "key"}
	for i, want := range []holding{held, busy} {
		if got := h.hold(k, now); got != want {
			t.Errorf("take %d: %v, want %v", i, got, want)
		}
	}
	if got := h.hold(handKey{"other", "key"}, now); got != held {
		t.Errorf("another source's: %v", got)
	}
	h.drop(k, false, now)
	if got := h.hold(k, now); got != held {
		t.Errorf("after it was dropped: %v", got)
	}
	h.drop(k, true, now)
	if got := h.hold(k, now); got != justPublished {
		t.Errorf("after it was published: %v", got)
	}
	if got := h.hold(k, now.Add(2*memoryOfHands)); got != held {
		t.Errorf("long after: %v", got)
	}
	h.drop(k, true, now)
	h.hold(handKey{"a", "b"}, now.Add(time.Hour))
	if len(h.m) != 2 { // that, and the other source's, which was never dropped
		t.Errorf("%d keys are remembered", len(h.m))
	}
}

func FuzzClip(f *testing.F) {
	for _, s := range []string{"", "plain", "\xff", strings.Repeat("é", 200), strings.Repeat("\xff", 300), "a\xe2\x82"} {
		f.Add(s, 256)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = 3 + min(max(n, 0), 1000)
		got := clip(s, n)
		if len(got) > n || !utf8.ValidString(got) {
			t.Errorf("%d bytes of at most %d: %q", len(got), n, got)
		}
		if utf8.ValidString(s) && !strings.HasPrefix(s, got) {
			t.Errorf("%q is not the beginning of %q", got, s)
		}
		if utf8.ValidString(s) && len(got) < min(len(s), n-3) {
			t.Errorf("more than a character is missing: %q of %q", got, s)
		}
	})
}

func TestTraceParent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for value, want := range map[string]bool{
		good: true,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": false,
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": false,
		good + "-x": false, good[:54]: false, "": false,
	} {
		if got := traceParent(http.Header{"Traceparent": {value}}) != ""; got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	if traceParent(http.Header{"Traceparent": {good, good}}) != "" {
		t.Error("two of them are taken for one")
	}
}

func TestGate(t *testing.T) {
	var g gate
	now := time.Unix(1000, 0)
	if _, ok := g.open(now); !ok {
		t.Error("a new gate is shut")
	}
	for range 5 {
		if _, ok := g.open(now.Add(gateInterval / 2)); ok {
			t.Error("open twice in one interval")
		}
	}
	if skipped, ok := g.open(now.Add(gateInterval)); !ok || skipped != 5 {
		t.Errorf("open %v, %d skipped, want 5", ok, skipped)
	}
}

// Only the headers that are named are there, each with its own lines, and none of
// an earlier request.
func TestHeadersAreRead(t *testing.T) {
	read := func(h *headers, lines ...string) http.Header {
		var from fasthttp.RequestHeader
		for i := 0; i < len(lines); i += 2 {
			from.Add(lines[i], lines[i+1])
		}
		return h.read(&from, []string{"Content-Type", "X-A", "X-B", "X-C"})
	}
	var h headers
	got := read(&h, "x-a", "1", "X-B", "2", "Cookie", "secret=3", "X-A", "4", "X-D", "5", "Content-Type", "text/plain", "X-C", "")
	want := http.Header{"X-A": {"1", "4"}, "X-B": {"2"}, "X-C": {""}, "Content-Type": {"text/plain"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	kept := got["X-B"][0]
	h.reset()
	got, want = read(&h, "X-C", "6", "X-B", "7", "X-C", "8"), http.Header{"X-B": {"7"}, "X-C": {"6", "8"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the next request: got %q, want %q", got, want)
	}
	if kept != "2" {
		t.Errorf("a value that was kept became %q", kept)
	}
}
