package subscription_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/subscription"
)

// short is a rig whose log keeps ten events, and how to end its gateways and
// begin anew.
func short(t *testing.T, cluster bool) (*rig, func()) {
	o := options(t, t.TempDir())
	o.MaxEvents = 10
	if !cluster {
		open := func() *rig {
			e := openEngine(t, o)
			r := &rig{t: t, log: e.Events(), a: openGateway(t, e, "a"), dir: o.Dir}
			r.b = r.a
			return r
		}
		r := open()
		return r, func() {
			r.a.die()
			seqs := r.seqs
			if r.damaged != nil {
				r.damaged()
			}
			*r = *open()
			r.seqs = seqs
		}
	}
	c := natstest.Start(t)
	o.URL, o.Replicas = c.URL(), 3
	open := func(name string) *gateway {
		one := o
		one.Dir = t.TempDir()
		return openGateway(t, openEngine(t, one), name)
	}
	r := &rig{t: t, a: open("a"), b: open("b"), cluster: c}
	r.log = r.b.engine.Events()
	return r, func() { r.a.die(); r.a = open("a") }
}

func onShort(t *testing.T, test func(t *testing.T, r *rig, restart func())) {
	for name, cluster := range map[string]bool{"embedded": false, "cluster": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, restart := short(t, cluster)
			test(t, r, restart)
		})
	}
}

