package subscription_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// late has what is handed out with some turns arrive after what was handed out later.
type late struct {
	subscription.Engine
	turn func(turn uint64) bool
}

func (l late) Pull(c queue.Config, pin subscription.Pin, receive func(queue.Hand), ended func()) (subscription.Puller, error) {
	var mu sync.Mutex
	one := func(h queue.Hand) {
		mu.Lock()
		defer mu.Unlock()
		receive(h)
	}
	return l.Engine.Pull(c, pin, func(h queue.Hand) {
		if l.turn(h.Turn) {
			time.AfterFunc(20*time.Millisecond, func() { one(h) })
			return
		}
		one(h)
	}, ended)
}

// onFive runs a test on engines that own their time, with a subscription of each kind
// that has room for five events and was handed them, and a log that keeps ten.
func onFive(t *testing.T, wrap func(int, subscription.Engine) subscription.Engine, test func(t *testing.T, g *gateway, s *stream, publish func(n int))) {
	t.Helper()
	for _, embedded := range []bool{true, false} {
		for name, sel := range map[string]string{"all": ``, "a type": `types: "signature_request.done"`} {
			t.Run(fmt.Sprintf("embedded %v, %s", embedded, name), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { handedFive(t, embedded, sel, wrap, test) })
			})
		}
	}
}

func handedFive(t *testing.T, embedded bool, sel string, wrap func(int, subscription.Engine) subscription.Engine, test func(t *testing.T, g *gateway, s *stream, publish func(n int))) {
	m := emptyMemory(1, embedded)
	m.wrap = wrap
	m.begin()
	defer m.close()
	m.created(t, subscription.Settings{Selector: selector(sel), MaxOutstandingEvents: 5, AckDeadline: time.Hour, BackoffMin: time.Millisecond})
	var last uint64
	publish := func(n int) {
		for range n {
			last = m.published(t, "a")
		}
		m.drop(max(last, 10) - 10)
	}
	publish(5)
	g := &gateway{Manager: m.alive[0].Manager}
	s := attach(g, subID, subscription.ConsumerOptions{}, nil)
	defer s.stop()
	time.Sleep(time.Minute + 300*time.Millisecond) // between two looks of the gateways
	if s.count() != 5 {
		t.Fatalf("%d events came, want five", s.count())
	}
	test(t, g, s, publish)
}

// ackedFrom acknowledges all but the first n events that a stream was handed.
func ackedFrom(t *testing.T, g *gateway, s *stream, n int) {
	t.Helper()
	ack(t, g, s.deliveries()[n:]...)
}

// What the queue jumps over is a gap, in whichever order the messages arrive that it
// lies between.
func TestAJumpIsAGapInAnyOrderOfArrival(t *testing.T) {
	for name, turn := range map[string]func(uint64) bool{
		"in order":             func(uint64) bool { return false },
		"the first is late":    func(turn uint64) bool { return turn == 6 },
		"every other is late":  func(turn uint64) bool { return turn%2 == 0 },
		"all but one are late": func(turn uint64) bool { return turn > 5 && turn != 8 },
		"the one before it":    func(turn uint64) bool { return turn == 10 },
	} {
		t.Run(name, func(t *testing.T) {
			wrap := func(_ int, e subscription.Engine) subscription.Engine { return late{e, turn} }
			onFive(t, wrap, func(t *testing.T, g *gateway, s *stream, publish func(int)) {
				publish(55) // 51 to 60 are kept
				ackedFrom(t, g, s, 0)
				time.Sleep(50 * time.Millisecond) // no gateway has looked since: the queue jumps
				if s.count() != 10 {
					t.Fatalf("%d events came, want ten", s.count())
				}
				time.Sleep(30 * time.Second)
				wantGap(t, g, s, 45, 45)
				publish(50) // 101 to 110 are kept, 56 to 60 were not handed out either
				ackedFrom(t, g, s, 5)
				time.Sleep(50 * time.Millisecond)
				if s.count() != 15 {
					t.Fatalf("%d events came, want 15", s.count())
				}
				time.Sleep(30 * time.Second)
				wantGap(t, g, s, 90, 90)
			})
		})
	}
}

// forgetful cannot keep the first that it is to keep of what was missed.
type forgetful struct{ subscription.Engine }

func (f forgetful) Bucket(ctx context.Context, name string) (eventlog.Bucket, error) {
	b, err := f.Engine.Bucket(ctx, name)
	return &forgetfulBucket{Bucket: b}, err
}

type forgetfulBucket struct {
	eventlog.Bucket
	failed atomic.Bool
}

func (b *forgetfulBucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	if strings.HasPrefix(key, "_missed.") && b.failed.CompareAndSwap(false, true) {
		return 0, eventlog.ErrUnavailable
	}
	return b.Bucket.Create(ctx, key, value)
}

