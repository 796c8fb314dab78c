package replay_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/replay"
	"github.com/hookstream/hookstream/subscription"
)

const (
	selected   = "signature_request.done"
	unselected = "signer.done"
)

var selector = &hookstreamv1.EventSelector{Types: []string{selected}}

// Plays: replays at once, consumers of all tempers, gateways that die, pauses, new events.
// Each event of a replay is settled in its name, none comes for a replay that it is not of,
// none comes again once it is settled, and the counts say what was.
func TestReplaysDoNotMix(t *testing.T) {
	for seed := range uint64(4) {
		for _, embedded := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed %d, embedded %v", seed, embedded), func(t *testing.T) {
				t.Parallel()
				inWorld(t, seed, embedded, func(t *testing.T, w *world) { play(t, w, seed) })
			})
		}
	}
}

func play(t *testing.T, w *world, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 7))
	ordered := dice.IntN(2) == 0
	settings := subscription.Settings{
		Selector: selector, AckDeadline: 2 * time.Second, MaxAttempts: 3, BackoffMin: 10 * time.Millisecond, BackoffMax: time.Second,
		MaxOutstandingEvents: []int{1, 10, 200}[dice.IntN(3)],
	}
	if ordered {
		settings.Ordering = subscription.OrderByEntity
	}
	want := map[string][]uint64{}
	entityOf := map[uint64]string{}
	var names []string
	publish := func(n int, old bool) {
		for range n {
			entity := []string{"a", "b", "c", ""}[dice.IntN(4)]
			if dice.IntN(4) == 0 {
				seq := w.publish(unselected, entity)
				if old && entity == "a" {
					want["skipped"] = append(want["skipped"], seq)
				}
				continue
			}
			seq := w.publish(selected, entity)
			entityOf[seq] = entity
			if !old {
				continue
			}
			want["all"] = append(want["all"], seq)
			if entity == "a" {
				want["entity"] = append(want["entity"], seq)
			}
			if dice.IntN(10) == 0 {
				want["named"] = append(want["named"], seq)
				names = append(names, event.Name(w.store.Log().Incarnation(), seq))
			}
		}
	}
	w.create(settings)
	if _, err := w.at(0).subs.Pause(t.Context(), subID, ""); err != nil { // new ones are not to be many
		t.Fatal(err)
	}
	publish(100, true)
	if _, err := w.at(0).subs.Seek(t.Context(), subID, "", subscription.Position{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.at(0).subs.Resume(t.Context(), subID, ""); err != nil {
		t.Fatal(err)
	}
	w.begin(replay.Request{ID: "all", Filter: "type:" + selected})
	w.begin(replay.Request{ID: "entity", Filter: "entity:signature_requests/a", Rate: 20})
	w.begin(replay.Request{ID: "named", Names: names})

	s := newStory()
	for n := range w.alive {
		defer w.consume(s, n, seed, []subscription.Verdict{
			subscription.Ack, subscription.Ack, subscription.Ack, subscription.Ack, subscription.Ack, subscription.Retry, subscription.Park, 0,
		})()
	}
	for range 6 {
		time.Sleep(time.Duration(dice.IntN(2000)) * time.Millisecond)
		id := []string{"all", "entity", "named"}[dice.IntN(3)]
		switch dice.IntN(4) {
		case 0:
			w.kill(dice.IntN(3))
		case 1:
			publish(5, false)
		case 2:
			_, _ = w.at(1).replays.Pause(t.Context(), subID, id) // it may be over
		case 3:
			_, _ = w.at(2).replays.Resume(t.Context(), subID, id)
		}
	}
	for _, id := range []string{"all", "entity", "named"} {
		_, _ = w.at(0).replays.Resume(t.Context(), subID, id)
		r := w.until(id, replay.Succeeded, 20*time.Minute)
		if n := int64(len(want[id])); r.Queued != n || r.Settled != n || r.Missed != 0 || r.Total != n+r.Unselected {
			t.Errorf("%d events, and the replay says %+v", n, r)
		}
		if id == "entity" && r.Unselected != int64(len(want["skipped"])) {
			t.Errorf("%d are not selected, and the replay says %+v", len(want["skipped"]), r)
		}
		s.check(t, id, want[id])
		if ordered {
			s.checkOrder(t, id, entityOf)
		}
	}
}

// check holds what came for a replay against what it was to be.
func (s *story) check(t *testing.T, id string, want []uint64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	name := subscription.ReplayName(subID, id)
	for o := range s.came {
		if o.replay == name && !slices.Contains(want, o.seq) {
			t.Errorf("%s: event %d came, which is not of it", id, o.seq)
		}
	}
	for _, seq := range want {
		if s.came[one{name, seq}] == 0 {
			t.Errorf("%s: event %d never came", id, seq)
		}
	}
	for _, o := range s.again {
		if o.replay == name {
			t.Errorf("%s: event %d came again when it was settled", id, o.seq)
		}
	}
}

// checkOrder looks whether the events of each entity were settled in the order of the log.
func (s *story) checkOrder(t *testing.T, id string, entityOf map[uint64]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	last := make(map[string]uint64)
	for _, o := range s.order {
		entity := entityOf[o.seq]
		if entity == "" || o.replay != subscription.ReplayName(subID, id) {
			continue
		}
		if o.seq < last[entity] {
			t.Errorf("%s: of entity %s event %d is settled after %d", id, entity, o.seq, last[entity])
		}
		last[entity] = o.seq
	}
}

var allAcked = []subscription.Verdict{subscription.Ack}

// No more than a window lies at the queue, whoever takes it, and none while it is paused.
func TestReplayIsFedByAWindow(t *testing.T) {
	inWorld(t, 1, true, func(t *testing.T, w *world) {
		for range 1200 {
			w.publish(selected, "")
		}
		w.create(subscription.Settings{MaxOutstandingEvents: 1000})
		w.begin(replay.Request{ID: "r", Filter: "type:*"})
		time.Sleep(time.Minute)
		r := w.until("r", replay.Running, time.Second)
		if r.Queued != 500 || r.Settled != 0 || r.Total != 1200 {
			t.Errorf("nobody takes anything, and it is %+v", r)
		}
		if _, err := w.at(0).replays.Pause(t.Context(), subID, "r"); err != nil {
			t.Fatal(err)
		}
		s := newStory()
		stop := w.consume(s, 0, 1, allAcked)
		defer func() { stop() }()
		time.Sleep(time.Minute)
		if r := w.until("r", replay.Paused, time.Second); r.Queued > 564 || r.Settled != r.Queued {
			t.Errorf("it is paused, all was taken, and it is %+v", r)
		}
		if _, err := w.at(0).replays.Resume(t.Context(), subID, "r"); err != nil {
			t.Fatal(err)
		}
		w.until("r", replay.Succeeded, time.Minute)
	})
}

// A rate is kept: not less than it over a long time, and never more.
func TestReplayKeepsItsRate(t *testing.T) {
	for _, rate := range []int{1, 7, 50} {
		inWorld(t, 1, true, func(t *testing.T, w *world) {
			for range 400 {
				w.publish(selected, "")
			}
			w.create(subscription.Settings{})
			s := newStory()
			defer w.consume(s, 0, 1, allAcked)()
			w.begin(replay.Request{ID: "r", Filter: "type:*", Rate: rate})
			const span = 8 * time.Second
			time.Sleep(span)
			r := w.until("r", replay.Running, time.Second)
			if most, n := int64(rate)*8, r.Queued; n > most+int64(rate)/4+1 || n < most*7/10 {
				t.Errorf("at %d each second %d are queued after %s", rate, n, span)
			}
		})
	}
}

// A cancelled replay hands out nothing more, though some of it lies at the queue, also in
// the gateway's next life.
func TestReplayIsCancelled(t *testing.T) {
	inWorld(t, 1, true, func(t *testing.T, w *world) {
		for range 600 {
			w.publish(selected, "")
		}
		w.create(subscription.Settings{})
		w.begin(replay.Request{ID: "r", Filter: "type:*"})
		w.begin(replay.Request{ID: "other", Filter: "type:*"})
		time.Sleep(10 * time.Second)
		if r, err := w.at(0).replays.Cancel(t.Context(), subID, "r"); err != nil || r.State != replay.Cancelled || r.Settled != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		w.kill(0)
		s := newStory()
		defer w.consume(s, 0, 1, allAcked)()
		w.until("other", replay.Succeeded, time.Minute)
		time.Sleep(10 * time.Second)
		for o := range s.came {
			if o.replay != subscription.ReplayName(subID, "other") {
				t.Fatalf("%+v came", o)
			}
		}
		if len(s.came) != 600 {
			t.Errorf("%d of the other came", len(s.came))
		}
		if _, err := w.at(0).replays.Resume(t.Context(), subID, "r"); !errors.Is(err, replay.ErrOver) {
			t.Errorf("resuming it: %v", err)
		}
	})
}

// What becomes of a replay whose subscription, or whose events, are gone is told.
func TestReplayTellsWhatItLost(t *testing.T) {
	inWorld(t, 1, false, func(t *testing.T, w *world) {
		for range 1000 { // the newest are in memory
			w.publish(selected, "")
		}
		w.create(subscription.Settings{})
		w.begin(replay.Request{ID: "r", Filter: "type:*"})
		time.Sleep(10 * time.Second) // 500 are queued
		for seq := range uint64(600) {
			w.store.Drop(seq + 1)
		}
		s := newStory()
		stop := w.consume(s, 1, 1, allAcked)
		if r := w.until("r", replay.Succeeded, 2*time.Minute); r.Missed != 100 || r.Queued != 900 {
			t.Errorf("100 that were not queued are dropped, and it is %+v", r)
		}
		stop()
		for _, id := range []string{"running", "paused"} {
			w.begin(replay.Request{ID: id, Filter: "type:*"})
		}
		if _, err := w.at(0).replays.Pause(t.Context(), subID, "paused"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := w.at(0).subs.Pause(t.Context(), subID, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if r := w.until("running", replay.Running, time.Second); r.Reason != "the subscription is paused" {
			t.Errorf("the subscription is paused, and it is %+v", r)
		}
		if err := w.at(0).subs.Delete(t.Context(), subID, ""); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"running", "paused"} {
			if r := w.until(id, replay.Failed, time.Minute); r.Reason != "the subscription was deleted" {
				t.Errorf("the subscription is deleted, and it is %+v", r)
			}
		}
	})
}

// A replay is over when the last of its own events is settled, whatever becomes of another's;
// and what was settled in the moment in which its gateway died is found to be.
func TestReplayIsOverWhenAllIsSettled(t *testing.T) {
	for _, embedded := range []bool{false, true} {
		inWorld(t, 1, embedded, func(t *testing.T, w *world) {
			w.publish(selected, "")
			w.publish(selected, "")
			w.create(subscription.Settings{AckDeadline: 10 * time.Minute})
			for _, id := range []string{"first", "second"} {
				w.begin(replay.Request{ID: id, Filter: "type:*"})
			}
			var first, second []subscription.Settlement
			for len(first) < 2 || len(second) < 2 {
				got, err := w.at(0).subs.Pull(t.Context(), subID, subscription.ConsumerOptions{}, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range got {
					to := &first
					if d.Replay == subscription.ReplayName(subID, "second") {
						to = &second
					}
					*to = append(*to, subscription.Settlement{Token: d.Token, Verdict: subscription.Ack})
				}
			}
			settle := func(some ...subscription.Settlement) {
				for _, r := range w.at(0).subs.Settle(t.Context(), subID, some) {
					if r.Outcome != subscription.Done {
						t.Fatalf("outcome %d", r.Outcome)
					}
				}
			}
			settle(first...)
			settle(second[0])
			w.until("first", replay.Succeeded, 10*time.Second)
			time.Sleep(10 * time.Second)
			if r := w.until("second", replay.Running, time.Second); r.Settled != 1 || r.Queued != 2 {
				t.Errorf("one of two is settled, and it is %+v", r)
			}
			settle(second[1])
			w.kill(0)
			if n, err := w.at(0).subs.Unsettled(t.Context(), sub(t, w)); err != nil || n["second"] != 1 {
				t.Errorf("%v, %v lie there: the gateway was to die before it removed one", n, err)
			}
			w.until("second", replay.Succeeded, 2*time.Minute)
		})
	}
}

func sub(t *testing.T, w *world) *subscription.Subscription {
	t.Helper()
	s, err := w.at(0).subs.Get(subID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
