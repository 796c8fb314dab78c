package app_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/natstest"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
)

// ledger is what the consumers of a subscription were handed, and what was
// confirmed to them.
type ledger struct {
	mu      sync.Mutex
	events  map[string]*entry // by the provider's id
	handed  int
	late    []string // handed out after an ack of theirs was confirmed
	stale   int      // read after their deadline, which had come and gone on the way
	expired int
	crashes int
	// deadline of the subscription: a delivery begins that long before its own.
	deadline time.Duration
}

type entry struct {
	handed    int
	confirmed time.Time // when its ack was, first
	times     int       // that it was
	unknown   bool      // an ack of it got no answer, or none that says what became of it
	outcomes  []hookstreamv1.AckOutcome
}

func newLedger(deadline time.Duration) *ledger {
	return &ledger{events: make(map[string]*entry), deadline: deadline}
}

func (l *ledger) hand(ds []*hookstreamv1.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		id := d.GetEvent().GetProviderEventId()
		e := l.events[id]
		if e == nil {
			e = new(entry)
			l.events[id] = e
		}
		e.handed++
		l.handed++
		end := d.GetAckDeadline().AsTime()
		if end.Before(time.Now()) {
			l.stale++
		}
		// A consumer that is slow to read may read what was sent to it long before,
		// and what another has done meanwhile.
		if e.times > 0 && end.Add(-l.deadline).After(e.confirmed) {
			l.late = append(l.late, id)
		}
	}
}

func (l *ledger) confirm(ds []*hookstreamv1.Delivery, results []*hookstreamv1.AckResult) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range results {
		e := l.events[ds[i].GetEvent().GetProviderEventId()]
		e.outcomes = append(e.outcomes, r.GetOutcome())
		switch r.GetOutcome() {
		case hookstreamv1.AckOutcome_ACK_OUTCOME_DONE:
			if e.times++; e.times == 1 {
				e.confirmed = time.Now()
			}
		case hookstreamv1.AckOutcome_ACK_OUTCOME_EXPIRED:
			l.expired++
		case hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE:
			e.unknown = true
		}
	}
}

// unanswered notes acks that nobody answered.
func (l *ledger) unanswered(ds []*hookstreamv1.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		l.events[d.GetEvent().GetProviderEventId()].unknown = true
	}
}

// count is how many events came so far.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

func (l *ledger) crashed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.crashes++
}

// check holds what happened to what is promised, when nothing is left to be
// handed out: everything came and was acknowledged by somebody, nothing came to
// anybody once its ack was confirmed, and what came again was unconfirmed all
// times but one.
func (l *ledger) check(t *testing.T, ids []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	missing, unknown, twice, repeated := 0, 0, 0, 0
	var lost []string
	for _, id := range ids {
		e := l.events[id]
		switch {
		case e == nil:
			missing++
			continue
		case e.times > 1:
			twice++
		case e.times == 0 && e.unknown:
			unknown++
		case e.times == 0:
			lost = append(lost, fmt.Sprintf("%s handed out %d times, answered %v", id, e.handed, e.outcomes))
		}
		repeated += e.handed - 1
	}
	if missing > 0 || len(l.events) != len(ids) {
		t.Errorf("%d of %d events never came; %d came", missing, len(ids), len(l.events))
	}
	if len(lost) > 0 {
		t.Errorf("%d events are gone from the subscription though nobody acknowledged them, such as %s", len(lost), lost[0])
	}
	if twice > 0 {
		t.Errorf("%d events were confirmed as done more than once", twice)
	}
	if len(l.late) > 0 {
		t.Errorf("%d deliveries after a confirmed ack, such as of %s", len(l.late), l.late[0])
	}
	t.Logf("%d events, %d deliveries, %d of them again, %d after a confirmed ack; %d were read too late, %d acks came too late, %d got no answer, %d consumers crashed",
		len(ids), l.handed, repeated, len(l.late), l.stale, l.expired, unknown, l.crashes)
}

// worker is a consumer that goes on until ctx ends, through whatever happens to
// its gateways: it takes from one and acknowledges at another.
type worker struct {
	ledger   *ledger
	gateways []string
	rand     *rand.Rand
	// crash is how often, of 1,000 batches, it dies with the batch in its hands.
	crash int
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		if w.life(ctx) != nil {
			time.Sleep(20 * time.Millisecond) // a gateway that is gone
		}
	}
}

