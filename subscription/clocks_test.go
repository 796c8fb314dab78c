package subscription_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// clocks are those of the machines that gateways run on. Each is wrong by as much as
// the seed says, and another one in the next life of its gateway.
type clocks struct {
	mu   sync.Mutex
	rand *rand.Rand
	of   []*machine // by gateway
}

// wrongBy bounds how far a clock is wrong.
const wrongBy = 10 * time.Minute

// machine is one machine's clock.
type machine struct{ ahead atomic.Int64 }

func (m *machine) now() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }

func newClocks(seed uint64) *clocks { return &clocks{rand: rand.New(rand.NewPCG(seed, 5))} }

// begin sets the options of a life of gateway n.
func (c *clocks) begin(n int, o *subscription.Options) {
	c.mu.Lock()
	for len(c.of) <= n {
		c.of = append(c.of, nil)
	}
	c.of[n] = new(machine)
	o.GoBy(c.of[n].now)
	c.mu.Unlock()
	c.jump(n)
}

// jump sets the clock of gateway n anew.
func (c *clocks) jump(n int) {
	c.mu.Lock()
	ahead := time.Duration(c.rand.Int64N(int64(2*wrongBy))) - wrongBy
	c.mu.Unlock()
	c.set(n, ahead)
}

func (c *clocks) set(n int, ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[n].ahead.Store(int64(ahead))
}

// wrongClocks are how far a clock is wrong in tests of one.
var wrongClocks = []time.Duration{-wrongBy, 0, wrongBy}

// A gateway that dies takes the number of its last delivery with it, and who hands the
// event out next may have a clock that is late.
func TestHandOutsGrowWhateverTheClock(t *testing.T) {
	for _, embedded := range []bool{false, true} {
		t.Run(fmt.Sprintf("embedded %v", embedded), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(1, embedded)
				defer m.close()
				m.clocks.set(0, wrongBy)
				sub := m.created(t, subscription.Settings{AckDeadline: 10 * time.Second})
				m.published(t, "")
				first := pull(t, &gateway{Manager: m.alive[0].Manager}, sub.ID, 1)[0]
				m.fault("kill", 0)
				next := 0
				if !embedded {
					next = 1
				}
				m.clocks.set(next, -wrongBy)
				if again := pull(t, &gateway{Manager: m.alive[next].Manager}, sub.ID, 1)[0]; again.HandOut <= first.HandOut {
					t.Errorf("hand-out %d comes after %d", again.HandOut, first.HandOut)
				}
			})
		})
	}
}

// A token of a gateway that is dead is good elsewhere until its deadline and not
// longer, whatever their clocks say.
func TestTokensOfTheDeadWhateverTheClock(t *testing.T) {
	for _, ahead := range wrongClocks {
		t.Run(ahead.String(), func(t *testing.T) {
			inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
				m.clocks.set(0, ahead)
				m.clocks.set(1, 0)
				sub := m.created(t, subscription.Settings{AckDeadline: 20 * time.Second})
				m.published(t, "")
				m.published(t, "")
				ds := pull(t, at(0), sub.ID, 2)
				m.alive[0].engine.Close()
				time.Sleep(15 * time.Second) // it is gone
				ack(t, at(1), ds[0])
				s := subscription.Settlement{Token: ds[1].Token, Verdict: subscription.Extend, Extension: time.Second}
				r := settle(t, at(1), s)
				if left := time.Until(r.Deadline); r.Outcome != subscription.Done || left <= 0 || left > time.Second {
					t.Errorf("extending: outcome %d, for %s", r.Outcome, left)
				}
				time.Sleep(10 * time.Second)
				s = subscription.Settlement{Token: r.Token, Verdict: subscription.Ack}
				if o := settle(t, at(1), s).Outcome; o != subscription.Expired {
					t.Errorf("after the deadline: outcome %d", o)
				}
			})
		})
	}
}

// The answer of one gateway to another says how long it is to a deadline.
func TestExtensionElsewhereWhateverTheClock(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
		sub := m.created(t, subscription.Settings{})
		m.published(t, "")
		d := pull(t, at(0), sub.ID, 1)[0]
		s := subscription.Settlement{Token: d.Token, Verdict: subscription.Extend, Extension: 40 * time.Second}
		probe, err := m.alive[1].engine.Bus("probe")
		if err != nil {
			t.Fatal(err)
		}
		question, _ := json.Marshal([]subscription.Settlement{s})
		answer, err := probe.Ask(t.Context(), at(0).Gateway(), subscription.AskSettle, question)
		var said []struct {
			Outcome subscription.Outcome
			Left    time.Duration
		}
		if err != nil || json.Unmarshal(answer, &said) != nil || len(said) != 1 || said[0].Outcome != subscription.Done || said[0].Left <= 30*time.Second {
			t.Fatalf("%s, %v", answer, err)
		}

		m.alive[0].engine.Close()
		wrong, err := m.alive[2].engine.Bus(at(0).Gateway()) // answers in its place
		if err == nil {
			err = wrong.Serve(subscription.AskSettle, func([]byte) []byte {
				out, _ := json.Marshal([]map[string]any{{"Outcome": subscription.Done, "Deadline": time.Now().Add(-wrongBy), "Left": 30 * time.Second}})
				return out
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		r := settle(t, at(1), s)
		if left := time.Until(r.Deadline); r.Outcome != subscription.Done || left != 30*time.Second {
			t.Errorf("outcome %d, for %s", r.Outcome, left)
		}
	})
}

// A queue that is being made when the sweep looks is not swept, whatever anybody's
// clock says: it is when it was there at the sweep before, too.
func TestSweepKeepsWhatIsBeingMade(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory, _ func(int) *gateway) {
		engine := m.alive[0].engine
		time.Sleep(10*time.Minute - time.Second)
		made := queue.Config{Name: "sub-stray-1-1", Hold: time.Minute}
		if err := engine.MakeQueue(context.Background(), made); err != nil {
			t.Fatal(err)
		}
		for _, want := range []bool{true, false} {
			time.Sleep(2 * time.Second)
			names, err := engine.QueueNames(context.Background(), "sub-")
			if err != nil || slices.Contains(names, made.Name) != want {
				t.Errorf("there are %v, %v", names, err)
			}
			time.Sleep(10*time.Minute - 2*time.Second)
		}
	})
}
