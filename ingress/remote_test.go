package ingress_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
)

func noWait(o *ingress.Options) { o.VerifyWait = time.Millisecond }

func TestRemoteGenuine(t *testing.T) {
	f := setup(t)
	f.api.mint("t1")
	if got := f.postRemote(message("t1")); got.status != 200 || got.body != "{}" {
		t.Fatalf("answer %+v", got)
	}
	e := f.only()
	if state(e) != verified || e.GetVerification().GetMethod() != "token" || e.GetEnvironment() != "TEST" ||
		e.GetSource() != "sources/remote" || string(e.GetRaw().GetBody()) != message("t1") || e.GetType() != "thing.done" {
		t.Errorf("event %v", e)
	}
	if f.results.request("remote published") != 1 || f.api.questions("t1") != 1 {
		t.Errorf("results %v, %d questions", f.results.requests, f.api.questions("t1"))
	}
}

// A forged token is refused, nothing is published, and the row is decided.
func TestRemoteForged(t *testing.T) {
	f := setup(t)
	if got := f.postRemote(message("invented")); got.status != 401 {
		t.Fatalf("status %d, want 401", got.status)
	}
	f.results.waitDecided(t, "remote forged", 1)
	if n := len(f.events()); n != 0 {
		t.Errorf("%d events are published", n)
	}
	waitFor(t, "an empty inbox", func() bool { rows, _ := f.engine.Inbox().Pending(); return rows == 0 })
}

// A token that was published is a duplicate, with whatever body it comes, and
// nobody is asked about it again.
func TestRemoteReplayed(t *testing.T) {
	f := setup(t)
	f.api.mint("t1")
	f.postRemote(message("t1"))
	waitFor(t, "the index", func() bool {
		return f.postRemote(message("t1")).status == 200 && f.results.request("remote duplicate") > 0
	})
	if got := f.postRemote(`{"id":"t1","topic":"other"}`); got.status != 200 {
		t.Errorf("with another body: %d", got.status)
	}
	f.only()
	if n := f.api.questions("t1"); n != 1 {
		t.Errorf("the API was asked %d times, want 1", n)
	}
}

// A token that somebody else spent, of which we know nothing, is refused.
func TestRemoteSpentElsewhere(t *testing.T) {
	f := setup(t)
	f.api.spend("old")
	for range 2 { // the second time as well: the first question was answered
		if got := f.postRemote(message("old")); got.status != 401 {
			t.Errorf("status %d, want 401", got.status)
		}
	}
	if n := len(f.events()); n != 0 {
		t.Errorf("%d events are published", n)
	}
}

func TestRemoteConcurrentDuplicates(t *testing.T) {
	f := setup(t)
	f.api.mint("same")
	const n = 30
	if statuses := f.together(n, func(int) answer { return f.postRemote(message("same")) }); statuses[200] != n {
		t.Errorf("statuses %v", statuses)
	}
	waitFor(t, "an empty inbox", func() bool { rows, _ := f.engine.Inbox().Pending(); return rows == 0 })
	if e := f.only(); state(e) != verified {
		t.Errorf("state %v", state(e))
	}
	if q := f.api.questions("same"); q != 1 {
		t.Errorf("the API was asked %d times, want 1", q)
	}
}

// The answer comes after the wait: the sender hears 200 before, the event is
// published then.
func TestRemoteSlowerThanTheWait(t *testing.T) {
	f := setup(t, noWait)
	f.api.mint("slow")
	resume := f.api.pause()
	defer resume()
	if got := f.postRemote(message("slow")); got.status != 200 || f.results.request("remote pending") != 1 {
		t.Fatalf("status %d, results %v", got.status, f.results.requests)
	}
	if n := len(f.events()); n != 0 {
		t.Fatalf("%d events are published before the verdict", n)
	}
	resume()
	f.waitForEvents(1)
	if e := f.only(); state(e) != verified {
		t.Errorf("state %v", state(e))
	}
}

