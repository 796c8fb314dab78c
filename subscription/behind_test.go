package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/subscription"
)

var verdicts = []subscription.Verdict{
	subscription.Ack, subscription.Skip, subscription.Retry, subscription.Release, subscription.Park, subscription.Extend,
}

// outcomes says a verdict of each delivery once, one verdict after the other, through a
// gateway.
func outcomes(g *gateway, id string, ds []subscription.Delivery) (out []subscription.Outcome) {
	var all []subscription.Settlement
	for i, d := range ds {
		all = append(all, subscription.Settlement{Token: d.Token, Verdict: verdicts[i%len(verdicts)]})
	}
	for _, r := range g.Settle(context.Background(), id, all) {
		out = append(out, r.Outcome)
	}
	return out
}

func all(o subscription.Outcome, n int) []subscription.Outcome {
	return slices.Repeat([]subscription.Outcome{o}, n)
}

// done is what becomes of the verdicts.
var done = []subscription.Outcome{
	subscription.Done, subscription.Done, subscription.Done, subscription.Done, subscription.Parked, subscription.Done,
}

// silenced is the engine of a gateway to which nobody answers what the bucket holds while
// it is silent, or a leader that is cut off and has heard of nothing itself.
type silenced struct {
	subscription.Engine
	silent, cut *atomic.Bool
	reads       *atomic.Int64
}

func (s silenced) Bucket(ctx context.Context, name string) (eventlog.Bucket, error) {
	b, err := s.Engine.Bucket(ctx, name)
	return silencedBucket{b, s}, err
}

type silencedBucket struct {
	eventlog.Bucket
	s silenced
}

func (b silencedBucket) Now(ctx context.Context, key string) (eventlog.Change, error) {
	b.s.reads.Add(1)
	if b.s.silent.Load() {
		return eventlog.Change{}, fmt.Errorf("%w: nobody answers", eventlog.ErrUnavailable)
	}
	if b.s.cut.Load() {
		return eventlog.Change{Key: key}, nil
	}
	return b.Bucket.Now(ctx, key)
}

func (b silencedBucket) Latest(ctx context.Context, after uint64, fn func(eventlog.Change)) error {
	b.s.reads.Add(1)
	if b.s.silent.Load() {
		return fmt.Errorf("%w: nobody answers", eventlog.ErrUnavailable)
	}
	if b.s.cut.Load() {
		return nil
	}
	return b.Bucket.Latest(ctx, after, fn)
}

func (b silencedBucket) Proof() func(context.Context) error {
	proven := b.Bucket.Proof()
	return func(ctx context.Context) error {
		if b.s.cut.Load() {
			return eventlog.ErrUnavailable
		}
		return proven(ctx)
	}
}

// behind runs a test with three gateways, of which the first may be silenced.
func behind(t *testing.T, test func(t *testing.T, m *memory, at func(int) *gateway, s silenced)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := emptyMemory(1, false)
		s := silenced{silent: new(atomic.Bool), cut: new(atomic.Bool), reads: new(atomic.Int64)}
		m.wrap = func(n int, e subscription.Engine) subscription.Engine {
			if n > 0 {
				return e
			}
			s.Engine = e
			return s
		}
		m.begin()
		defer m.close()
		test(t, m, func(n int) *gateway { return &gateway{Manager: m.alive[n].Manager} }, s)
	})
}

