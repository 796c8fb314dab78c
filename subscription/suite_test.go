package subscription_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/subscription"
)

func TestEventsAreHandedOutOnceAndAcknowledgedAnywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		want := r.publishN(20)
		r.create("crm", subscription.Settings{})
		got := append(pull(t, r.a, "crm", 10), pull(t, r.b, "crm", 10)...)
		if diff := cmp.Diff(want, sorted(seqsOf(got))); diff != "" {
			t.Fatal(diff)
		}
		ack(t, r.b, got[:10]...) // handed out by the other
		ack(t, r.a, got[10:]...)
		ack(t, r.a, got...) // saying it again is fine
		nothingThere(t, r.a, "crm", 100*time.Millisecond)
		waitFor(t, "that nothing is left", func() bool {
			st, err := r.a.State(t.Context(), "crm")
			return err == nil && st.Outstanding == 0 && st.Backlog == 0 && len(st.Gateways) == 2
		})
	})
}

func TestWhatABrokenStreamHeldGoesToOthersAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.publishN(5)
		r.create("crm", subscription.Settings{AckDeadline: time.Hour})
		s := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
		waitFor(t, "the deliveries", func() bool { return s.count() == 5 })
		first := s.deliveries()
		s.stop()
		again := pull(t, r.b, "crm", 5)
		numbers := make(map[uint64]int64)
		for _, d := range first {
			numbers[d.Event.Seq()] = d.HandOut
		}
		for _, d := range again { // it had them all at once: nobody knows which one it was at
			if d.Attempt != 1 || d.HandOut <= numbers[d.Event.Seq()] {
				t.Errorf("attempt %d, hand-out %d after %d", d.Attempt, d.HandOut, numbers[d.Event.Seq()])
			}
		}
		if o := settle(t, r.a, subscription.Settlement{Token: first[0].Token, Verdict: subscription.Ack}).Outcome; o != subscription.Expired {
			t.Errorf("a token of a stream that is gone: outcome %d", o)
		}
		ack(t, r.a, again...)
	})
}

func TestDeadlineAndMaxAttempts(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		seq := r.publish("", "")
		r.create("crm", subscription.Settings{AckDeadline: time.Second, MaxAttempts: 2})
		first := pull(t, r.a, "crm", 1)[0]
		second := pull(t, r.b, "crm", 1)[0]
		if first.Attempt != 1 || second.Attempt != 2 || time.Now().Before(first.Deadline) {
			t.Fatalf("attempts %d, %d; the second came %s before the first's deadline", first.Attempt, second.Attempt, time.Until(first.Deadline))
		}
		if o := settle(t, r.b, subscription.Settlement{Token: first.Token, Verdict: subscription.Ack}).Outcome; o != subscription.Expired {
			t.Errorf("an acknowledgement that is late: outcome %d", o)
		}
		parked := waitParked(t, r.a, "crm", 1)
		if p := parked[0]; p.Event.Seq() != seq || p.Attempts != 2 || p.Reason == "" || p.ClientID != "puller" {
			t.Errorf("parked: %+v", p)
		}
		nothingThere(t, r.a, "crm", 100*time.Millisecond)
	})
}

// What is settled costs no memory, however far away its deadline was.
func TestSettledIsNotKeptUntilItsDeadline(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.create("crm", subscription.Settings{AckDeadline: 10 * time.Minute})
		r.publishN(20)
		taken := pull(t, r.a, "crm", 20)
		if n := r.a.Alarms("crm"); n != 20 {
			t.Errorf("%d deliveries have a deadline, want 20", n)
		}
		ack(t, r.a, taken[:12]...)
		for _, d := range taken[12:16] {
			delay := time.Hour
			settle(t, r.a, subscription.Settlement{Token: d.Token, Verdict: subscription.Retry, Delay: &delay})
		}
		for _, d := range taken[16:] {
			settle(t, r.a, subscription.Settlement{Token: d.Token, Verdict: subscription.Skip})
		}
		waitFor(t, "nothing to attend to", func() bool { return r.a.Alarms("crm") == 0 })
	})
}

func waitParked(t testing.TB, g *gateway, id string, n int) (out []subscription.ParkedDelivery) {
	t.Helper()
	waitFor(t, "what is parked", func() bool {
		var err error
		if out, _, err = g.ListParked(t.Context(), id, 100, ""); err != nil {
			t.Fatal(err)
		}
		return len(out) == n
	})
	return out
}

func TestRetryWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.publish("", "")
		r.create("crm", subscription.Settings{MaxAttempts: 3, BackoffMin: 700 * time.Millisecond})
		retry := func(d subscription.Delivery, delay *time.Duration) subscription.Outcome {
			return settle(t, r.b, subscription.Settlement{Token: d.Token, Verdict: subscription.Retry, Delay: delay, Reason: "no luck"}).Outcome
		}
		d := pull(t, r.a, "crm", 1)[0]
		start := time.Now()
		if o := retry(d, nil); o != subscription.Done {
			t.Fatalf("outcome %d", o)
		}
		d = pull(t, r.a, "crm", 1)[0]
		if took := time.Since(start); took < 700*time.Millisecond || d.Attempt != 2 {
			t.Errorf("attempt %d after %s", d.Attempt, took)
		}
		if o := retry(d, new(time.Duration)); o != subscription.Done {
			t.Fatalf("outcome %d", o)
		}
		d = pull(t, r.b, "crm", 1)[0]
		if o := retry(d, nil); d.Attempt != 3 || o != subscription.Parked {
			t.Fatalf("attempt %d, outcome %d", d.Attempt, o)
		}
		if p := waitParked(t, r.b, "crm", 1)[0]; p.Reason != "no luck" || p.Attempts != 3 {
			t.Errorf("%+v", p)
		}
	})
}

func TestParkSkipReplayPurge(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		seqs := r.publishN(4)
		r.create("crm", subscription.Settings{})
		got := pull(t, r.a, "crm", 4)
		slices.SortFunc(got, func(a, b subscription.Delivery) int { return int(a.Event.Seq()) - int(b.Event.Seq()) })
		for i, want := range []subscription.Outcome{subscription.Done, subscription.Parked, subscription.Parked, subscription.Parked} {
			verdict := subscription.Park
			if i == 0 {
				verdict = subscription.Skip
			}
			if o := settle(t, r.b, subscription.Settlement{Token: got[i].Token, Verdict: verdict, Reason: "for a person:\n\"really\""}).Outcome; o != want {
				t.Errorf("%d: outcome %d", i, o)
			}
		}
		page, next, err := r.b.ListParked(t.Context(), "crm", 2, "")
		if err != nil || len(page) != 2 || next == "" || page[0].Reason != "for a person:\n\"really\"" {
			t.Fatalf("%+v, %q, %v", page, next, err)
		}
		rest, next, err := r.b.ListParked(t.Context(), "crm", 2, next)
		if err != nil || len(rest) != 1 || next != "" {
			t.Fatalf("%+v, %q, %v", rest, next, err)
		}
		// A call that has looked at enough answers what it has, were it nothing.
		last := func(p subscription.ParkedDelivery) (bool, error) { return p.ID == rest[0].ID, nil }
		found, next, err := subscription.FindParkedOf(t.Context(), r.b.Manager, "crm", 2, "", last)
		if err != nil || len(found) != 0 || next == "" {
			t.Fatalf("%+v, %q, %v", found, next, err)
		}
		found, next, err = subscription.FindParkedOf(t.Context(), r.b.Manager, "crm", 2, next, last)
		if err != nil || len(found) != 1 || next != "" {
			t.Fatalf("%+v, %q, %v", found, next, err)
		}
		one := subscription.Selection{IDs: []string{page[0].ID, "77777"}}
		count := func(n int, err error) int {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := count(r.a.ReplayParked(t.Context(), "crm", one, true)); n != 1 {
			t.Errorf("a dry replay counts %d", n)
		}
		if n := count(r.a.ReplayParked(t.Context(), "crm", one, false)); n != 1 {
			t.Errorf("a replay counts %d", n)
		}
		d := pull(t, r.b, "crm", 1)[0]
		if d.Event.Seq() != seqs[1] || !d.Replayed || d.Attempt != 1 {
			t.Errorf("replayed: %d, attempt %d, %v", d.Event.Seq(), d.Attempt, d.Replayed)
		}
		ack(t, r.a, d)
		nothingThere(t, r.b, "crm", 100*time.Millisecond)
		if n := count(r.a.PurgeParked(t.Context(), "crm", subscription.Selection{All: true}, true)); n != 2 {
			t.Errorf("a dry purge counts %d", n)
		}
		if n := count(r.a.PurgeParked(t.Context(), "crm", subscription.Selection{IDs: []string{rest[0].ID}}, false)); n != 1 {
			t.Errorf("a purge of one counts %d", n)
		}
		if n := count(r.b.PurgeParked(t.Context(), "crm", subscription.Selection{All: true}, false)); n != 1 {
			t.Errorf("a purge counts %d", n)
		}
		waitParked(t, r.a, "crm", 0)
	})
}

