package client_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A story is what happened to each event on this side of a connection: what was
// handed out, what handlers did with it, and what was said about it. It stands
// between a client and its connection, whatever is behind that, and notes what is
// against the promises of Run:
//
//   - of an event at most one handler runs, and each delivery is handled once;
//   - an ack is said only of what a handler answered with nil: this delivery, or
//     certainly the one before it;
//   - a nack is what the handler of that very delivery answered;
//   - what is released was not begun, or its handler said so, and is not begun
//     afterwards.
type story struct {
	// life answers which count of attempts a delivery belongs to: Seek and replay
	// begin another. Nil: all to one.
	life func(token string) int

	// books are kept together with the other consumers. Nil: they are not kept.
	books *books
	// lasting: what a handler did lasts only when it was flushed.
	lasting bool

	mu      sync.Mutex
	byToken map[string]*chapter
	byEvent map[string][]*chapter
	at      map[string]*chapter // what a handler is at
	wrong   []string
	handled int
	carried int  // acks of what was not handled, because the delivery before it was
	given   int  // releases
	lost    bool // a flush failed
}

// Books are what all consumers of a subscription see together: none is handed an
// event out of which an ack was confirmed, unless somebody sought in between.
type books struct {
	alone bool // and an event is at one handler at a time, whoever's it is

	mu      sync.Mutex
	seeks   int               // begun and ended
	settled map[copyOf]int64  // the number of the delivery that was acknowledged
	at      map[string]string // tokens, by event
	wrong   []string
}

// A copyOf an event is itself, or what was replayed of it.
type copyOf struct {
	event    string
	replayed bool
}

func newBooks(alone bool) *books {
	return &books{alone: alone, settled: map[copyOf]int64{}, at: map[string]string{}}
}

// seek says that one begins.
func (b *books) seek() { b.turn() }

// sought says that it ended, or that it is not known whether it did.
func (b *books) sought() { b.turn() }

func (b *books) turn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seeks++
	clear(b.settled)
}

// page answers which acks count that are confirmed later: those of the same page.
func (b *books) page() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seeks
}

func (b *books) settle(page int, c *chapter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.replayed && b.seeks > 0 {
		return // it may have been parked before and after: two copies
	}
	if b.seeks == page && page%2 == 0 {
		of := copyOf{c.event, c.replayed}
		b.settled[of] = max(b.settled[of], c.number)
	}
}

func (b *books) came(c *chapter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// What was handed out before may have been on its way for long.
	if n := b.settled[copyOf{c.event, c.replayed}]; n > 0 && c.number > n {
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %s, number %d, attempt %d, replayed %v, came at %s after a confirmed ack",
			c.event, c.token, c.number, c.attempt, c.replayed, c.came.Format("04:05.000")))
	}
}

func (b *books) begin(c *chapter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if other := b.at[c.event]; b.alone && other != "" {
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %s is begun while a handler is at %s", c.event, c.token, other))
	}
	b.at[c.event] = c.token
}

func (b *books) end(c *chapter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.at, c.event)
}

// A chapter is one delivery.
type chapter struct {
	event    string
	number   int64
	attempt  int32
	replayed bool
	token    string
	came     time.Time
	began    time.Time // zero: no handler was at it
	ended    bool
	verdict  string    // when ended: ack, retry, park, skip, release
	carried  bool      // acknowledged for the delivery before
	released bool      // the gateway was asked to take it back
	lasts    bool      // what the handler did was flushed
	said     time.Time // when the gateway was last told something of it, whether it heard or not
}

func newStory() *story {
	return &story{byToken: map[string]*chapter{}, byEvent: map[string][]*chapter{}, at: map[string]*chapter{}}
}

func (s *story) blame(format string, args ...any) {
	if len(s.wrong) < 20 {
		s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	}
}

func (s *story) came(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byToken[d.GetAckToken()] != nil {
		return // said twice
	}
	c := &chapter{
		event: d.GetEvent().GetName(), number: d.GetHandOut(), attempt: d.GetAttempt(), replayed: d.GetReplayed(),
		token: d.GetAckToken(), came: time.Now(),
	}
	s.byToken[c.token] = c
	if s.books != nil {
		s.books.came(c)
	}
	s.byEvent[c.event] = append(s.byEvent[c.event], c)
}

// handler notes what a handler does and answers.
func (s *story) handler(handle func(context.Context, *delivery) error, verdict func(error) string) func(context.Context, *delivery) error {
	return func(ctx context.Context, d *delivery) error {
		c := s.begin(d)
		v := "retry" // of a panic
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			c.ended, c.verdict = true, v
			delete(s.at, c.event)
			if s.books != nil {
				s.books.end(c)
			}
		}()
		err := handle(ctx, d)
		v = verdict(err)
		return err
	}
}

func (s *story) begin(d *delivery) *chapter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled++
	c := s.byToken[d.GetAckToken()]
	switch other := s.at[c.event]; {
	case other != nil:
		s.blame("%s: %s is begun while a handler is at %s", c.event, c.token, other.token)
	case !c.began.IsZero():
		s.blame("%s: %s is handled twice", c.event, c.token)
	case c.released:
		s.blame("%s: %s is begun after it was given back", c.event, c.token)
	}
	c.began = time.Now()
	s.at[c.event] = c
	if s.books != nil {
		s.books.begin(c)
	}
	return c
}

