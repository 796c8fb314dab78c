package client_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/client"
	"github.com/hookstream/hookstream/internal/heavy"
)

// In HOOKSTREAM_CLIENT_SEEDS one can ask for more lives of a client, or for one by
// its seed: `100000`, `=4711`. What happens at the same instant happens in any
// order, so that a seed repeats a life closely, not always exactly.
func seeds(t *testing.T, few int) (from, to uint64) {
	t.Helper()
	asked := os.Getenv("HOOKSTREAM_CLIENT_SEEDS")
	n, err := strconv.ParseUint(strings.TrimPrefix(asked, "="), 10, 64)
	switch {
	case asked == "":
		return 0, uint64(few)
	case err != nil:
		t.Fatal(err)
	case strings.HasPrefix(asked, "="):
		return n, n + 1
	}
	return 0, n
}

// Whatever a gateway, a proxy and a network do, Run keeps its promises about each
// event (see story), extends each delivery before its deadline, and everything is
// handled in the end.
func TestRunAgainstALiar(t *testing.T) {
	from, to := seeds(t, heavy.Count(400, 120))
	var sum struct{ handled, carried, given int }
	for seed := from; seed < to && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) {
			s := lifeWithALiar(t, seed)
			sum.handled += s.handled
			sum.carried += s.carried
			sum.given += s.given
		})
	}
	t.Logf("%d lives: %d handled, %d acknowledged for the delivery before, %d released", to-from, sum.handled, sum.carried, sum.given)
	if !t.Failed() && to-from > 100 && (sum.carried == 0 || sum.given == 0) {
		t.Error("what should happen now and then never did")
	}
}

func lifeWithALiar(t *testing.T, seed uint64) *story {
	r := rand.New(rand.NewPCG(seed, 1))
	s := newStory()
	l := newLiar(r, s, 1+r.IntN(8))
	r = rand.New(rand.NewPCG(seed, 3)) // the liar keeps the other
	o := client.RunOptions{Concurrency: 1 + r.IntN(3), MaxOutstanding: 1 + r.IntN(8), HandlerTimeout: 10 * time.Minute, Grace: 3 * time.Second}
	if r.IntN(3) == 0 {
		o.HandlerTimeout = 4 * time.Second
	}
	l.room, l.timeout = o.MaxOutstanding, o.HandlerTimeout
	h := &moods{rand: rand.New(rand.NewPCG(seed, 2)), longest: l.lease * 2}
	handle := s.handler(h.handle, verdictName)

	world, end := context.WithCancel(t.Context())
	defer end()
	go l.run(world)
	for range 1 + r.IntN(3) {
		stop, ended := start(witness{l, s}, o, handle)
		time.Sleep(time.Duration(r.IntN(60)) * time.Second)
		l.locked(func() { l.away = true })
		stop()
		<-ended
		time.Sleep(10 * time.Second)
		l.locked(func() { l.away = false })
	}
	l.locked(func() { l.calm = true })
	h.calm()
	stop, ended := start(witness{l, s}, o, handle)
	for range 720 {
		if time.Sleep(10 * time.Second); l.done() {
			break
		}
	}
	if !l.done() {
		t.Errorf("seed %d: not everything was handled within two hours", seed)
	}
	l.locked(func() { l.away = true })
	time.Sleep(time.Minute) // the last answers
	stop()
	if err := <-ended; err != nil {
		t.Errorf("seed %d: ended with %v", seed, err)
	}
	end()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wrong {
		t.Errorf("seed %d: %s", seed, w)
	}
	return s
}

func start(conn witness, o client.RunOptions, handle client.Handler) (stop func(), ended chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	go func() { ended <- client.Run(ctx, conn, "crm", handle, o) }()
	return cancel, ended
}

func (l *liar) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, it := range l.items {
		if !it.settled || it.parked {
			return false
		}
	}
	return true
}
