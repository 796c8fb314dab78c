package ingress_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/ingress"
)

// killer ends a gateway at a step: nothing it does afterwards gets past another
// step, and a new gateway goes on with what is durable. The process itself is
// killed by the test of the whole program.
type killer struct {
	at   string
	mu   sync.Mutex
	dead bool
	died chan struct{}
}

func newKiller(at string) *killer { return &killer{at: at, died: make(chan struct{})} }

func (k *killer) step(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if name == k.at && !k.dead {
		k.dead = true
		close(k.died)
	}
	if k.dead {
		panic("test: killed at " + k.at)
	}
}

// crash starts a gateway that dies at the step, lets send make it do so, and
// starts a new one. The dead one is left to hand back, untouched, the rows that
// were on their way to it: the inbox would take a minute to do so.
func (f *fixture) crash(at string, send func() answer) answer {
	f.t.Helper()
	f.stop()
	k := newKiller(at)
	f.startWith(func(o *ingress.Options) {
		o.Step, o.Logger = k.step, nil
		noWait(o)
		if at == ingress.StepStored { // or it would be somewhere else in the verifier as well
			o.Inbox = idleInbox{o.Inbox}
		}
	})
	a := send()
	<-k.died
	dead := f.stop
	f.start()
	alive := f.stop
	f.stop = func() { alive(); dead() }
	return a
}

// decidedAfter waits until the new gateway has decided what the old one had
// not. The inbox's own count is only about right.
func (f *fixture) decidedAfter(at string) {
	f.t.Helper()
	if at == ingress.StepDone {
		return
	}
	waitFor(f.t, "the row", func() bool {
		f.results.mu.Lock()
		defer f.results.mu.Unlock()
		return len(f.results.settled) > 0
	})
}

// Killed between any two steps, a genuine request that was stored is published
// once; what the sender was told 200 about is never lost.
func TestCrashGenuine(t *testing.T) {
	for _, at := range ingress.Steps() {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.api.mint("t1")
			a := f.crash(at, func() answer { return f.postRemote(message("t1")) })
			if at == ingress.StepReceived {
				if a.status == 200 || len(f.events()) != 0 {
					t.Errorf("status %d before anything was stored", a.status)
				}
				return
			}
			f.waitForEvents(1)
			f.decidedAfter(at)
			want := verified
			if at == ingress.StepAsked { // spent, and we can not know by whom
				want = ambiguous
			}
			if e := f.only(); state(e) != want {
				t.Errorf("state %v, want %v", state(e), want)
			}
			// Whenever it died, the proof is worth nothing any more.
			if got := f.postRemote(message("t1")); got.status != 200 {
				t.Errorf("replayed: %d", got.status)
			}
			f.only()
		})
	}
}

// Killed between any two steps, a token that never was one is never published.
func TestCrashForged(t *testing.T) {
	for _, at := range ingress.Steps() {
		if at == ingress.StepReceived || at == ingress.StepAppended {
			continue // nothing is stored, or ever appended
		}
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.crash(at, func() answer { return f.postRemote(message("invented")) })
			f.decidedAfter(at)
			if got := f.postRemote(message("invented")); got.status != 401 {
				t.Errorf("again: status %d, want 401", got.status)
			}
			if n := len(f.events()); n != 0 {
				t.Errorf("%d events are published", n)
			}
		})
	}
}

// A token that somebody else has spent is refused, whenever we are killed, but
// for the two moments in which nobody can tell that it was not us; then the
// event says so.
func TestCrashSpentElsewhere(t *testing.T) {
	for _, at := range ingress.Steps() {
		if at == ingress.StepReceived || at == ingress.StepAppended {
			continue
		}
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.api.spend("old")
			f.crash(at, func() answer { return f.postRemote(message("old")) })
			f.decidedAfter(at)
			events := f.events()
			if at == ingress.StepAsking || at == ingress.StepAsked {
				if len(events) != 1 || state(events[0]) != ambiguous {
					t.Errorf("events %v", events)
				}
				return
			}
			if len(events) != 0 {
				t.Errorf("events %v", events)
			}
			if got := f.postRemote(message("old")); got.status != 401 {
				t.Errorf("again: status %d, want 401", got.status)
			}
		})
	}
}

