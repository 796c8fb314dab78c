package client_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A liar is a gateway with one subscription, behind a connection that is none: it
// keeps what a gateway promises about deliveries, and does everything else that a
// gateway, a proxy and a network can do. It ends streams with and without a word,
// repeats and delays frames, loses questions and answers, hangs, hands events to
// others, seeks, changes the deadline, and has a clock of its own.
type liar struct {
	story    *story
	numbers  bool          // an older gateway has none, and no releases
	skew     time.Duration // of its clock
	timeout  time.Duration // HandlerTimeout of the client
	room     int           // of the client
	shortest time.Duration // of all leases

	mu      sync.Mutex
	rand    *rand.Rand
	calm    bool // no faults any more
	away    bool // the client is stopping: what it no longer extends is not held against it
	lease   time.Duration
	items   []*item
	byToken map[string]*lending
	streams []*line
	tokens  int
	lifes   int
}

// An item is an event of the subscription.
type item struct {
	name     string
	number   int64
	attempt  int32
	life     int
	replayed bool
	settled  bool
	parked   bool
	lent     *lending  // in force
	ready    time.Time // when it may be handed out
}

// A lending is a delivery.
type lending struct {
	item     *item
	life     int
	line     *line // nil: somebody else's
	deadline time.Time
	granted  time.Time
	said     hookstreamv1.AckOutcome // how it was settled
	how      hookstreamv1.Settlement_Verdict
}

// A line is a stream. Frames wait in it until they are read.
type line struct {
	ctx    context.Context
	frames chan *frame
	over   chan struct{} // closed with end set
	end    error
	mute   bool
}

func newLiar(r *rand.Rand, s *story, events int) *liar {
	l := &liar{story: s, rand: r, numbers: r.IntN(4) > 0, byToken: map[string]*lending{}, shortest: time.Second}
	l.lease = l.someLease()
	if r.IntN(2) == 0 {
		l.skew = time.Duration(r.Int64N(int64(4*time.Hour))) - 2*time.Hour
	}
	for i := range events {
		l.items = append(l.items, &item{name: fmt.Sprintf("events/%d", i), attempt: 1})
	}
	s.life = l.life
	return l
}

func (l *liar) someLease() time.Duration {
	return []time.Duration{time.Second, 5 * time.Second, time.Minute}[l.rand.IntN(3)]
}

func (l *liar) life(token string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byToken[token].life
}

// chance is one in n, and never when it is calm. l.mu is held.
func (l *liar) chance(n int) bool { return !l.calm && l.rand.IntN(n) == 0 }

func (l *liar) upTo(d time.Duration) time.Duration { return time.Duration(l.rand.Int64N(int64(d) + 1)) }