func TestExtend(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.publish("", "")
		r.create("crm", subscription.Settings{AckDeadline: time.Second})
		d := pull(t, r.a, "crm", 1)[0]
		res := settle(t, r.b, subscription.Settlement{Token: d.Token, Verdict: subscription.Extend, Extension: 15 * time.Second})
		if res.Outcome != subscription.Done || time.Until(res.Deadline) < 13*time.Second || res.Token == "" {
			t.Fatalf("%+v", res)
		}
		// Longer than JetStream was told to hold it at first.
		nothingThere(t, r.b, "crm", 12500*time.Millisecond)
		ack(t, r.b, d)
	})
}

func TestPause(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.publish("", "")
		r.create("crm", subscription.Settings{})
		s := attach(r.b, "crm", subscription.ConsumerOptions{}, nil)
		defer s.stop()
		waitFor(t, "the delivery", func() bool { return s.count() == 1 })
		sub, err := r.a.Pause(t.Context(), "crm", "")
		if err != nil || !sub.Paused {
			t.Fatal(err)
		}
		waitFor(t, "the stream to be told", func() bool { return s.now() == subscription.Paused })
		ack(t, r.a, s.deliveries()...)
		r.publish("", "")
		if _, err := r.a.Pull(t.Context(), "crm", subscription.ConsumerOptions{}, time.Second); err == nil {
			t.Error("a paused subscription was pulled from")
		}
		waitFor(t, "the state", func() bool {
			st, err := r.a.State(t.Context(), "crm")
			return err == nil && st.Blocked == subscription.BlockedPaused && st.Backlog+st.Outstanding == 1
		})
		if s.count() != 1 {
			t.Error("something was handed out while paused")
		}
		if _, err := r.b.Resume(t.Context(), "crm", ""); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the next delivery", func() bool { return s.count() == 2 })
		if d := s.deliveries()[1]; d.Attempt != 1 {
			t.Errorf("attempt %d: nobody had it before", d.Attempt)
		}
	})
}

func TestSeek(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		seqs := r.publishN(6)
		r.create("crm", subscription.Settings{})
		got := pull(t, r.a, "crm", 6)
		ack(t, r.a, got[:5]...)
		s := attach(r.b, "crm", subscription.ConsumerOptions{}, nil)
		defer s.stop()
		after := got[0].Event.Time()
		sub, err := r.a.Seek(t.Context(), "crm", "", subscription.Position{At: &after})
		if err != nil || sub.Generation != 2 || sub.Start != seqs[0] {
			t.Fatalf("%+v, %v", sub, err)
		}
		if o := settle(t, r.a, subscription.Settlement{Token: got[5].Token, Verdict: subscription.Ack}).Outcome; o != subscription.Expired {
			t.Errorf("a token from before: outcome %d", o)
		}
		waitFor(t, "history", func() bool { return s.count() >= 6 })
		if diff := cmp.Diff(seqs, sorted(seqsOf(s.deliveries()))); diff != "" {
			t.Error(diff)
		}
		if _, err := r.a.Seek(t.Context(), "crm", "", subscription.Position{}); err != nil {
			t.Fatal(err)
		}
		last := r.publish("", "")
		waitFor(t, "the next", func() bool { return s.count() == 7 })
		if d := s.deliveries()[6]; d.Event.Seq() != last {
			t.Errorf("after seeking to the end event %d came", d.Event.Seq())
		}
	})
}

func TestSelectorAndItsChange(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		var done, signed []uint64
		for range 10 {
			signed = append(signed, r.publish("signer.done", "signature_requests/7"))
			done = append(done, r.publish("signature_request.done", ""))
		}
		r.create("crm", subscription.Settings{Selector: selector("types: 'signature_request.done'")})
		r.create("cel", subscription.Settings{Selector: selector("filter: 'event.entity != \"\"'")})
		got := pull(t, r.b, "crm", 10)
		if diff := cmp.Diff(done, sorted(seqsOf(got))); diff != "" {
			t.Error(diff)
		}
		ack(t, r.a, got...)
		got = pull(t, r.b, "cel", 10)
		if diff := cmp.Diff(signed, sorted(seqsOf(got))); diff != "" {
			t.Error(diff)
		}
		ack(t, r.a, got...)
		nothingThere(t, r.a, "cel", 100*time.Millisecond)
		waitFor(t, "that nothing is left unsettled", func() bool {
			st, err := r.a.State(t.Context(), "cel")
			return err == nil && st.Outstanding == 0 && st.Backlog == 0
		})
		sub, err := r.a.Update(t.Context(), "crm", "", func(s *subscription.Settings) error {
			s.Selector = selector("types: 'signer.*'")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r.inForce(sub)
		r.publish("signature_request.done", "")
		want := r.publish("signer.done", "")
		if got := seqsOf(pull(t, r.b, "crm", 1)); got[0] != want {
			t.Errorf("event %d came, %d is the first that is selected now", got[0], want)
		}
		nothingThere(t, r.a, "crm", 100*time.Millisecond)
	})
}