// heard checks what is said, before the gateway may hear it.
func (s *story) heard(req *hookstreamv1.AcknowledgeRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, said := range req.GetSettlements() {
		c := s.mention(said.GetAckToken())
		switch verdict := said.GetVerdict(); {
		case c == nil || verdict == hookstreamv1.Settlement_VERDICT_EXTEND:
		case verdict == hookstreamv1.Settlement_VERDICT_ACK:
			s.acked(c)
		default:
			s.nacked(c, strings.ToLower(strings.TrimPrefix(verdict.String(), "VERDICT_")))
		}
	}
}

func (s *story) mention(token string) *chapter {
	c := s.byToken[token]
	if c == nil {
		s.blame("nobody handed %s out", token)
		return nil
	}
	c.said = time.Now()
	return c
}

func (s *story) acked(c *chapter) {
	switch {
	case !c.began.IsZero() && !s.handledFor(c):
		s.blame("%s: %s is acknowledged, its handler said %q, which lasts: %v", c.event, c.token, c.verdict, c.lasts)
	case c.began.IsZero() && !s.covered(c):
		s.blame("%s: %s is acknowledged and was not handled", c.event, c.token)
	case c.began.IsZero() && !c.carried:
		c.carried = true
		s.carried++
	}
}

// handledFor reports whether a handler is done with c, and its work lasts.
func (s *story) handledFor(c *chapter) bool {
	return c.ended && c.verdict == "ack" && (c.lasts || !s.lasting)
}

// covered reports whether the delivery that came right before was handled, or
// stands in for the one before it.
func (s *story) covered(c *chapter) bool {
	for _, before := range s.byEvent[c.event] {
		next := before.number+1 == c.number && s.sameLife(before, c)
		if c.number == 0 { // of an older gateway, where a Seek may hide behind an attempt
			next = before.attempt+1 == c.attempt
		}
		if !next || before.replayed != c.replayed {
			continue
		}
		if s.handledFor(before) || before.began.IsZero() && s.covered(before) {
			return true
		}
	}
	return false
}

func (s *story) sameLife(a, b *chapter) bool {
	return s.life == nil || s.life(a.token) == s.life(b.token)
}

func (s *story) nacked(c *chapter, action string) {
	switch {
	case action == "release" && s.outdated(c): // it was said twice
	case action == "release" && c.began.IsZero():
		c.released = true
		s.given++
	case action == "release" && s.lost && c.ended && c.verdict == "ack": // nobody knows what is lost
	case c.ended && (c.verdict == action || c.verdict == "release" && action == "retry"):
	default:
		s.blame("%s: %s gets %q, its handler began %v and said %q", c.event, c.token, action, c.began, c.verdict)
	}
}

// outdated reports whether a later delivery of the event came.
func (s *story) outdated(c *chapter) bool {
	return slices.ContainsFunc(s.byEvent[c.event], func(o *chapter) bool { return o.number > c.number })
}

func (s *story) answered(page int, req *hookstreamv1.AcknowledgeRequest, resp *hookstreamv1.AcknowledgeResponse, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status.Code(err) == codes.InvalidArgument { // an older gateway
		for _, said := range req.GetSettlements() {
			s.byToken[said.GetAckToken()].released = false
		}
	}
	for i, r := range resp.GetResults() {
		c := s.byToken[r.GetAckToken()]
		if s.books != nil && r.GetOutcome() == done && req.GetSettlements()[i].GetVerdict() == hookstreamv1.Settlement_VERDICT_ACK {
			s.books.settle(page, c)
		}
		if token := r.GetNewAckToken(); token != "" {
			s.byToken[token] = c
		}
	}
}

// flush is one that takes a moment, and now and then fails. What handlers did that
// answered before it began lasts after it.
func (s *story) flush(r *rand.Rand) func(context.Context) error {
	s.lasting = true
	return func(ctx context.Context) error {
		s.mu.Lock()
		takes, fails := time.Duration(r.IntN(50))*time.Millisecond, r.IntN(20) == 0
		var done []*chapter
		for _, c := range s.byToken {
			if c.ended {
				done = append(done, c)
			}
		}
		s.mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			fails = true
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if fails {
			s.lost = true
			return errFull
		}
		for _, c := range done {
			c.lasts = true
		}
		return nil
	}
}

// A witness tells a story of a connection.
type witness struct {
	grpc.ClientConnInterface
	story *story
}

func (w witness) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	req, ok := args.(*hookstreamv1.AcknowledgeRequest)
	if ok {
		w.story.heard(req)
	}
	page := w.story.books.page()
	err := w.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
	if ok {
		w.story.answered(page, req, reply.(*hookstreamv1.AcknowledgeResponse), err)
	}
	return err
}

func (w witness) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	in, err := w.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return nil, err
	}
	return witnessed{in, w.story}, nil
}

type witnessed struct {
	grpc.ClientStream
	story *story
}

func (w witnessed) RecvMsg(m any) error {
	if err := w.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	for _, d := range m.(*frame).GetBatch().GetDeliveries() {
		w.story.came(d)
	}
	return nil
}
