package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/linktest"
)

// A lossy connection loses some calls on their way there, and the answers of some
// on their way back.
type lossy struct {
	grpc.ClientConnInterface
	mu   sync.Mutex
	rand *rand.Rand
	calm bool
}

func (l *lossy) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	l.mu.Lock()
	lost := 2
	if !l.calm {
		lost = l.rand.IntN(10)
	}
	l.mu.Unlock()
	if lost == 0 {
		return errAway
	}
	err := l.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
	if lost == 1 {
		return errAway
	}
	return err
}

// Client and gateway together, with faults on both sides: connections are cut,
// calls and answers lost, consumers come and go, handlers refuse, park, give back
// and panic, and the gateway is stopped and started. Each event's story is that of
// TestRunAgainstALiar, and none is handed out after a confirmed ack.
func TestRunAndGatewayTogether(t *testing.T) {
	from, to := seeds(t, 2)
	for seed := from; seed < to && !t.Failed(); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { t.Parallel(); together(t, seed) })
	}
}

func together(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	g := startGateway(t)
	g.ensure(func(s *hookstreamv1.Subscription) {
		s.AckDeadline, s.MaxAttempts = durationpb.New(2*time.Second), 1000
		if r.IntN(2) == 0 {
			s.Ordering = hookstreamv1.Ordering_ORDERING_BY_ENTITY
		}
	})
	l := linktest.New(t, g.addr)
	settled := &sync.Map{}
	var all []*story
	var links []*lossy
	h := &moods{rand: rand.New(rand.NewPCG(seed, 4)), longest: 300 * time.Millisecond}
	consume := func() (stop func()) {
		s := newStory()
		s.settled = settled
		link := &lossy{ClientConnInterface: dialGateway(t, l.Addr()), rand: rand.New(rand.NewPCG(seed, uint64(len(all)+5)))}
		all, links = append(all, s), append(links, link)
		o := client.RunOptions{Concurrency: 1 + r.IntN(3), Grace: 100 * time.Millisecond}
		end, ended := start(witness{link, s}, o, s.handler(h.handle, verdictName))
		return sync.OnceFunc(func() { end(); <-ended })
	}
	stay := consume()
	defer stay()
	for i := range 4 {
		g.send(10)
		stop := consume()
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		if r.IntN(2) == 0 {
			l.Reset()
		}
		stop()
		if i == 1 {
			g.stop()
			g.start()
		}
	}
	h.calm()
	for _, l := range links {
		l.mu.Lock()
		l.calm = true
		l.mu.Unlock()
	}
	state := g.settled()
	stay()
	acked, verdicts := 0, map[string]int{}
	settled.Range(func(any, any) bool { acked++; return true })
	for _, s := range all {
		s.mu.Lock()
		for _, w := range s.wrong {
			t.Error(w)
		}
		for _, chapters := range s.byEvent {
			for _, c := range chapters {
				verdicts[c.verdict]++
			}
		}
		s.mu.Unlock()
	}
	// An ack whose answer was lost may be one that counted.
	t.Logf("%d events, deliveries by verdict %v, %d acks confirmed, %d parked", len(g.sent), verdicts, acked, state.GetParkedEvents())
	if acked == 0 || acked+int(state.GetParkedEvents()) > len(g.sent) {
		t.Errorf("%d events, %d acks confirmed, %d parked", len(g.sent), acked, state.GetParkedEvents())
	}
}
