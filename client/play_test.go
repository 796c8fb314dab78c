package client_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
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

// plays is how many seeds the gate has of each kind of play: with the race detector,
// which makes each several times as expensive, few.
var plays = heavy.Count(200, 8)

// What happens in a play.
const (
	harmless = "send send send join join leave pause resume deadline replay purge" // no event may come to two at once
	harmful  = harmless + " seek reset cut mend silence delay lossy flush kill stall heal"
)

// Client and gateway together, with faults on both sides: connections are cut,
// calls and answers lost, consumers come and go, handlers refuse, park, give back
// and panic, what they did does not last, operators seek, pause, replay, purge and
// change settings, and gateways die. Each event's story is that of
// TestRunAgainstALiar; besides, none is handed out after a confirmed ack, and in the
// end each was handled since the last Seek, or lies with what is parked.
func TestRunAndGatewayTogether(t *testing.T) {
	from, to := seeds(t, plays)
	var told tale
	for seed := from; seed < to && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) { told.add(together(t, seed, harmful)) })
	}
	t.Logf("%d plays: %+v", to-from, told)
	if !t.Failed() && to-from >= 50 && (told.Acked == 0 || told.Released == 0 || told.Seeks == 0 || told.Unflushed == 0) {
		t.Error("what should happen now and then never did")
	}
}

// Where nothing breaks, whatever else happens, no event is at two handlers at once,
// of whatever consumer.
func TestNoEventIsAtTwoConsumers(t *testing.T) {
	from, to := seeds(t, plays)
	var told tale
	for seed := from; seed < to && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) { told.add(together(t, seed, harmless)) })
	}
	t.Logf("%d plays: %+v", to-from, told)
}

// A tale is what a play saw, for who asks whether it sees anything.
type tale struct{ Events, Handled, Acked, Carried, Released, Parked, Seeks, Unflushed int }

func (a *tale) add(b tale) {
	a.Events += b.Events
	a.Handled += b.Handled
	a.Acked += b.Acked
	a.Carried += b.Carried
	a.Released += b.Released
	a.Parked += b.Parked
	a.Seeks += b.Seeks
	a.Unflushed += b.Unflushed
}

// A play is one life of consumers and gateways together.
type play struct {
	*world
	seed      uint64
	rand      *rand.Rand
	moods     *moods
	books     *books
	consumers []*player
	done      map[string]bool // purged, or before the place that was sought
	sought    time.Time       // the last Seek began
	seeks     int
	steps     []string // what happened, for who looks into a failure
}

// A player is one consumer.
type player struct {
	story *story
	link  *lossy
	stop  func()
	home  int
}

func together(t *testing.T, seed uint64, happens string) tale {
	r := rand.New(rand.NewPCG(seed, 3))
	p := &play{
		world: newWorld(t, seed, r.IntN(2) == 0), seed: seed, rand: r, books: newBooks(happens == harmless),
		moods: &moods{rand: rand.New(rand.NewPCG(seed, 4)), longest: time.Duration(1+r.IntN(5)) * time.Second},
		done:  map[string]bool{},
	}
	p.ensure()
	kinds := strings.Fields(happens)
	p.join(false)
	for range 20 + r.IntN(20) {
		p.happen(kinds[r.IntN(len(kinds))])
		if r.IntN(2) == 0 {
			time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		} else if r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(20)) * time.Second)
		}
	}
	p.calm()
	p.settle()
	for _, c := range p.consumers {
		c.stop()
	}
	return p.judge()
}

func (p *play) ensure() {
	sub := &hookstreamv1.Subscription{
		Name: "subscriptions/crm", MaxAttempts: []int32{2, 4, 1000}[p.rand.IntN(3)], AckDeadline: p.deadline(),
		BackoffMin: durationpb.New(10 * time.Millisecond), BackoffMax: durationpb.New(time.Second),
	}
	if p.rand.IntN(2) == 0 {
		sub.Ordering = hookstreamv1.Ordering_ORDERING_BY_ENTITY
	}
	if _, err := client.Ensure(p.t.Context(), p.homes[0].conn, sub, client.Earliest()); err != nil {
		p.t.Fatal(err)
	}
}