// The API is down, then up: everything that came meanwhile is published, each
// token was spent once, and while it was down it was not hammered.
func TestRemoteDownThenUp(t *testing.T) {
	f := setup(t, noWait, func(o *ingress.Options) { o.MinRetry, o.MaxRetry = 20*time.Millisecond, 200*time.Millisecond })
	down := make([]fault, 10_000)
	for i := range down {
		down[i] = broken
	}
	f.api.fail(down...)
	const n = 40
	for i := range n {
		f.api.mint(fmt.Sprint(i))
		if got := f.postRemote(message(fmt.Sprint(i))); got.status != 200 {
			t.Fatalf("status %d", got.status)
		}
	}
	waitFor(t, "the breaker", func() bool { f.results.mu.Lock(); defer f.results.mu.Unlock(); return f.results.breaker[true] == 1 })
	// While it is open nobody waits for a verdict that does not come.
	if got := f.postLocal(message("beside")); got.status != 200 {
		t.Errorf("another source: %d", got.status)
	}
	f.api.fail()
	f.waitForEvents(n + 1)
	waitFor(t, "an empty inbox", func() bool { rows, _ := f.engine.Inbox().Pending(); return rows == 0 })
	if got := len(f.events()); got != n+1 {
		t.Errorf("%d events, want %d", got, n+1)
	}
	f.results.mu.Lock()
	defer f.results.mu.Unlock()
	if f.results.breaker[false] != 1 {
		t.Errorf("the breaker closed %d times", f.results.breaker[false])
	}
}

// A source that is changed, or deleted, while its provider is not asked is not paused
// any more, as whoever is alarmed sees it, whatever its former self still finds out.
func TestRemoteChangedWhilePaused(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"changed": func(f *fixture) { f.sources.set(remoteSource("remote")) },
		"deleted": func(f *fixture) { f.sources.put("remote", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, noWait)
			down := make([]fault, 10_000)
			for i := range down {
				down[i] = broken
			}
			f.api.fail(down...)
			for i := range 20 {
				f.api.mint(fmt.Sprint(i))
				f.postRemote(message(fmt.Sprint(i)))
			}
			waitFor(t, "a pause", func() bool { return f.results.paused() })
			f.api.fail()
			change(f)
			waitFor(t, "that nothing is paused", func() bool { return !f.results.paused() })
		})
	}
}

// An attempt whose answer was lost spent the token: the next one is told so,
// and knows that it was us.
func TestRemoteAmbiguousAttempt(t *testing.T) {
	f := setup(t, noWait)
	f.api.mint("t1")
	f.api.fail(lostAfter)
	f.postRemote(message("t1"))
	f.waitForEvents(1)
	if e := f.only(); state(e) != ambiguous {
		t.Errorf("state %v, want %v", state(e), ambiguous)
	}
	f.results.waitDecided(t, "remote published", 1)
}

// What spent nothing must not erase the memory of what may have: an attempt is
// lost after it spent the token, the next is refused as one too many, the third
// hears "spent" and must still know that it was us.
func TestRemoteAmbiguousThenHarmlessAttempt(t *testing.T) {
	f := setup(t, noWait)
	f.api.mint("t1")
	f.api.fail(lostAfter, busy, unauthorized, busy)
	f.postRemote(message("t1"))
	f.waitForEvents(1)
	if e := f.only(); state(e) != ambiguous {
		t.Errorf("state %v, want %v", state(e), ambiguous)
	}
	if q := f.api.questions("t1"); q != 5 {
		t.Errorf("%d questions, want 5", q)
	}
}

// A question that cannot have been taken leaves no doubt behind: "spent" after
// it is a no.
func TestRemoteHarmlessAttemptOnly(t *testing.T) {
	f := setup(t, noWait)
	f.api.spend("old")
	f.api.fail(busy, unauthorized)
	f.postRemote(message("old"))
	f.results.waitDecided(t, "remote forged", 1)
	if n := len(f.events()); n != 0 {
		t.Errorf("%d events are published", n)
	}
}

// An unresolved question makes "spent" a yes, and nothing else.
func TestRemoteForgedAfterAmbiguousAttempt(t *testing.T) {
	f := setup(t, noWait)
	f.api.fail(lostBefore, lostAfter)
	f.postRemote(message("invented"))
	f.results.waitDecided(t, "remote forged", 1)
	if n := len(f.events()); n != 0 {
		t.Errorf("%d events are published", n)
	}
}