// What is not selected is done with, though it comes when the consumer that made its
// gateway ask for it is gone.
func TestUnselectedIsSettledWithNobodyThere(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.create("crm", subscription.Settings{Selector: selector(`types: "signer.*"`)})
		nothingThere(t, r.a, "crm", 500*time.Millisecond)
		r.publish("signature_request.done", "")
		time.Sleep(300 * time.Millisecond) // it is handed out meanwhile, if it was asked for
		waitFor(t, "the event to be settled", func() bool {
			st, err := r.b.State(t.Context(), "crm")
			return err == nil && st.Outstanding == 0
		})
		seq := r.publish("signer.done", "")
		if d := pull(t, r.b, "crm", 1)[0]; d.Event.Seq() != seq || d.Attempt != 1 {
			t.Errorf("event %d, attempt %d", d.Event.Seq(), d.Attempt)
		}
	})
}

func TestFlowControl(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.publishN(30)
		r.create("crm", subscription.Settings{MaxOutstandingEvents: 8})
		small := attach(r.a, "crm", subscription.ConsumerOptions{MaxEvents: 3, ClientID: "small", Address: "10.0.0.7:1"}, nil)
		defer small.stop()
		waitFor(t, "three", func() bool { return small.count() == 3 })
		other := attach(r.b, "crm", subscription.ConsumerOptions{}, nil)
		defer other.stop()
		waitFor(t, "five more", func() bool { return other.count() == 5 })
		waitFor(t, "the reason", func() bool {
			st, err := r.b.State(t.Context(), "crm")
			return err == nil && st.Blocked == subscription.BlockedOutstanding && st.Outstanding == 8 && st.Backlog == 22 && len(st.Consumers) == 2
		})
		if small.count() != 3 || other.count() != 5 {
			t.Errorf("%d and %d are in force", small.count(), other.count())
		}
		ack(t, r.b, small.deliveries()[0])
		waitFor(t, "one in its place", func() bool { return small.count()+other.count() == 9 })
	})
}

func TestConfiguration(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		m := r.a
		if _, err := m.Create(t.Context(), "Bad", subscription.Settings{AckDeadline: 1}, subscription.Position{}); err == nil {
			t.Error("a bad id was taken")
		}
		_, err := m.Create(t.Context(), "crm", subscription.Settings{AckDeadline: 1, MaxAttempts: -1, Selector: selector("filter: 'nonsense('")}, subscription.Position{})
		var bad *subscription.InvalidError
		if !errors.As(err, &bad) || len(bad.Violations) != 3 {
			t.Errorf("%v", err)
		}
		s := subscription.Settings{Description: "d", Labels: map[string]string{"team": "crm"}, Selector: selector("types: 'a.b'"), Ordering: subscription.OrderByEntity}
		sub, created, err := m.Ensure(t.Context(), "crm", s, subscription.Position{})
		if err != nil || !created || sub.MaxAttempts != 10 {
			t.Fatalf("%+v, %v", sub, err)
		}
		r.inForce(sub)
		if same, created, err := r.b.Ensure(t.Context(), "crm", s, subscription.Position{}); err != nil || created || same.UID != sub.UID {
			t.Errorf("%+v, %v, %v", same, created, err)
		}
		s.Labels, s.MaxAttempts = nil, 3
		_, _, err = r.b.Ensure(t.Context(), "crm", s, subscription.Position{})
		var c *subscription.ConflictError
		if !errors.As(err, &c) || !slices.Equal(c.Fields, []string{"labels", "max_attempts"}) {
			t.Errorf("%v", err)
		}
		if _, err := m.Update(t.Context(), "crm", "", func(s *subscription.Settings) error { s.Ordering = subscription.Unordered; return nil }); err == nil {
			t.Error("the ordering was changed")
		}
		next, err := r.b.Update(t.Context(), "crm", sub.Etag, func(s *subscription.Settings) error { s.MaxAttempts = 4; return nil })
		if err != nil || next.Etag == sub.Etag || next.MaxAttempts != 4 {
			t.Fatalf("%+v, %v", next, err)
		}
		if err := r.b.Delete(t.Context(), "crm", sub.Etag); err == nil {
			t.Error("deleted with an old etag")
		}
		stream := attach(r.b, "crm", subscription.ConsumerOptions{}, nil)
		waitFor(t, "the stream", func() bool { return stream.now() >= 0 })
		if err := r.b.Delete(t.Context(), "crm", next.Etag); err != nil {
			t.Fatal(err)
		}
		if err := stream.ended(); !errors.Is(err, subscription.ErrDeleted) {
			t.Errorf("the stream ended with %v", err)
		}
	})
}

func sorted(seqs []uint64) []uint64 {
	slices.Sort(seqs)
	return seqs
}
