package subscription

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/hub"
)

// What counts as an attempt, and who is suspected afterwards.
func TestEndingsOfDeliveries(t *testing.T) {
	for _, c := range []struct {
		how             ending
		alone           bool
		failed, suspect bool
	}{
		{released, true, false, false},
		{released, false, false, false},
		{refused, true, true, false},
		{refused, false, true, false},
		{lost, true, true, true},
		{lost, false, false, true},
	} {
		got, failed := tally{Failed: 2}.ended(c.how, c.alone)
		want := tally{Failed: 2, Suspect: c.suspect}
		if c.failed {
			want.Failed++
		}
		if got != want || failed != c.failed {
			t.Errorf("ending %d, alone %t: %+v, failed %t", c.how, c.alone, got, failed)
		}
	}
	if got, _ := (tally{Suspect: true}).ended(refused, true); !got.Suspect {
		t.Error("a suspect is none any more before it is settled")
	}
}

// A gateway that dies with what it held costs that nothing. What several died with
// is suspected, and what a consumer was alone with then is not spared for ever.
func TestDeathsOfGateways(t *testing.T) {
	var known tally
	count := 1
	die := func() bool {
		count++
		if !known.unexplained(count) {
			t.Fatalf("hand-out %d is explained: %+v", count, known)
		}
		var failed bool
		known, failed = known.died(count)
		return failed
	}
	if die() || known.Suspect {
		t.Errorf("after one death: %+v", known)
	}
	if die() || !known.Suspect {
		t.Errorf("after two: %+v", known)
	}
	if die() { // it was held, and nobody had it
		t.Errorf("after three: %+v", known)
	}
	known.Begun++
	if !die() || known.Failed != 1 {
		t.Errorf("a suspect that was in hands: %+v", known)
	}
	known.Begun++
	known, _ = known.ended(lost, true) // it waits here for its next attempt
	if die() || known.Failed != 2 {
		t.Errorf("one that had ended before the gateway did: %+v", known)
	}
	known = known.told(count)
	if count++; known.unexplained(count) {
		t.Error("a release is taken for a death")
	}
}

func TestHandOutsGrow(t *testing.T) {
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	var last int64
	grows := func(what string, n int64) {
		t.Helper()
		if n <= last {
			t.Errorf("%s: %d after %d", what, n, last)
		}
		last = n
	}
	grows("first", nextHandOut(0, 1, 1, now))
	grows("again here", nextHandOut(last, 1, 1, now))
	grows("elsewhere, with a clock that is late", nextHandOut(0, 1, 2, now.Add(-23*time.Hour)))
	now = now.Add(-23 * time.Hour)
	grows("very often", nextHandOut(last, 1, 1<<30, now.Add(time.Second)))
	grows("a replay, whose entry knows the last", nextHandOut(last, 1, 1, now.Add(2*time.Second)))
	entry := last + 3*handOutSkew // it had been handed out often before it was parked
	last = entry
	grows("a replay, whose entry is ahead of time", nextHandOut(lastOfReplay(entry, 1), 1, 1, now.Add(3*time.Second)))
	grows("again here, too", nextHandOut(last, 1, 1, now.Add(3*time.Second)))
	grows("and again", nextHandOut(last, 1, 1, now.Add(3*time.Second)))
	grows("elsewhere, where only the entry is known", nextHandOut(lastOfReplay(entry, 2), 1, 2, now.Add(4*time.Second)))
	grows("after a seek", nextHandOut(0, 2, 0, now.Add(3*time.Second)))
	grows("in the next life of an embedded gateway, with a clock that is late", nextHandOut(0, 2, 1, now.Add(-23*time.Hour)))
	grows("after too many", nextHandOut(last, 1<<40, 1<<30, now))
	grows("and again", nextHandOut(last, 1<<40, 1<<30, now))
}

// Who ends without having settled anything waits longer and longer; two ends are
// for nothing, and a settlement forgives all.
func TestFlappingClients(t *testing.T) {
	var f flaps
	c := clientOf("uid", ConsumerOptions{ClientID: "crm", Address: "10.0.0.7:1234"})
	for _, address := range []string{"10.0.0.7:%d", "rest:10.0.0.7:%d", "[::1]:%d", "rest:[::1]:%d"} {
		one, again := fmt.Sprintf(address, 1234), fmt.Sprintf(address, 999)
		if clientOf("uid", ConsumerOptions{Address: one}) != clientOf("uid", ConsumerOptions{Address: again}) {
			t.Errorf("%s and %s are two clients", one, again)
		}
	}
	now := time.Now()
	for n, want := range []int64{0, 0, 250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000} {
		f.ended(c, now)
		var got time.Duration
		if at := f.notBefore(c, now); !at.IsZero() {
			got = at.Sub(now)
		}
		if got.Milliseconds() != want {
			t.Errorf("after %d ends: %s", n+1, got)
		}
	}
	f.settled(c)
	if at := f.notBefore(c, now); !at.IsZero() {
		t.Error("it waits though it settled something")
	}
	for n := range maxFlaps + 10 {
		f.ended(clientOf("uid", ConsumerOptions{ClientID: fmt.Sprint(n)}), now)
	}
	if len(f.of) > maxFlaps {
		t.Errorf("%d clients are remembered", len(f.of))
	}
}

// Suspects are tried in turn: what failed most comes last.
func TestFewestAttemptsFirst(t *testing.T) {
	of := func(seq uint64, failed int) *hold {
		return &hold{key: key{seq: seq}, event: new(hub.Hub).Of(event.Record{Seq: seq, Lost: true}), tally: tally{Failed: failed}}
	}
	var all []*hold
	for _, hd := range []*hold{of(1, 3), of(4, 0), of(2, 1), of(3, 0), of(5, 1)} {
		all = addSuspect(all, hd)
	}
	var got []uint64
	for _, hd := range all {
		got = append(got, hd.seq)
	}
	if fmt.Sprint(got) != "[3 4 2 5 1]" {
		t.Errorf("in the order %v", got)
	}
}

// The home wakes up for what is due, and not only now and then.
func TestNextAlarmIsNotMissed(t *testing.T) {
	h := &home{m: new(Manager), sub: new(Subscription)}
	h.clock.set(time.Now().Add(10*time.Millisecond), &hold{})
	if d := h.untilNext(); d > 10*time.Millisecond {
		t.Errorf("it sleeps for %s", d)
	}
	h.clock = nil
	h.consumers = []*consumer{{notBefore: time.Now().Add(20 * time.Millisecond)}}
	if d := h.untilNext(); d > 20*time.Millisecond {
		t.Errorf("with a consumer that waits it sleeps for %s", d)
	}
}