// Somebody who read a token on the wire sends it with a body of their own while
// the question about the genuine body is unresolved: that doubt is not theirs.
func TestRemoteStolenTokenDuringAmbiguity(t *testing.T) {
	f := setup(t, noWait, func(o *ingress.Options) { o.MinRetry, o.MaxRetry = 400*time.Millisecond, 400*time.Millisecond })
	f.api.mint("t1")
	f.api.fail(lostAfter)
	f.postRemote(message("t1"))
	waitFor(t, "the lost answer", func() bool { return f.api.questions("t1") == 1 })
	f.postRemote(`{"id":"t1","topic":"thing","action":"done","content":"altered"}`)
	f.results.waitDecided(t, "remote published", 1)
	waitFor(t, "an empty inbox", func() bool { rows, _ := f.engine.Inbox().Pending(); return rows == 0 })
	if e := f.only(); string(e.GetRaw().GetBody()) != message("t1") || state(e) != ambiguous {
		t.Errorf("published: %s, %v", e.GetRaw().GetBody(), state(e))
	}
}

// The token is spent and the log has no room: trying again ends in publishing,
// and the API need not be asked again.
func TestRemoteLogFullAfterGenuine(t *testing.T) {
	log := new(failingLog)
	f := setup(t, noWait, func(o *ingress.Options) { log.Log = o.Log; o.Log = log })
	f.api.mint("t1")
	log.fail(eventlog.ErrFull)
	f.postRemote(message("t1"))
	waitFor(t, "failed appends", func() bool { return log.failures() >= 3 })
	log.fail(nil)
	f.waitForEvents(1)
	if e := f.only(); state(e) != verified || f.api.questions("t1") != 1 {
		t.Errorf("state %v after %d questions", state(e), f.api.questions("t1"))
	}
}

// The same, and the process ends before there is room: what is left is the note
// that we asked.
func TestRemoteLogFullAfterGenuineThenRestart(t *testing.T) {
	log := new(failingLog)
	f := setup(t, noWait, func(o *ingress.Options) { log.Log = o.Log; o.Log = log })
	f.api.mint("t1")
	log.fail(eventlog.ErrFull)
	f.postRemote(message("t1"))
	waitFor(t, "failed appends", func() bool { return log.failures() >= 2 })
	f.stop()
	log.fail(nil)
	f.start()
	f.waitForEvents(1)
	if e := f.only(); state(e) != ambiguous || f.api.questions("t1") != 2 {
		t.Errorf("state %v after %d questions", state(e), f.api.questions("t1"))
	}
}

// Rows that wait outlive the process and its engine.
func TestRemoteRestartWithRowsPending(t *testing.T) {
	f := setup(t, noWait)
	f.stop()
	f.startWith(func(o *ingress.Options) { o.Inbox = idleInbox{o.Inbox} })
	const n = 20
	for i := range n {
		f.api.mint(fmt.Sprint(i))
		if got := f.postRemote(message(fmt.Sprint(i))); got.status != 200 {
			t.Fatalf("status %d", got.status)
		}
	}
	f.restart()
	f.waitForEvents(n)
	if got := len(f.events()); got != n {
		t.Errorf("%d events, want %d", got, n)
	}
}

