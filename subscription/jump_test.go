package subscription_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// late has what is handed out with some turns arrive after what was handed out later.
type late struct {
	subscription.Engine
	turn func(turn uint64) bool
}

func (l late) Pull(c queue.Config, pin subscription.Pin, take func(queue.Hand), ended func()) (subscription.Puller, error) {
	var mu sync.Mutex
	one := func(h queue.Hand) {
		mu.Lock()
		defer mu.Unlock()
		take(h)
	}
	return l.Engine.Pull(c, pin, func(h queue.Hand) {
		if l.turn(h.Turn) {
			time.AfterFunc(20*time.Millisecond, func() { one(h) })
			return
		}
		one(h)
	}, ended)
}

// onFive runs a test on an engine that owns its time, with a subscription that has room
// for five events and was handed them, and a log that keeps ten: lost drops what is
// before those.
func onFive(t *testing.T, embedded bool, wrap func(int, subscription.Engine) subscription.Engine, test func(t *testing.T, m *memory, g *gateway, s *stream, publish func(n int))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := emptyMemory(1, embedded)
		m.wrap = wrap
		m.begin()
		defer m.close()
		m.created(t, subscription.Settings{MaxOutstandingEvents: 5, AckDeadline: time.Hour, BackoffMin: time.Millisecond})
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
		test(t, m, g, s, publish)
	})
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
		for _, embedded := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, embedded %v", name, embedded), func(t *testing.T) {
				t.Parallel()
				wrap := func(_ int, e subscription.Engine) subscription.Engine { return late{e, turn} }
				onFive(t, embedded, wrap, func(t *testing.T, _ *memory, g *gateway, s *stream, publish func(int)) {
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
}

// forgetful cannot keep what was missed as long as it is told so.
type forgetful struct {
	subscription.Engine
	mu  *sync.Mutex
	off *bool
}

func (f forgetful) Bucket(ctx context.Context, name string) (eventlog.Bucket, error) {
	b, err := f.Engine.Bucket(ctx, name)
	return forgetfulBucket{b, f}, err
}

type forgetfulBucket struct {
	eventlog.Bucket
	forgetful
}

func (b forgetfulBucket) fails(key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if *b.off && strings.HasPrefix(key, "_missed.") {
		return eventlog.ErrUnavailable
	}
	return nil
}

func (b forgetfulBucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	if err := b.fails(key); err != nil {
		return 0, err
	}
	return b.Bucket.Create(ctx, key, value)
}

func (b forgetfulBucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := b.fails(key); err != nil {
		return 0, err
	}
	return b.Bucket.Update(ctx, key, value, revision)
}

// A gap that is kept after another one that lies behind it is counted all the same.
func TestAGapThatIsKeptLateIsCounted(t *testing.T) {
	for _, embedded := range []bool{true, false} {
		t.Run(fmt.Sprintf("embedded %v", embedded), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var off bool
			can := func(keep bool) {
				mu.Lock()
				defer mu.Unlock()
				off = !keep
			}
			wrap := func(_ int, e subscription.Engine) subscription.Engine { return forgetful{e, &mu, &off} }
			onFive(t, embedded, wrap, func(t *testing.T, _ *memory, g *gateway, s *stream, publish func(int)) {
				publish(55)
				can(false)
				ackedFrom(t, g, s, 0)
				time.Sleep(50 * time.Millisecond)
				// It is tried again in a second, and the next look is sooner.
				can(true)
				publish(55)
				time.Sleep(30 * time.Second)
				wantGap(t, g, s, 45+50, 45+50)
			})
		})
	}
}

// What the queue has jumped over is a gap though the consumer left before what comes
// after it was looked at, or with it.
func TestAJumpIsAGapThoughNobodyIsThereAnyMore(t *testing.T) {
	for _, embedded := range []bool{true, false} {
		for _, after := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond} {
			t.Run(fmt.Sprintf("embedded %v, after %s", embedded, after), func(t *testing.T) {
				t.Parallel()
				onFive(t, embedded, nil, func(t *testing.T, _ *memory, g *gateway, s *stream, publish func(int)) {
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
}

// What is handed out again between two new events hides no jump, and is none.
func TestAJumpBehindARetryIsAGap(t *testing.T) {
	for _, embedded := range []bool{true, false} {
		t.Run(fmt.Sprintf("embedded %v", embedded), func(t *testing.T) {
			t.Parallel()
			onFive(t, embedded, nil, func(t *testing.T, _ *memory, g *gateway, s *stream, publish func(int)) {
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
		})
	}
}
