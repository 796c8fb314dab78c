package subscription_test

import (
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/subscription"
)

// healedTime is how long nothing may be handed out after everything was healed. What
// a gateway was handed into a silent link is held for eleven seconds.
const healedTime = 15 * time.Second

// cutTwice has gateways with two consumers each that refuse a tenth of what they
// are handed, and cuts one off twice, each time for longer than what it was handed
// is held. After each heal the subscription goes on.
func cutTwice(t *testing.T, w world, ordering subscription.Ordering, kind string, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	sch := schedule{Settings: subscription.Settings{
		Ordering: ordering, AckDeadline: time.Second, MaxAttempts: 1000, BackoffMin: 10 * time.Millisecond, BackoffMax: time.Second, MaxOutstandingEvents: 1000,
	}}
	say := func(after time.Duration, do, kind string, n int) {
		sch.Steps = append(sch.Steps, step{Wait: after, Do: do, N: n, Kind: kind, Seed: r.Uint64()})
	}
	load := func(d time.Duration) {
		for range d / (100 * time.Millisecond) {
			say(100*time.Millisecond, "publish", string(rune('a'+r.IntN(20))), 1+r.IntN(3))
		}
	}
	for g := range len(w.gateways()) {
		say(0, "attach", "refusing", g)
		say(0, "attach", "refusing", g)
	}
	load(3 * time.Second)
	for range 2 {
		say(0, kind, "", r.IntN(8))
		load(time.Duration(12+r.IntN(5)) * time.Second)
		say(0, "heal", "", 0)
		load(time.Duration(3+r.IntN(15)) * time.Second)
	}
	if wrong := sch.run(w, healedTime); wrong != "" {
		t.Errorf("seed %d: %s", seed, wrong)
	}
}

// A subscription by entity stood still for minutes after it.
func TestGatewayIsCutOffTwice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(seed, false)
			defer m.close()
			cutTwice(t, m, subscription.OrderByEntity, []string{"stall", "sever"}[seed%2], seed)
		})
	}
}

// The same on a real cluster, which takes a minute: only when plays are asked for.
func TestGatewayIsReallyCutOffTwice(t *testing.T) {
	if os.Getenv("HOOKSTREAM_PLAY_SEEDS")+os.Getenv("HOOKSTREAM_PLAY_SEED") == "" {
		t.Skip("HOOKSTREAM_PLAY_SEEDS says how many")
	}
	t.Parallel()
	for _, seed := range seeds(t, 1) {
		for _, kind := range []string{"stall", "sever"} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				cutTwice(t, newActual(t, seed, startCuttable), subscription.OrderByEntity, kind, uint64(seed))
			})
		}
	}
}