// Dead APIs take neither all workers nor the patience of others.
func TestRemoteDeadAPIDoesNotStarveOthers(t *testing.T) {
	f := setup(t, noWait, func(o *ingress.Options) { o.Workers, o.MinRetry, o.MaxRetry = 8, 200*time.Millisecond, 2*time.Second })
	dead := newTokenAPI(t)
	defer dead.pause()()
	other := f.api.provider
	f.stop()
	f.startWith(func(o *ingress.Options) {
		o.Providers = func(src *hookstreamv1.Source) (provider.Verifier, error) {
			if strings.HasPrefix(src.GetName(), "sources/dead") {
				return dead.provider(src)
			}
			return other(src)
		}
	})
	for _, source := range []string{"dead1", "dead2"} {
		f.sources.set(remoteSource(source))
		for i := range 50 {
			if got := f.post("/webhooks/"+source+"/"+source+"-key", strings.NewReader(message(fmt.Sprint(source, "-", i)))); got.status != 200 {
				t.Fatalf("status %d", got.status)
			}
		}
	}
	for i := range 10 {
		f.api.mint(fmt.Sprint(i))
		f.postRemote(message(fmt.Sprint(i)))
	}
	f.waitForEvents(10)
	asked := 0 // as long as no question has run into its timeout
	for i := range 50 {
		asked += dead.questions(fmt.Sprint("dead1-", i)) + dead.questions(fmt.Sprint("dead2-", i))
	}
	if asked < 2 || asked > 7 { // of 8 workers, and no answer has come
		t.Errorf("dead APIs have %d questions under way, want 2 to 7", asked)
	}
}

// Equal content under another token is published, and says so.
func TestRemotePossibleDuplicate(t *testing.T) {
	f := setup(t)
	f.api.mint("t1", "t2")
	f.postRemote(message("t1"))
	first := f.only()
	waitFor(t, "the index", func() bool { return f.contentKnown() })
	f.postRemote(message("t2"))
	events := f.events()
	if len(events) != 2 || events[1].GetPossibleDuplicateOf() != first.GetName() || first.GetPossibleDuplicateOf() != "" {
		t.Errorf("events %v", events)
	}
}

// contentKnown reports whether the log's index has caught up with one event.
func (f *fixture) contentKnown() bool {
	p, _ := f.api.provider(remoteSource("remote"))
	info, _ := p.Inspect(&provider.Request{Body: []byte(message("t1"))})
	_, ok, _ := f.engine.Events().Content("remote", info.Fingerprint())
	return ok
}

// In shadow mode a refused request is published as failed, once, and the
// genuine one with the same token still comes through.
func TestRemoteShadow(t *testing.T) {
	f := setup(t)
	f.sources.update("remote", shadow)
	if got := f.postRemote(message("invented")); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
	f.results.waitDecided(t, "remote published_failed", 1)
	f.api.mint("invented")
	if got := f.postRemote(message("invented")); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
	events := f.events()
	if len(events) != 2 || state(events[0]) != failed || state(events[1]) != verified {
		t.Errorf("events %v", events)
	}
	if len(events) == 2 && events[1].GetPossibleDuplicateOf() != "" {
		t.Error("a genuine event points at a forgery")
	}
}

// A source that is deleted by a slip and made again finds its requests; one
// that stays away does not keep them for ever.
func TestRemoteSourceGone(t *testing.T) {
	f := setup(t, noWait)
	f.api.mint("t1")
	f.stop()
	f.startWith(func(o *ingress.Options) { o.Inbox = idleInbox{o.Inbox} })
	f.postRemote(message("t1"))
	f.stop()
	f.sources.put("remote", nil)
	f.start()
	f.sources.set(remoteSource("remote"))
	f.waitForEvents(1)

	var log syncBuffer
	f.stop()
	f.startWith(func(o *ingress.Options) { o.Inbox = idleInbox{o.Inbox} })
	f.api.mint("t2")
	f.postRemote(message("t2"))
	f.stop()
	f.sources.put("remote", nil)
	f.startWith(func(o *ingress.Options) {
		o.OrphanAge = time.Nanosecond
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	f.results.waitDecided(t, "remote given_up", 1)
	if !strings.Contains(log.String(), "the source is gone") {
		t.Errorf("nobody was told: %s", log.String())
	}
	f.only()
}

// A verdict that never comes ends in a line in the log, not in silence.
func TestRemoteGiveUp(t *testing.T) {
	var log syncBuffer
	f := setup(t, noWait, func(o *ingress.Options) {
		o.GiveUpAge = time.Nanosecond
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	f.api.fail(broken)
	f.postRemote(message("t1"))
	f.results.waitDecided(t, "remote given_up", 1)
	if !strings.Contains(log.String(), "api_unavailable") || strings.Contains(log.String(), "t1") {
		t.Errorf("log: %s", log.String())
	}
}