func missedOf(t *testing.T, g *gateway, id string) int64 {
	t.Helper()
	st, err := g.State(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return st.Missed
}

// What retention takes while nobody is connected is counted, told to the first who
// comes, over restarts, and not again.
func TestRetentionOvertakesWhileNobodyIsThere(t *testing.T) {
	onShort(t, func(t *testing.T, r *rig, restart func()) {
		for _, id := range []string{"unordered", "ordered", "pulled"} {
			s := subscription.Settings{}
			if id == "ordered" {
				s.Ordering = subscription.OrderByEntity
			}
			r.create(id, s)
		}
		r.publishN(60)
		waitFor(t, "the gap", func() bool { return missedOf(t, r.a, "unordered") == 50 && missedOf(t, r.a, "ordered") == 50 })
		restart()
		waitFor(t, "what is kept", func() bool { return missedOf(t, r.a, "unordered") == 50 && missedOf(t, r.a, "ordered") == 50 })
		for _, id := range []string{"unordered", "ordered"} {
			s := attach(r.a, id, subscription.ConsumerOptions{}, nil)
			waitFor(t, "the events and the gap", func() bool { return s.count() == 10 && s.gaps() >= 50 })
			ack(t, r.a, s.deliveries()...)
			s.stop()
			if n := s.gaps(); n != 50 {
				t.Errorf("%s: told of %d missed events, want 50", id, n)
			}
		}
		got := pull(t, r.a, "pulled", 10)
		gap := r.a.UntoldGap(t.Context(), "pulled")
		if len(got) != 10 || gap.Missed != 50 || r.a.UntoldGap(t.Context(), "pulled").Missed != 0 {
			t.Error("a pull is not told of the gap once")
		}
		if !gap.Resume.Equal(got[0].Event.Time()) {
			t.Errorf("the gap ends at %s, and what follows it is of %s", gap.Resume, got[0].Event.Time())
		}
		waitFor(t, "what was told to be kept", func() bool { return r.a.ToldKept("unordered") == 50 })
		restart()
		s := attach(r.a, "unordered", subscription.ConsumerOptions{}, nil)
		r.publishN(1)
		waitFor(t, "the next", func() bool { return s.count() == 1 })
		s.stop()
		if n := s.gaps(); n != 0 || missedOf(t, r.a, "unordered") != 50 {
			t.Errorf("told again of %d missed events, %d in all", n, missedOf(t, r.a, "unordered"))
		}
		counted := r.a.Stats()["pulled"].Missed + r.b.Stats()["pulled"].Missed
		if counted > 100 {
			t.Errorf("counted %d", counted)
		}
	})
}

// A consumer that is connected and slow is told while it is at it, and of exactly
// what it was never handed.
func TestRetentionOvertakesASlowConsumer(t *testing.T) {
	onShort(t, func(t *testing.T, r *rig, _ func()) {
		r.create("crm", subscription.Settings{MaxOutstandingEvents: 5, AckDeadline: time.Hour})
		s := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
		acked := 0
		next := func(count int) {
			got := s.deliveries()
			ack(t, r.a, got[acked:]...)
			acked = len(got)
			waitFor(t, "five more", func() bool { return s.count() == count })
		}
		// A node that lags may have handed out what the others have dropped.
		missed := func(to uint64) int {
			n := int(to)
			for _, seq := range seqsOf(s.deliveries()) {
				if seq <= to {
					n--
				}
			}
			return n
		}
		r.publishN(5)
		waitFor(t, "the first", func() bool { return s.count() == 5 })
		r.publishN(55)
		next(10) // at once: no gateway has looked since, the queue jumps over it
		next(15)
		waitFor(t, "the gap that was jumped over", func() bool { return int(s.gaps()) == missed(50) })
		r.publishN(55)
		waitFor(t, "the gap ahead of it", func() bool { return int(s.gaps()) == missed(105) })
		next(20)
		next(25)
		s.stop()
		if n := int(s.gaps()); n != missed(105) || int(missedOf(t, r.a, "crm")) != n {
			t.Errorf("told of %d missed events, %d in all, want %d", n, missedOf(t, r.a, "crm"), missed(105))
		}
		// A Seek begins anew.
		if _, err := r.a.Seek(t.Context(), "crm", "", subscription.Position{Earliest: true}); err != nil {
			t.Fatal(err)
		}
		if n := missedOf(t, r.a, "crm"); n != 0 {
			t.Errorf("%d missed after a Seek", n)
		}
	})
}

// Nothing is missed where everything is settled in time, whatever is selected.
func TestNoGapWhereNothingIsMissed(t *testing.T) {
	onShort(t, func(t *testing.T, r *rig, _ func()) {
		r.create("all", subscription.Settings{})
		r.create("some", subscription.Settings{Selector: selector(`types: "a.b"`)})
		r.create("filtered", subscription.Settings{Selector: selector(`filter: "event.type == 'a.b'"`)})
		streams := make(map[string]*stream)
		for _, id := range []string{"all", "some", "filtered"} {
			streams[id] = attach(r.a, id, subscription.ConsumerOptions{}, func(d subscription.Delivery) { go ack(t, r.a, d) })
		}
		for n := range 40 {
			typ := "c.d"
			if n%5 == 0 {
				typ = "a.b"
			}
			seq := r.publish(typ, "")
			waitFor(t, "all of it", func() bool {
				for id := range streams {
					st, err := r.a.State(t.Context(), id)
					if err != nil || st.Backlog > 0 || st.Outstanding > 0 {
						return false
					}
				}
				return streams["all"].count() >= int(seq)
			})
		}
		time.Sleep(1200 * time.Millisecond) // the gateways look once more
		for id, s := range streams {
			if n := missedOf(t, r.a, id); n != 0 || s.gaps() != 0 {
				t.Errorf("%s: %d missed, told of %d", id, n, s.gaps())
			}
			s.stop()
		}
	})
}

// Events that are handed out again after the log dropped them are missed one by
// one.
func TestRetentionTakesWhatWaitsForARetry(t *testing.T) {
	t.Parallel()
	r, _ := short(t, false)
	r.create("crm", subscription.Settings{})
	r.publishN(3)
	delay := 2 * time.Second
	for _, d := range pull(t, r.a, "crm", 3) {
		settle(t, r.a, subscription.Settlement{Token: d.Token, Verdict: subscription.Retry, Delay: &delay})
	}
	r.publishN(20)
	waitFor(t, "what was never handed out", func() bool { return missedOf(t, r.a, "crm") >= 10 })
	s := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
	waitFor(t, "the rest", func() bool { return s.count() == 10 })
	waitFor(t, "the gap", func() bool { return s.gaps() == 13 })
	s.stop()
}

// A gap that cannot be written down is written when that can be done again: what
// the queue has jumped over nobody notices once more.
func TestAGapThatCannotBeKeptIsTriedAgain(t *testing.T) {
	t.Parallel()
	r, _ := short(t, true)
	r.create("crm", subscription.Settings{MaxOutstandingEvents: 5, AckDeadline: time.Hour})
	s := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
	defer s.stop()
	r.publishN(5)
	waitFor(t, "the first", func() bool { return s.count() == 5 })
	nc, err := nats.Connect(r.cluster.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bound := func(bytes int32) { // the largest value that the bucket takes
		st, err := js.Stream(t.Context(), "KV_HOOKSTREAM_SUBSCRIPTIONS")
		if err != nil {
			t.Fatal(err)
		}
		cfg := st.CachedInfo().Config
		cfg.MaxMsgSize = bytes
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	bound(1)
	r.publishN(55)
	ack(t, r.a, s.deliveries()...)
	waitFor(t, "what comes after the gap", func() bool { return s.count() == 10 })
	time.Sleep(1500 * time.Millisecond) // it is tried in vain
	if n := missedOf(t, r.a, "crm"); n != 0 {
		t.Errorf("%d are kept as missed, and nothing can be written", n)
	}
	bound(-1)
	waitFor(t, "the gap", func() bool { return s.gaps() == 45 && missedOf(t, r.a, "crm") == 45 })
}

// A record that is no event is told as a gap of one, once, whatever the order.
func TestWhatIsNoEventIsAGapOfOne(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		for n, order := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
			id := fmt.Sprintf("crm-%d", order)
			r.create(id, subscription.Settings{Ordering: order})
			s := attach(r.a, id, subscription.ConsumerOptions{}, nil)
			defer s.stop()
			entry := eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: id, Data: []byte{0xff}}
			if _, err := r.log.Append(t.Context(), entry); err != nil {
				t.Fatal(err)
			}
			r.publishN(1)
			// The second finds that of the first as well.
			want := int64(1 + n)
			waitFor(t, "the gap", func() bool { return s.gaps() == want && s.count() == int(want) })
			if n := missedOf(t, r.a, id); n != want {
				t.Errorf("%s missed %d, want %d", id, n, want)
			}
		}
	})
}