// A gateway that has not heard of a subscription yet is no reason to refuse what its
// consumers say: it asks the bucket, and while nobody answers it is to be said again.
func TestATokenOfASubscriptionThatWasNotHeardOf(t *testing.T) {
	for _, id := range []string{subID, ""} {
		t.Run("id "+id, func(t *testing.T) {
			behind(t, func(t *testing.T, m *memory, at func(int) *gateway, s silenced) {
				m.fault("untell", 0)
				sub, err := m.alive[1].Create(t.Context(), subID, subscription.Settings{}, subscription.Position{Earliest: true})
				if err != nil {
					t.Fatal(err)
				}
				for range verdicts {
					m.published(t, "")
				}
				got := pull(t, at(1), sub.ID, len(verdicts))
				for what, now := range map[string]*atomic.Bool{"nobody answers": s.silent, "one answers who is cut off": s.cut} {
					now.Store(true)
					if o := outcomes(at(0), id, got); !slices.Equal(o, all(subscription.Unavailable, len(verdicts))) {
						t.Errorf("outcomes %v while %s", o, what)
					}
					if _, err := at(0).Find(t.Context(), sub.ID); !errors.Is(err, eventlog.ErrUnavailable) {
						t.Errorf("the subscription while %s: %v", what, err)
					}
					now.Store(false)
				}
				if o := outcomes(at(0), id, got); !slices.Equal(o, done) {
					t.Errorf("outcomes %v", o)
				}
			})
		})
	}
}

// So it is with a generation, whose gateway is dead.
func TestATokenOfAGenerationThatWasNotHeardOf(t *testing.T) {
	for _, id := range []string{subID, ""} {
		t.Run("id "+id, func(t *testing.T) {
			behind(t, func(t *testing.T, m *memory, at func(int) *gateway, s silenced) {
				m.created(t, subscription.Settings{AckDeadline: 5 * time.Minute})
				m.fault("untell", 0)
				if _, err := m.alive[1].Seek(t.Context(), subID, "", subscription.Position{Earliest: true}); err != nil {
					t.Fatal(err)
				}
				for range verdicts {
					m.published(t, "")
				}
				got := pull(t, at(1), subID, len(verdicts))
				m.alive[1].engine.Close()
				time.Sleep(20 * time.Second) // nobody has heard of it for a while
				s.silent.Store(true)
				if o := outcomes(at(0), id, got); !slices.Equal(o, all(subscription.Unavailable, len(verdicts))) {
					t.Errorf("outcomes %v while nobody answers", o)
				}
				s.silent.Store(false)
				if o := outcomes(at(0), id, got); !slices.Equal(o, done) {
					t.Errorf("outcomes %v", o)
				}
				// What is over is known to be.
				if _, err := m.alive[2].Seek(t.Context(), subID, "", subscription.Position{Earliest: true}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if o := outcomes(at(2), id, got); !slices.Equal(o, all(subscription.Expired, len(verdicts))) {
					t.Errorf("outcomes %v of a generation that is over", o)
				}
			})
		})
	}
}

// A gateway that still hands out the generation before holds nothing of this one, be it
// the same event.
func TestWhatIsHeldOfAFormerGenerationClaimsNothing(t *testing.T) {
	behind(t, func(t *testing.T, m *memory, at func(int) *gateway, _ silenced) {
		m.created(t, subscription.Settings{AckDeadline: 5 * time.Minute})
		for range verdicts {
			m.published(t, "")
		}
		before := pull(t, at(0), subID, len(verdicts))
		m.fault("untell", 0)
		if _, err := m.alive[1].Seek(t.Context(), subID, "", subscription.Position{Earliest: true}); err != nil {
			t.Fatal(err)
		}
		got := pull(t, at(1), subID, len(verdicts))
		if !slices.Equal(seqsOf(before), seqsOf(got)) {
			t.Fatalf("events %v, then %v", seqsOf(before), seqsOf(got))
		}
		m.alive[1].engine.Close()
		time.Sleep(20 * time.Second)
		if o := outcomes(at(2), subID, got); !slices.Equal(o, done) {
			t.Errorf("outcomes %v", o)
		}
	})
}

// What is said of a subscription that is gone costs a question now and then, however
// much it is.
func TestAFloodOfTokensOfASubscriptionThatIsGone(t *testing.T) {
	behind(t, func(t *testing.T, m *memory, at func(int) *gateway, s silenced) {
		m.created(t, subscription.Settings{})
		const events, callers = 100, 50
		for range events {
			m.published(t, "")
		}
		got := pull(t, at(1), subID, events)
		if err := m.alive[1].Delete(t.Context(), subID, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s.reads.Store(0)
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if o := outcomes(at(0), subID, got); !slices.Equal(o, all(subscription.Gone, events)) {
					t.Errorf("outcomes %v", o)
				}
			})
		}
		wg.Wait()
		if n := s.reads.Load(); n != 1 {
			t.Errorf("the bucket was asked %d times, want once", n)
		}
	})
}