func (p *play) deadline() *durationpb.Duration {
	return durationpb.New(time.Duration(1+p.rand.IntN(6)) * time.Second)
}

func (p *play) happen(kind string) {
	n := p.rand.IntN(len(p.homes))
	h, subs := p.homes[n], p.subs(n)
	ctx, cancel := context.WithTimeout(p.t.Context(), 3*time.Second)
	defer cancel()
	p.note("%s at g%d", kind, n)
	const crm = "subscriptions/crm"
	switch kind {
	case "send":
		p.send(1 + p.rand.IntN(10))
	case "join":
		p.join(false)
	case "flush":
		p.join(true)
	case "leave":
		p.leave()
	case "pause":
		_, _ = subs.PauseSubscription(ctx, &hookstreamv1.PauseSubscriptionRequest{Name: crm})
	case "resume":
		_, _ = subs.ResumeSubscription(ctx, &hookstreamv1.ResumeSubscriptionRequest{Name: crm})
	case "deadline":
		_, _ = subs.UpdateSubscription(ctx, &hookstreamv1.UpdateSubscriptionRequest{
			Subscription: &hookstreamv1.Subscription{Name: crm, AckDeadline: p.deadline()},
			UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"ack_deadline"}},
		})
	case "replay":
		_, _ = subs.ReplayParkedDeliveries(ctx, &hookstreamv1.ReplayParkedDeliveriesRequest{Parent: crm, All: true})
	case "purge":
		p.purge(ctx, subs)
	case "seek":
		p.seek(ctx, subs)
	case "reset":
		h.link.Reset()
	case "cut":
		h.link.Cut()
	case "silence":
		h.link.Silence()
	case "delay":
		h.link.Delay(time.Duration(p.rand.IntN(500)) * time.Millisecond)
	case "mend":
		h.link.Mend()
	case "lossy":
		c := p.consumers[p.rand.IntN(len(p.consumers))]
		c.link.become(p.rand.IntN(2) == 0)
	case "kill":
		h.kill()
	case "stall":
		if !p.embedded {
			h.engine.Stall()
		}
	case "heal":
		h.engine.Heal()
	}
}