// life is one connection to each of two gateways, from the first to a crash.
func (w *worker) life(ctx context.Context) error {
	from, err := dialGateway(w.gateways[w.rand.IntN(len(w.gateways))])
	if err != nil {
		return err
	}
	defer from.Close()
	at, err := dialGateway(w.gateways[w.rand.IntN(len(w.gateways))])
	if err != nil {
		return err
	}
	defer at.Close()
	stream, err := hookstreamv1.NewEventServiceClient(from).Subscribe(ctx, &hookstreamv1.SubscribeRequest{
		Subscription: "subscriptions/crm", View: hookstreamv1.EventView_EVENT_VIEW_METADATA,
		FlowControl: &hookstreamv1.FlowControl{MaxOutstandingEvents: 500, MaxBatchEvents: 100},
		ClientId:    "worker",
	})
	if err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if err != nil {
			return err
		}
		ds := frame.GetBatch().GetDeliveries()
		if len(ds) == 0 {
			continue
		}
		w.ledger.hand(ds)
		if w.rand.IntN(1000) < w.crash {
			w.ledger.crashed()
			return nil // the connection is closed with everything in hand
		}
		if err := w.ack(ctx, at, ds); err != nil {
			return err
		}
	}
}

// ack says that all are done, and again of those that could not be settled. Without
// an answer nobody knows, and the events may come again.
func (w *worker) ack(ctx context.Context, at *grpc.ClientConn, ds []*hookstreamv1.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client := hookstreamv1.NewSubscriptionServiceClient(at)
	for len(ds) > 0 {
		req := &hookstreamv1.AcknowledgeRequest{Name: "subscriptions/crm"}
		for _, d := range ds {
			req.Settlements = append(req.Settlements, &hookstreamv1.Settlement{
				AckToken: d.GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_ACK,
			})
		}
		resp, err := client.Acknowledge(ctx, req)
		if err != nil {
			w.ledger.unanswered(ds)
			return err
		}
		w.ledger.confirm(ds, resp.GetResults())
		var again []*hookstreamv1.Delivery
		for i, r := range resp.GetResults() {
			if r.GetOutcome() == hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE {
				again = append(again, ds[i])
			}
		}
		ds = again
	}
	return nil
}

func dialGateway(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// work runs n workers and answers a function that ends them.
func work(n int, l *ledger, crash int, gateways ...string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range n {
		w := &worker{ledger: l, gateways: gateways, crash: crash, rand: rand.New(rand.NewPCG(7, uint64(i)))}
		wg.Go(func() { w.run(ctx) })
	}
	return func() { cancel(); wg.Wait() }
}

func (p *process) createSubscription(sub *hookstreamv1.Subscription) {
	p.t.Helper()
	_, err := hookstreamv1.NewSubscriptionServiceClient(p.conn).CreateSubscription(p.t.Context(), &hookstreamv1.CreateSubscriptionRequest{
		SubscriptionId: "crm", Subscription: sub, Start: &hookstreamv1.CreateSubscriptionRequest_Earliest{Earliest: true},
	}, grpc.WaitForReady(true))
	if err != nil {
		p.t.Fatal(err)
	}
}

// until waits until n events came.
func (l *ledger) until(t *testing.T, n int, limit time.Duration) {
	t.Helper()
	for end := time.Now().Add(limit); l.count() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d events came within %s", l.count(), n, limit)
		}
	}
}

// untilDone waits until the subscription has nothing left to hand out or to be
// acknowledged.
func (p *process) untilDone(limit time.Duration) {
	p.t.Helper()
	client := hookstreamv1.NewSubscriptionServiceClient(p.conn)
	for end := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		s, err := client.GetSubscriptionState(p.t.Context(),
			&hookstreamv1.GetSubscriptionStateRequest{Name: "subscriptions/crm/state"}, grpc.WaitForReady(true))
		if err == nil && s.GetBacklogEvents() == 0 && s.GetOutstandingEvents() == 0 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("not done within %s: %v, %v", limit, s, err)
		}
	}
}