// A gateway that ends gives what pulls were handed to nobody: it can be settled
// elsewhere, and is not over.
func TestAGatewayThatEndsRefusesNothing(t *testing.T) {
	behind(t, func(t *testing.T, m *memory, at func(int) *gateway, _ silenced) {
		m.created(t, subscription.Settings{AckDeadline: 5 * time.Minute})
		for range verdicts {
			m.published(t, "")
		}
		got := pull(t, at(2), subID, len(verdicts))
		m.alive[2].Manager.Close()
		if o := outcomes(at(2), subID, got); !slices.Equal(o, all(subscription.Unavailable, len(verdicts))) {
			t.Errorf("outcomes %v", o)
		}
		time.Sleep(20 * time.Second)
		if o := outcomes(at(1), subID, got); !slices.Equal(o, done) {
			t.Errorf("outcomes %v elsewhere", o)
		}
	})
}

// The real engines, of a subscription and of a generation.
func TestATokenOfWhatWasNotHeardOfIsSettled(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		known := r.create("known", subscription.Settings{})
		g, _, _ := openUninformed(t, r, known)
		r.create("crm", subscription.Settings{})
		for range verdicts {
			r.publish("", "")
		}
		if o := outcomes(g, "crm", pull(t, r.a, "crm", len(verdicts))); !slices.Equal(o, done) {
			t.Errorf("outcomes %v", o)
		}
		if _, err := r.a.Seek(t.Context(), "known", "", subscription.Position{Earliest: true}); err != nil {
			t.Fatal(err)
		}
		got := pull(t, r.a, "known", len(verdicts))
		for i, d := range got {
			// Who does not answer gives no reason to say that it was for nothing.
			if o := settleAs(t, g, "known", d, verdicts[i]); o != done[i] {
				t.Errorf("verdict %d: outcome %d", verdicts[i], o)
			}
		}
	})
}

func settleAs(t *testing.T, g *gateway, id string, d subscription.Delivery, v subscription.Verdict) subscription.Outcome {
	t.Helper()
	return g.Settle(t.Context(), id, []subscription.Settlement{{Token: d.Token, Verdict: v}})[0].Outcome
}

// Who tells a home of a change may be overtaken by who tells of the next: a home that went
// back to a generation that is over would wait for ever for its queue.
func TestAChangeThatIsToldLate(t *testing.T) {
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		t.Run(fmt.Sprint("ordering ", ordering), func(t *testing.T) {
			inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
				old := m.created(t, subscription.Settings{Ordering: ordering})
				count, stop := consume(m.alive[0].Manager, subscription.Ack)
				defer stop()
				time.Sleep(time.Minute)
				if _, err := m.alive[0].Seek(t.Context(), subID, "", subscription.Position{Earliest: true}); err != nil {
					t.Fatal(err)
				}
				at(0).TellHome(old)
				m.published(t, "a")
				if time.Sleep(time.Minute); count() != 1 {
					t.Error("nobody is handed the event")
				}
			})
		})
	}
}

// A home at rest hears at once that its queue is gone, by a seek that its gateway was not
// told of, whatever it waits for.
func TestAHomeAtRestWhoseQueueIsGone(t *testing.T) {
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		for _, waits := range []string{"for the first event", "for the next event", "for room", "for a renewal", "for another gateway"} {
			t.Run(fmt.Sprintf("ordering %d, waits %s", ordering, waits), func(t *testing.T) {
				inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) { testRestsWithoutQueue(t, m, at, ordering, waits) })
			})
		}
	}
}