// A record that the log has lost is a gap of one for every subscription that is not
// past it, whatever it selects, over restarts, and told once.
func TestALostRecordIsAGapWhateverIsSelected(t *testing.T) {
	onShort(t, func(t *testing.T, r *rig, restart func()) {
		kinds := map[string]subscription.Settings{
			"all":      {},
			"type":     {Selector: selector(`types: "signature_request.done"`)},
			"filter":   {Selector: selector(`filter: "event.type == 'signature_request.done'"`)},
			"ordered":  {Ordering: subscription.OrderByEntity, Selector: selector(`types: "signature_request.done"`)},
			"past":     {Selector: selector(`types: "signature_request.done"`)},
			"past-all": {},
		}
		for id, s := range kinds {
			r.create(id, s)
		}
		r.publishN(8)
		for _, id := range []string{"past", "past-all"} {
			ack(t, r.a, pull(t, r.a, id, 8)...)
		}
		if r.cluster != nil {
			removeEvent(t, r.cluster.URL(), 5)
		} else {
			r.damaged = func() { damageEvent(t, r.dir, 5) }
		}
		restart()
		for id := range kinds {
			want, events := int64(1), 7
			if strings.HasPrefix(id, "past") {
				want, events = 0, 0
			}
			waitFor(t, "the gap of "+id, func() bool { return missedOf(t, r.a, id) == want })
			s := attach(r.a, id, subscription.ConsumerOptions{}, nil)
			waitFor(t, "the events of "+id, func() bool { return s.count() == events && s.gaps() == want })
			ack(t, r.a, s.deliveries()...)
			s.stop()
			waitFor(t, "what was told to be kept", func() bool { return r.a.ToldKept(id) == want })
		}
		r.damaged = nil
		restart()
		time.Sleep(1200 * time.Millisecond) // the gateways look once more
		for id := range kinds {
			want := int64(1)
			if strings.HasPrefix(id, "past") {
				want = 0
			}
			if n := missedOf(t, r.a, id); n != want || r.a.UntoldGap(t.Context(), id).Missed != 0 {
				t.Errorf("%s: %d are missed after another restart, want %d, or it is told again", id, n, want)
			}
		}
	})
}

// removeEvent has a cluster lose a record.
func removeEvent(t *testing.T, url string, seq uint64) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), "HOOKSTREAM_EVENTS")
	if err == nil {
		err = st.DeleteMsg(t.Context(), seq)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// damageEvent changes a byte of a record that nobody has open.
func damageEvent(t *testing.T, dir string, n int) {
	t.Helper()
	path := filepath.Join(dir, "jetstream/$G/streams/HOOKSTREAM_EVENTS/msgs/1.blk")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, fmt.Appendf(nil, `{"n":%d}`, n))
	if at < 0 {
		t.Fatalf("no event %d in %s", n, path)
	}
	b[at+1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