// In shadow mode a forgery is published as failed, once, whenever we are killed,
// and never as anything else.
func TestCrashShadow(t *testing.T) {
	for _, at := range ingress.Steps() {
		if at == ingress.StepReceived {
			continue
		}
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.sources.update("remote", shadow)
			f.crash(at, func() answer { return f.postRemote(message("invented")) })
			f.waitForEvents(1)
			f.decidedAfter(at)
			if e := f.only(); state(e) != failed {
				t.Errorf("state %v", state(e))
			}
		})
	}
}

// However a row was decided, and after a crash too, no question about it is left
// unresolved: once the log has forgotten the event, "spent already" must not be
// believed of a replay.
func TestCrashLeavesNoQuestionUnresolved(t *testing.T) {
	for _, token := range []string{"genuine", "invented"} {
		for _, at := range []string{"", ingress.StepAsked, ingress.StepAppended, ingress.StepAnnounced} {
			if token == "invented" && at == ingress.StepAppended {
				continue
			}
			t.Run(token+" "+at, func(t *testing.T) {
				t.Parallel()
				f := setup(t)
				f.api.mint("genuine")
				send := func() answer { return f.postRemote(message(token)) }
				if at == "" {
					send()
				} else {
					f.crash(at, send)
				}
				f.decidedAfter(at)
				f.stop()
				if f.unresolved(token, message(token)) {
					t.Error("a question is left unresolved")
				}
			})
		}
	}
}

// unresolved asks the inbox for the note on the question about a body.
func (f *fixture) unresolved(token, body string) bool {
	f.t.Helper()
	key, sum := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(body))
	row := eventlog.Row{Source: "remote", Key: hex.EncodeToString(key[:]) + "." + hex.EncodeToString(sum[:16])}
	in := f.engine.Inbox()
	id, err := in.Put(f.t.Context(), row)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	answers := make(chan bool, 1)
	go func() {
		_ = in.Work(ctx, 1, func(ctx context.Context, c *eventlog.Claim) {
			if c.ID != id {
				return
			}
			unresolved, err := c.Asking(ctx)
			if err != nil {
				f.t.Error(err)
			}
			_ = c.Done(ctx)
			answers <- unresolved
		})
	}()
	return <-answers
}

// A local provider's sender hears 200 only of what is in the log, and may send
// again what it was told nothing of.
func TestCrashLocal(t *testing.T) {
	for _, at := range []string{ingress.StepReceived, ingress.StepAsked, ingress.StepAppended} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			send := func() answer { return f.postLocal(message("1")) }
			if a := f.crash(at, send); a.status == 200 {
				t.Errorf("status %d", a.status)
			}
			want := 0
			if at == ingress.StepAppended {
				want = 1
			}
			if got := len(f.events()); got != want {
				t.Errorf("%d events after the crash, want %d", got, want)
			}
			if a := send(); a.status != 200 {
				t.Errorf("sent again: %d", a.status)
			}
			f.only()
		})
	}
}

// The steps are said in the order in which they are listed.
func TestSteps(t *testing.T) {
	var mu sync.Mutex
	var got []string
	f := setup(t, func(o *ingress.Options) {
		o.Step = func(name string) { mu.Lock(); defer mu.Unlock(); got = append(got, name) }
	})
	f.api.mint("t1")
	f.postRemote(message("t1"))
	f.results.waitDecided(t, "remote published", 1)
	mu.Lock()
	defer mu.Unlock()
	counts := make(map[string]int)
	for _, name := range got {
		counts[name]++
	}
	for _, name := range ingress.Steps() {
		if counts[name] != 1 {
			t.Errorf("step %s came %d times: %s", name, counts[name], strings.Join(got, " "))
		}
	}
}