func (p *play) note(format string, args ...any) {
	p.steps = append(p.steps, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (l *lossy) become(calm bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calm = calm
}

// join begins a consumer, whose effects do not always last.
func (p *play) join(flushing bool) {
	n := p.rand.IntN(len(p.homes))
	s := newStory()
	s.books = p.books
	c := &player{story: s, home: n}
	conn := p.homes[n].over()
	c.link = &lossy{ClientConnInterface: conn, rand: rand.New(rand.NewPCG(p.seed, uint64(len(p.consumers)+5))), calm: true}
	o := client.RunOptions{
		Concurrency: 1 + p.rand.IntN(3), MaxOutstanding: 1 + p.rand.IntN(8), Grace: 100 * time.Millisecond, ClientID: fmt.Sprint(len(p.consumers)),
	}
	if p.rand.IntN(3) == 0 {
		o.HandlerTimeout = 4 * time.Second
	}
	if flushing {
		o.Flush = s.flush(rand.New(rand.NewPCG(p.seed, uint64(len(p.consumers)+1000))))
	}
	end, ended := start(witness{c.link, s}, o, s.handler(p.moods.handle, verdictName))
	c.stop = sync.OnceFunc(func() { end(); <-ended; conn.Close() })
	p.consumers = append(p.consumers, c)
}

func (p *play) leave() {
	if n := len(p.consumers); n > 1 {
		p.consumers[1+p.rand.IntN(n-1)].stop()
	}
}

// purge forgets what is parked, one by one, for somebody has to know what it was.
func (p *play) purge(ctx context.Context, subs hookstreamv1.SubscriptionServiceClient) {
	for _, d := range p.parked(ctx, subs) {
		p.done[d.GetEvent().GetName()] = true
		_, _ = subs.PurgeParkedDeliveries(ctx, &hookstreamv1.PurgeParkedDeliveriesRequest{Parent: "subscriptions/crm", Names: []string{d.GetName()}})
	}
}

func (p *play) parked(ctx context.Context, subs hookstreamv1.SubscriptionServiceClient) []*hookstreamv1.ParkedDelivery {
	got, _ := subs.ListParkedDeliveries(ctx, &hookstreamv1.ListParkedDeliveriesRequest{Parent: "subscriptions/crm", PageSize: 1000})
	return got.GetParkedDeliveries()
}

// seek goes back to the beginning, or on to the end. Where it is not known whether
// it was done, both may come of it.
func (p *play) seek(ctx context.Context, subs hookstreamv1.SubscriptionServiceClient) {
	req := &hookstreamv1.SeekSubscriptionRequest{Name: "subscriptions/crm", To: &hookstreamv1.SeekSubscriptionRequest_Earliest{Earliest: true}}
	latest := p.rand.IntN(3) == 0
	if latest {
		req.To = &hookstreamv1.SeekSubscriptionRequest_Latest{Latest: true}
	}
	begun := time.Now()
	p.books.seek()
	_, err := subs.SeekSubscription(ctx, req)
	p.books.sought()
	p.note("sought the end %v: %v", latest, err)
	if err == nil {
		p.seeks++
		p.sought = begun
		clear(p.done)
	}
	if latest {
		for _, name := range p.sent {
			p.done[name] = true
		}
	}
}

// calm ends all faults.
func (p *play) calm() {
	for _, h := range p.homes {
		h.engine.Heal()
		h.link.Mend()
	}
	for _, c := range p.consumers {
		c.link.become(true)
	}
	p.moods.calm()
	if _, err := p.subs(0).ResumeSubscription(p.t.Context(), &hookstreamv1.ResumeSubscriptionRequest{Name: "subscriptions/crm"}); err != nil {
		p.t.Errorf("seed %d: resume: %v", p.seed, err)
	}
	p.join(false)
}

// settle waits until nothing of the subscription waits or is held.
func (p *play) settle() {
	var state *hookstreamv1.SubscriptionState
	for range 120 {
		time.Sleep(5 * time.Second)
		var err error
		state, err = p.subs(0).GetSubscriptionState(p.t.Context(), &hookstreamv1.GetSubscriptionStateRequest{Name: "subscriptions/crm/state"})
		if err == nil && state.GetBacklogEvents() == 0 && state.GetOutstandingEvents() == 0 {
			return
		}
	}
	p.t.Errorf("seed %d: not settled after ten minutes: %v", p.seed, state)
}

func (p *play) judge() tale {
	out := tale{Events: len(p.sent), Seeks: p.seeks, Acked: len(p.books.settled)}
	for _, d := range p.parked(p.t.Context(), p.subs(0)) {
		p.done[d.GetEvent().GetName()] = true
		out.Parked++
	}
	for _, c := range p.consumers {
		c.story.mu.Lock()
		for _, w := range c.story.wrong {
			p.t.Errorf("seed %d: consumer of g%d: %s", p.seed, c.home, w)
		}
		out.Handled += c.story.handled
		out.Carried += c.story.carried
		out.Released += c.story.given
		if c.story.lost {
			out.Unflushed++
		}
		for name := range c.story.since(p.sought) {
			p.done[name] = true
		}
		c.story.mu.Unlock()
	}
	for _, w := range p.books.wrong {
		p.t.Errorf("seed %d: %s", p.seed, w)
	}
	for _, name := range p.sent {
		if !p.done[name] {
			p.t.Errorf("seed %d: %s was not handled since %v and is not parked", p.seed, name, p.sought)
		}
	}
	if p.t.Failed() {
		p.t.Logf("embedded %v:\n%s", p.embedded, strings.Join(p.steps, "\n"))
	}
	return out
}

// since answers the events of which a delivery that came since was handled for
// good. s.mu is held.
func (s *story) since(at time.Time) map[string]bool {
	out := map[string]bool{}
	for name, chapters := range s.byEvent {
		out[name] = slices.ContainsFunc(chapters, func(c *chapter) bool {
			return !c.came.Before(at) && (c.carried || c.ended && (c.verdict == "ack" || c.verdict == "park"))
		})
	}
	maps.DeleteFunc(out, func(_ string, ok bool) bool { return !ok })
	return out
}