func testRestsWithoutQueue(t *testing.T, m *memory, at func(int) *gateway, ordering subscription.Ordering, waits string) {
	m.created(t, subscription.Settings{Ordering: ordering, AckDeadline: 10 * time.Minute, MaxOutstandingEvents: 1})
	if waits == "for another gateway" {
		_, stop := consume(m.alive[2].Manager, subscription.Ack)
		defer stop()
		m.published(t, "a")
		time.Sleep(time.Second)
	}
	c := attach(at(0), subID, subscription.ConsumerOptions{}, nil)
	defer c.stop()
	had := 0
	if waits == "for the next event" || waits == "for room" || waits == "for a renewal" {
		time.Sleep(time.Second)
		m.published(t, "a")
		waitFor(t, "the first event", func() bool { return c.count() == 1 })
		had = 1
	}
	switch waits {
	case "for the next event":
		ack(t, at(0), c.deliveries()...)
	case "for a renewal":
		extended(t, at(0), c.deliveries()[0], time.Hour)
	}
	time.Sleep(time.Minute)
	m.fault("untell", 0)
	if _, err := m.alive[1].Seek(t.Context(), subID, "", subscription.Position{}); err != nil {
		t.Fatal(err)
	}
	if waits == "for another gateway" {
		m.alive[2].engine.Close() // and nobody else is left
		time.Sleep(time.Minute)
	}
	switch waits {
	case "for room":
		settleAs(t, at(0), subID, c.deliveries()[0], subscription.Ack)
	case "for a renewal":
		time.Sleep(30 * time.Minute)
	}
	m.published(t, "b")
	if time.Sleep(3 * time.Second); c.count() != had+1 {
		t.Errorf("%d events were handed out, want %d", c.count(), had+1)
	}
}

// So it hears when somebody says a word that nobody can keep any more: the consumer is not
// told for ever to say it again. That of a subscription that is gone too.
func TestAWordWhoseQueueIsGone(t *testing.T) {
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		for _, v := range verdicts {
			for _, deleted := range []bool{false, true} {
				t.Run(fmt.Sprintf("ordering %d, verdict %d, deleted %v", ordering, v, deleted), func(t *testing.T) {
					inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
						testWordWithoutQueue(t, m, at, ordering, v, deleted)
					})
				})
			}
		}
	}
}

func testWordWithoutQueue(t *testing.T, m *memory, at func(int) *gateway, ordering subscription.Ordering, v subscription.Verdict, deleted bool) {
	m.created(t, subscription.Settings{Ordering: ordering, AckDeadline: 10 * time.Minute})
	m.published(t, "a")
	d := pull(t, at(0), subID, 1)[0]
	time.Sleep(time.Minute)
	m.fault("untell", 0)
	want := subscription.Expired
	var err error
	if deleted {
		want, err = subscription.Gone, m.alive[1].Delete(t.Context(), subID, "")
	} else {
		_, err = m.alive[1].Seek(t.Context(), subID, "", subscription.Position{})
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	settleAs(t, at(0), subID, d, v)
	time.Sleep(3 * time.Second)
	if o := settleAs(t, at(0), subID, d, v); o != want {
		t.Errorf("outcome %d, want %d", o, want)
	}
}

// The real engines say so too.
func TestAWordWhoseQueueIsGoneIsNotSaidForEver(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
			sub := r.create(fmt.Sprintf("crm%d", ordering), subscription.Settings{Ordering: ordering, AckDeadline: time.Hour})
			g, _, _ := openUninformed(t, r, sub)
			r.publish("", "")
			d := pull(t, g, sub.ID, 1)[0]
			if _, err := r.a.Seek(t.Context(), sub.ID, "", subscription.Position{}); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the word to be over", func() bool { return settleAs(t, g, sub.ID, d, subscription.Release) == subscription.Expired })
		}
	})
}