// A gap that is kept after another one that lies behind it is counted all the same.
func TestAGapThatIsKeptLateIsCounted(t *testing.T) {
	wrap := func(_ int, e subscription.Engine) subscription.Engine { return forgetful{e} }
	onFive(t, wrap, func(t *testing.T, g *gateway, s *stream, publish func(int)) {
		publish(55)
		ackedFrom(t, g, s, 0)
		time.Sleep(50 * time.Millisecond)
		publish(55) // what cannot be kept is tried again in a second, and the next look is sooner
		time.Sleep(30 * time.Second)
		wantGap(t, g, s, 45+50, 45+50)
	})
}

// What the queue has jumped over is a gap though the consumer left before what comes
// after it was looked at, or with it.
func TestAJumpIsAGapThoughNobodyIsThereAnyMore(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			onFive(t, nil, func(t *testing.T, g *gateway, s *stream, publish func(int)) {
				publish(55)
				ackedFrom(t, g, s, 0)
				time.Sleep(after)
				s.stop()
				time.Sleep(30 * time.Second)
				next := acked(t, g)
				defer next.stop()
				time.Sleep(30 * time.Second)
				if n := missedOf(t, g, subID); n != 45 || s.gaps()+next.gaps() != 45 {
					t.Errorf("%d are missed, want 45; told of %d and %d", n, s.gaps(), next.gaps())
				}
			})
		})
	}
}

// What is handed out again between two new events hides no jump, and is none.
func TestAJumpBehindARetryIsAGap(t *testing.T) {
	onFive(t, nil, func(t *testing.T, g *gateway, s *stream, publish func(int)) {
		none := time.Duration(0)
		for _, d := range s.deliveries() {
			settle(t, g, subscription.Settlement{Token: d.Token, Verdict: subscription.Retry, Delay: &none})
		}
		time.Sleep(200 * time.Millisecond)
		if s.count() != 10 {
			t.Fatalf("%d deliveries came, want ten", s.count())
		}
		publish(55)
		ackedFrom(t, g, s, 5)
		time.Sleep(50 * time.Millisecond)
		var seqs []uint64
		for _, d := range s.deliveries()[10:] {
			seqs = append(seqs, d.Event.Seq())
		}
		if slices.Sort(seqs); !slices.Equal(seqs, []uint64{51, 52, 53, 54, 55}) {
			t.Fatalf("the events %d came", seqs)
		}
		time.Sleep(30 * time.Second)
		wantGap(t, g, s, 45, 45)
	})
}

// What a selector of types passes by is no gap, however rare the events are that it
// selects, where somebody takes them.
func TestWhatIsPassedByIsNoGap(t *testing.T) {
	for _, embedded := range []bool{true, false} {
		t.Run(fmt.Sprintf("embedded %v", embedded), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(1, embedded)
				defer m.close()
				m.created(t, subscription.Settings{Selector: selector(`types: "signature_request.done"`)})
				g := &gateway{Manager: m.alive[0].Manager}
				s := acked(t, g)
				defer s.stop()
				for n := range 240 { // of two a second, the log keeps twelve
					typ := "signer.done"
					if n%60 == 0 {
						typ = "signature_request.done"
					}
					last, err := m.publish(typ, "a")
					if err != nil {
						t.Fatal(err)
					}
					m.drop(max(last, 24) - 24)
					time.Sleep(500 * time.Millisecond)
				}
				if wantGap(t, g, s, 0, 0); s.count() != 4 {
					t.Errorf("%d events came, want four", s.count())
				}
			})
		})
	}
}

// The same of the real engine, of every kind of subscription.
func TestTheRealQueueJumps(t *testing.T) {
	kinds := map[string]subscription.Settings{
		"all":     {},
		"type":    {Selector: selector(`types: "signature_request.done"`)},
		"source":  {Selector: selector(`sources: "sources/billing"`)},
		"filter":  {Selector: selector(`filter: "event.type == 'signature_request.done'"`)},
		"ordered": {Ordering: subscription.OrderByEntity},
		"both":    {Ordering: subscription.OrderByEntity, Selector: selector(`types: "signature_request.done"`)},
	}
	natstest.Bubble(t, func(t *testing.T) {
		r, _ := short(t, false)
		streams := make(map[string]*stream)
		for id, s := range kinds {
			s.MaxOutstandingEvents, s.AckDeadline = 5, time.Hour
			r.create(id, s)
			streams[id] = attach(r.a, id, subscription.ConsumerOptions{MaxEvents: 5}, nil)
		}
		r.publishN(5)
		time.Sleep(time.Minute + 300*time.Millisecond)
		r.publishN(200) // an ordered one holds some of them
		for id, s := range streams {
			acked := 0
			for range 60 {
				some := s.deliveries()[acked:]
				ack(t, r.a, some...)
				acked += len(some)
				time.Sleep(time.Second)
			}
			s.stop()
			lost := int64(205 - s.count())
			if n := missedOf(t, r.a, id); s.count() < 15 || n != lost || s.gaps() != lost {
				t.Errorf("%s: %d of 205 events came, %d are missed, told of %d", id, s.count(), n, s.gaps())
			}
		}
	})
}