// run makes its moves until ctx ends.
func (l *liar) run(ctx context.Context) {
	last := time.Now()
	for ctx.Err() == nil {
		l.mu.Lock()
		l.expire()
		l.pump()
		l.misbehave()
		if time.Since(last) > 10*time.Second {
			last = time.Now()
			l.beat()
		}
		pause := l.upTo(600 * time.Millisecond)
		l.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (l *liar) misbehave() {
	if l.chance(60) && len(l.streams) > 0 {
		s := l.streams[l.rand.IntN(len(l.streams))]
		switch l.rand.IntN(6) {
		case 0:
			s.mute = true // the client has to notice
		case 1:
			l.hang(s, nil)
		case 2:
			s.push(&frame{Frame: &hookstreamv1.SubscribeResponse_Draining{Draining: &hookstreamv1.Draining{GracePeriod: durationpb.New(4 * time.Second)}}})
			time.AfterFunc(4*time.Second, func() { l.locked(func() { l.hang(s, errAway) }) })
		default:
			l.hang(s, errAway)
		}
	}
	if l.chance(150) {
		l.seek()
	}
	if l.chance(80) && l.numbers {
		l.lease = l.someLease()
	}
	if l.chance(10) {
		l.elsewhere(l.items[l.rand.IntN(len(l.items))])
	}
	for _, it := range l.items {
		if it.parked && l.rand.IntN(20) == 0 { // an operator
			l.lifes++
			it.parked, it.settled, it.replayed, it.attempt, it.life = false, false, true, 1, l.lifes
		}
	}
}

func (l *liar) locked(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *liar) seek() {
	l.lifes++
	for _, it := range l.items {
		l.end(it, false)
		it.settled, it.parked, it.replayed, it.attempt, it.life, it.ready = false, false, false, 1, l.lifes, time.Now()
	}
}

// elsewhere has another consumer take an event, and refuse it.
func (l *liar) elsewhere(it *item) {
	if it.lent != nil || it.settled {
		return
	}
	d := l.lend(it, nil)
	time.AfterFunc(l.upTo(3*time.Second), func() {
		l.locked(func() {
			if it.lent == d {
				l.end(it, true)
			}
		})
	})
}

func (l *liar) lend(it *item, s *line) *lending {
	it.number++
	now := time.Now()
	it.lent = &lending{item: it, life: it.life, line: s, deadline: now.Add(l.lease), granted: now}
	return it.lent
}

// end ends what is in force of an event.
func (l *liar) end(it *item, counts bool) {
	if it.lent == nil {
		return
	}
	it.lent = nil
	if counts || !l.numbers {
		it.attempt++
	}
	it.ready = time.Now().Add(l.upTo(time.Second))
}

// expire ends what its deadline has passed of, and asks whether the client did
// what it could.
func (l *liar) expire() {
	now := time.Now()
	for _, it := range l.items {
		if d := it.lent; d != nil && d.line != nil && !now.Before(d.deadline) {
			l.blameExpiry(d)
			l.end(it, true)
		}
	}
}

func (l *liar) blameExpiry(d *lending) {
	s := l.story
	for token, other := range l.byToken {
		if other != d || strings.HasSuffix(token, "'") {
			continue
		}
		// Not while story.life waits for l.mu: it is only called under s.mu.
		l.mu.Unlock()
		s.mu.Lock()
		c := s.byToken[token]
		switch {
		case c == nil || l.away || c.said.After(d.granted) || c.came.After(d.deadline.Add(-l.shortest/2)):
		case !c.began.IsZero() && d.deadline.Sub(c.began) >= l.timeout:
		default:
			s.blame("%s: %s expires at %v unasked, came %v, began %v, granted %v, said %v",
				c.event, token, d.deadline, c.came, c.began, d.granted, c.said)
		}
		s.mu.Unlock()
		l.mu.Lock()
		return
	}
}

// hang ends a stream, and with it what it carried.
func (l *liar) hang(s *line, err error) {
	if !slices.Contains(l.streams, s) {
		return
	}
	l.streams = slices.DeleteFunc(l.streams, func(o *line) bool { return o == s })
	s.end = err
	close(s.over)
	for _, it := range l.items {
		if it.lent != nil && it.lent.line == s {
			l.end(it, l.rand.IntN(2) == 0)
		}
	}
}

func (s *line) push(f *frame) {
	if s.mute {
		return
	}
	select {
	case s.frames <- f:
	default:
	}
}

func (l *liar) beat() {
	for _, s := range l.streams {
		s.push(l.heartbeat())
	}
}

func (l *liar) clock(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t.Add(l.skew)) }

func (l *liar) heartbeat() *frame {
	return &frame{Frame: &hookstreamv1.SubscribeResponse_Heartbeat{Heartbeat: &hookstreamv1.Heartbeat{SendTime: l.clock(time.Now())}}}
}

// pump hands out what is ready.
func (l *liar) pump() {
	for _, s := range l.streams {
		held := 0
		for _, it := range l.items {
			if it.lent != nil && it.lent.line == s {
				held++
			}
		}
		b := &hookstreamv1.DeliveryBatch{}
		for _, i := range l.rand.Perm(len(l.items)) {
			it := l.items[i]
			if held >= l.room || s.mute || it.settled || it.lent != nil || it.ready.After(time.Now()) {
				continue
			}
			held++
			b.Deliveries = append(b.Deliveries, l.deliver(it, s))
		}
		if len(b.GetDeliveries()) == 0 {
			continue
		}
		f := &frame{Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: b}}
		s.push(f)
		if l.numbers && l.chance(8) {
			time.AfterFunc(l.upTo(20*time.Second), func() { l.locked(func() { s.push(f) }) })
		}
	}
}

func (l *liar) deliver(it *item, s *line) *delivery {
	d := l.lend(it, s)
	l.tokens++
	token := fmt.Sprintf("%s/%d", it.name, l.tokens)
	l.byToken[token] = d
	out := &delivery{
		Event: &hookstreamv1.Event{Name: it.name}, AckToken: token, Attempt: it.attempt, Replayed: it.replayed,
		AckDeadline: l.clock(d.deadline),
	}
	if l.numbers {
		out.HandOut = it.number
	}
	return out
}