// Twenty consumers share a subscription over two gateways, which are processes of
// their own on a cluster of three. Consumers crash with deliveries in hand, and
// one gateway is killed. Everything is done in the end, and what came again had
// never been confirmed.
func TestTwentyConsumersAndAGatewayThatDies(t *testing.T) {
	const deadline = 10 * time.Second
	// Fewer events, and of each thousand batches more with a crash: some hundred crashes
	// at full size, and dozens here.
	total, crash := 6_000, 40
	if heavy.Full() {
		total, crash = 100_000, 10
	}
	cluster := natstest.Start(t)
	env := []string{
		"HOOKSTREAM_NATS_URL=" + cluster.URL(), "HOOKSTREAM_REPLICAS=3",
		"HOOKSTREAM_ENCRYPTION_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	}
	var gateways [2]*process
	for i := range gateways {
		gateways[i] = newProcess(t)
		gateways[i].start(env...)
	}
	gateways[0].createSubscription(&hookstreamv1.Subscription{
		AckDeadline: durationpb.New(deadline), MaxAttempts: 1000, BackoffMin: durationpb.New(0), MaxOutstandingEvents: 5000,
	})
	began := time.Now()
	ids := appendEvents(t, cluster.URL(), total)
	t.Logf("%d events appended in %s", total, time.Since(began).Round(time.Millisecond))

	l := newLedger(deadline)
	began = time.Now()
	stop := work(20, l, crash, gateways[0].grpc, gateways[1].grpc)
	defer stop()
	l.until(t, total/3, 3*time.Minute)
	gateways[1].kill()
	l.until(t, total/2, 3*time.Minute)
	gateways[1].start(env...)
	gateways[0].untilDone(5 * time.Minute)
	took := time.Since(began)
	stop()
	t.Logf("done in %s, %.0f events/s, crash and takeover included", took.Round(time.Millisecond), float64(total)/took.Seconds())
	l.check(t, ids)
}

// appendEvents puts events into the log of a cluster and answers the provider's
// ids of them.
func appendEvents(t *testing.T, url string, n int) []string {
	t.Helper()
	o := jetstream.DefaultOptions()
	o.URL, o.Replicas, o.Dir = url, 3, t.TempDir()
	engine, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	ids := make([]string, n)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 256 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				ids[i] = eventID(i)
				if err := appendEvent(t.Context(), engine, ids[i]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return ids
}

func appendEvent(ctx context.Context, engine *jetstream.Engine, id string) error {
	data, err := event.Encode(&hookstreamv1.Event{
		Source: "sources/load", Provider: "yousign", Environment: "sandbox", Topic: "signer", Action: "done",
		Type: "signer.done", Entity: "signers/" + id, ProviderEventId: id,
	}, &hookstreamv1.RawRequest{Body: fmt.Appendf(nil, `{"event_id":%q}`, id), ContentType: "application/json"})
	if err != nil {
		return err
	}
	for {
		_, err = engine.Events().Append(ctx, eventlog.Entry{Source: "load", Topic: "signer", Action: "done", DedupKey: id, Data: data})
		if !errors.Is(err, eventlog.ErrUnavailable) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// An embedded gateway is killed again and again while its events are being
// acknowledged. What was confirmed stays done: JetStream's own memory of it,
// written a few times a second, would not do.
func TestKillKeepsConfirmedAcks(t *testing.T) {
	const deadline = 2 * time.Second
	total, kills := 6_000, 3
	if heavy.Full() {
		total, kills = 20_000, 5
	}
	p := newProcess(t)
	p.start()
	src := p.createSource("load", yousignSource())
	p.createSubscription(&hookstreamv1.Subscription{
		AckDeadline: durationpb.New(deadline), MaxAttempts: 1000, BackoffMin: durationpb.New(0), MaxOutstandingEvents: 2000,
	})
	ids := p.sendEvents(src.GetIngressPath(), total)
	l := newLedger(deadline)
	stop := work(8, l, 0, p.grpc)
	defer stop()
	for k := range kills {
		l.until(t, (k+1)*total/(kills+2), 2*time.Minute)
		p.kill()
		p.start()
	}
	p.untilDone(2 * time.Minute)
	stop()
	l.check(t, ids)
}

// An embedded gateway is killed again and again, with a backlog in the hands of its
// consumers each time. That is nobody's fault: nothing is parked although few
// attempts are allowed, nothing is lost, and what was confirmed stays done.
func TestKillParksNothing(t *testing.T) {
	t.Parallel()
	const deadline, total, kills = 2 * time.Second, 1500, 4
	p := newProcess(t)
	p.start()
	src := p.createSource("load", yousignSource())
	p.createSubscription(&hookstreamv1.Subscription{AckDeadline: durationpb.New(deadline), MaxAttempts: 3, BackoffMin: durationpb.New(0)})
	ids := p.sendEvents(src.GetIngressPath(), total)
	l := newLedger(deadline)
	stop := work(3, l, 0, p.grpc)
	defer stop()
	for k := range kills {
		l.until(t, (k+1)*total/(kills+2), time.Minute)
		p.kill()
		p.start()
	}
	p.untilDone(time.Minute)
	stop()
	l.check(t, ids)
	parked, err := hookstreamv1.NewSubscriptionServiceClient(p.conn).ListParkedDeliveries(t.Context(),
		&hookstreamv1.ListParkedDeliveriesRequest{Parent: "subscriptions/crm"}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parked.GetParkedDeliveries() {
		t.Errorf("parked: %s after %d attempts, %s", d.GetEvent().GetProviderEventId(), d.GetAttempts(), d.GetReason())
	}
}

// sendEvents posts n webhooks and answers their ids.
func (p *process) sendEvents(path string, n int) []string {
	p.t.Helper()
	ids := make([]string, n)
	s := newSender("http://"+p.ingress+path, 64)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				ids[i] = eventID(i)
				if err := s.send(i); err != nil {
					p.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return ids
}