// Invoke is a call of Acknowledge.
func (l *liar) Invoke(ctx context.Context, _ string, args, reply any, _ ...grpc.CallOption) error {
	req := args.(*hookstreamv1.AcknowledgeRequest)
	l.mu.Lock()
	there, back := l.upTo(100*time.Millisecond), l.upTo(100*time.Millisecond)
	var before, after error
	switch {
	case l.chance(12):
		before = errAway
	case l.chance(12):
		after = errAway
	case l.chance(20):
		before = status.Error(codes.Unimplemented, "a proxy")
	case l.chance(20):
		there = 40 * time.Second
	case l.chance(20):
		back = 40 * time.Second
	}
	l.mu.Unlock()
	if err := travel(ctx, there, before); err != nil {
		return err
	}
	if !l.numbers && slices.ContainsFunc(req.GetSettlements(), func(s *hookstreamv1.Settlement) bool {
		return s.GetVerdict() == hookstreamv1.Settlement_VERDICT_RELEASE
	}) {
		return status.Error(codes.InvalidArgument, "no such action")
	}
	resp := l.acknowledge(req)
	if err := travel(ctx, back, after); err != nil {
		return err
	}
	proto.Merge(reply.(proto.Message), resp)
	return nil
}

func travel(ctx context.Context, d time.Duration, err error) error {
	select {
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-time.After(d):
		return err
	}
}

func (l *liar) acknowledge(req *hookstreamv1.AcknowledgeRequest) *hookstreamv1.AcknowledgeResponse {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	resp := &hookstreamv1.AcknowledgeResponse{}
	for _, s := range req.GetSettlements() {
		var r *hookstreamv1.AckResult
		if s.GetVerdict() == hookstreamv1.Settlement_VERDICT_EXTEND {
			r = l.extend(s)
		} else {
			r = &hookstreamv1.AckResult{Outcome: l.settle(s.GetAckToken(), s.GetVerdict())}
		}
		r.AckToken = s.GetAckToken()
		resp.Results = append(resp.Results, r)
	}
	return resp
}

func (l *liar) settle(token string, how hookstreamv1.Settlement_Verdict) hookstreamv1.AckOutcome {
	d := l.byToken[token]
	it := d.item
	switch {
	case l.chance(15):
		return unavailable
	case d.how == how:
		return d.said // the same again
	case it.lent != d:
		return expired
	case l.chance(15):
		l.end(it, true) // it lost the delivery
		return expired
	}
	d.how, d.said = how, done
	switch how {
	case hookstreamv1.Settlement_VERDICT_ACK, hookstreamv1.Settlement_VERDICT_SKIP:
		it.lent, it.settled = nil, true
	case hookstreamv1.Settlement_VERDICT_PARK:
		it.lent, it.settled, it.parked = nil, true, true
	case hookstreamv1.Settlement_VERDICT_RELEASE:
		l.end(it, false)
	default:
		l.end(it, true)
	}
	return done
}

func (l *liar) extend(e *hookstreamv1.Settlement) *hookstreamv1.AckResult {
	d := l.byToken[e.GetAckToken()]
	switch {
	case l.chance(15):
		return &hookstreamv1.AckResult{Outcome: unavailable}
	case d.item.lent != d:
		return &hookstreamv1.AckResult{Outcome: expired}
	}
	d.granted = time.Now()
	d.deadline = d.granted.Add(e.GetExtension().AsDuration())
	token := e.GetAckToken()
	if l.rand.IntN(2) == 0 {
		token += "'"
		l.byToken[token] = d
	}
	return &hookstreamv1.AckResult{Outcome: done, AckDeadline: l.clock(d.deadline), NewAckToken: token}
}

// NewStream is a call of Subscribe.
func (l *liar) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.chance(10) {
		return nil, errAway
	}
	s := &line{ctx: ctx, frames: make(chan *frame, 100), over: make(chan struct{})}
	l.streams = append(l.streams, s)
	f := lent()
	f.GetOpened().Subscription.AckDeadline = durationpb.New(l.lease)
	s.push(f)
	s.push(l.heartbeat())
	context.AfterFunc(ctx, func() { l.locked(func() { l.hang(s, status.FromContextError(ctx.Err()).Err()) }) })
	return &reading{line: s, liar: l}, nil
}

// A reading is the client's side of a line.
type reading struct {
	*line
	liar *liar
}

func (r *reading) RecvMsg(m any) error {
	select {
	case f := <-r.frames:
		r.liar.mu.Lock()
		late := r.liar.upTo(r.liar.shortest / 8)
		r.liar.mu.Unlock()
		if err := travel(r.ctx, late, nil); err != nil {
			return err
		}
		proto.Merge(m.(proto.Message), f)
		return nil
	case <-r.over:
		if r.end == nil {
			return io.EOF
		}
		return r.end
	}
}

func (r *reading) SendMsg(any) error            { return nil }
func (r *reading) CloseSend() error             { return nil }
func (r *reading) Header() (metadata.MD, error) { return nil, nil }
func (r *reading) Trailer() metadata.MD         { return nil }
func (r *reading) Context() context.Context     { return r.ctx }
