package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Handler handles one event. The delivery is the handler's to keep and change.
//
// What its error means is said by [Run] and [Stream].
type Handler func(ctx context.Context, d *hookstreamv1.Delivery) error

// StreamOptions say what to stream. The zero value is every event from now on,
// in the typed view, with the place kept in memory only.
type StreamOptions struct {
	// Selector says which events. Nil: all.
	Selector *hookstreamv1.EventSelector
	// Start is where to begin when Cursors has no cursor yet.
	Start Start
	// Stop is where to end.
	Stop Stop
	// View is how much of each event to get. TYPED by default.
	View hookstreamv1.EventView
	// FlowControl bounds what is sent at once. Nil: the gateway's defaults.
	FlowControl *hookstreamv1.FlowControl
	// ClientID is a name for this client in the gateway's log, at most 128
	// characters.
	ClientID string

	// Cursors keeps the place between runs. Nil: a new run begins at Start.
	Cursors CursorStore
	// SaveEvery is how often the place is kept while events come: a process that
	// is killed handles the events since then again. Default one second; a
	// nanosecond keeps it after every event.
	SaveEvery time.Duration
	// Flush makes last what handlers did: for a handler that writes into a buffer,
	// or collects for one transaction. It is called after each batch, and before a
	// place is kept; events count as handled once it answered nil. Its error ends
	// the stream, with the place as it was after the Flush before. Nil: what a
	// handler did lasts when it answers.
	Flush func(context.Context) error

	// MustReach ends Stream with the error when no stream could be opened at all:
	// for a program beside which somebody sits, who may have mistyped an address.
	// Once a stream was open, a gateway that is away is waited for.
	MustReach bool

	// OnGap is told that the log dropped events before they could be read, and
	// ends the stream when it answers an error. Without it no gap is passed over:
	// Stream ends with the reason CURSOR_EXPIRED.
	OnGap func(*hookstreamv1.Gap) error
	// OnFrame is shown every frame that is not a batch, before its cursor counts:
	// opened, caught_up, fell_behind, gap and the rest.
	OnFrame func(*hookstreamv1.SubscribeResponse)
	// OnError is told why a stream ended that will be opened again.
	OnError func(error)
}

// Stream hands events to handle one after another, in the order of the log, and
// opens the stream again when it breaks, after the last event that was handled.
//
// It returns nil when Stop is reached, the handler's own error when that answers
// one (the event then counts as not handled; for [ErrStop] it does, and Stream
// returns nil), the cause of ctx when that ends, and otherwise an error that another attempt cannot mend: [Reason] says whether
// the cursor expired (CURSOR_EXPIRED), belongs to another log (CURSOR_UNKNOWN)
// or the request is wrong. In each case, and when the handler panics, the place
// is kept before.
//
// Delivery is at least once against Cursors: an event may be handled again after
// a crash, never passed over. While handle runs nothing more is read, so a slow
// handler slows its own stream down and nobody else's.
func Stream(ctx context.Context, conn grpc.ClientConnInterface, o StreamOptions, handle Handler) (err error) {
	s := &place{store: o.Cursors, every: o.SaveEvery, flush: o.Flush}
	if s.every <= 0 {
		s.every = time.Second
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	defer func() {
		if lost := s.finish(ctx); lost != nil {
			err = errors.Join(err, lost)
		}
	}()
	err = (&subscriber{
		conn:      conn,
		reader:    &tail{StreamOptions: o, ctx: ctx, place: s, handle: handle},
		every:     max(s.every, time.Second),
		onError:   told(o.OnError),
		endless:   o.Stop == Stop{},
		mustReach: o.MustReach,
	}).run(ctx, ctx)
	if err == errLast { //nolint:errorlint // take answers it, and nobody wraps it
		return nil
	}
	return err
}

// ErrStop is what a handler of [Stream] answers, perhaps wrapped, when the event is
// handled and was the last that is wanted.
var ErrStop = errors.New("client: no more events are wanted")

// errLast says that a handler answered ErrStop and its event was flushed.
var errLast = errors.New("stopped")

// A tail is a stream, over all its connections.
type tail struct {
	StreamOptions
	ctx    context.Context // of one call of Stream, which it does not outlive
	place  *place
	handle Handler
}

func (t *tail) tick() error { return t.place.save(t.ctx) }

func (t *tail) ended(*stream) {}

// request asks for what is after the cursor, or for the start when there is none
// yet.
func (t *tail) request() *hookstreamv1.SubscribeRequest {
	req := &hookstreamv1.SubscribeRequest{
		Selector: t.Selector, View: t.View, FlowControl: t.FlowControl, ClientId: t.ClientID,
	}
	t.Stop.subscribe(req)
	if t.place.handled != "" {
		After(t.place.handled).subscribe(req)
	} else {
		t.Start.subscribe(req)
	}
	if t.OnGap != nil {
		req.OnCursorExpired = hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_SKIP_TO_EARLIEST
	}
	return req
}

// onFrame handles a frame. Its own cursor counts after those of its deliveries: with
// a narrow selector it is further on.
func (t *tail) onFrame(_ *stream, f *frame) error {
	for _, d := range f.GetBatch().GetDeliveries() {
		if t.ctx.Err() != nil {
			return context.Cause(t.ctx)
		}
		t.place.begun = true
		err := t.handle(t.ctx, d)
		if err != nil && !errors.Is(err, ErrStop) {
			return err
		}
		if err := t.place.move(t.ctx, d.GetCursor()); err != nil {
			return err
		}
		if err != nil {
			return t.last()
		}
	}
	if err := t.place.persist(t.ctx); err != nil {
		return err
	}
	if f.GetBatch() == nil && t.OnFrame != nil {
		t.OnFrame(f)
	}
	if gap := f.GetGap(); gap != nil && t.OnGap != nil {
		if err := t.OnGap(gap); err != nil {
			return err
		}
	}
	return t.place.move(t.ctx, f.GetCursor())
}

// last ends the stream with the event that was handled last.
func (t *tail) last() error {
	if err := t.place.persist(t.ctx); err != nil {
		return err
	}
	return errLast
}

// A place is how far a stream was handled, how far that was made to last, and how
// far that was kept.
type place struct {
	store   CursorStore                 // may be nil
	flush   func(context.Context) error // may be nil
	every   time.Duration
	begun   bool // something is handled that was not flushed
	handled string
	lasting string
	kept    string
	time    time.Time // of the last save
}

func (p *place) load(ctx context.Context) error {
	if p.store == nil {
		return nil
	}
	cursor, err := p.store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load the cursor: %w", err)
	}
	p.handled, p.lasting, p.kept = cursor, cursor, cursor
	return nil
}

// move says that everything up to the cursor was handled.
func (p *place) move(ctx context.Context, cursor string) error {
	if cursor == "" {
		return nil
	}
	p.handled = cursor
	if time.Since(p.time) < p.every {
		return nil
	}
	return p.save(ctx)
}

// persist makes what was handled last. After an error nothing of that counts, nor
// is tried again: nobody knows how much of it there is.
func (p *place) persist(ctx context.Context) error {
	if p.flush != nil && p.begun {
		p.begun = false
		if err := p.flush(ctx); err != nil {
			p.handled = p.lasting
			return err
		}
	}
	p.lasting = p.handled
	return nil
}

func (p *place) save(ctx context.Context) error {
	if err := p.persist(ctx); err != nil {
		return err
	}
	if p.store == nil || p.lasting == p.kept {
		return nil
	}
	if err := p.store.Save(ctx, p.lasting); err != nil {
		return fmt.Errorf("keep the cursor: %w", err)
	}
	p.kept, p.time = p.lasting, time.Now()
	return nil
}

// finish saves what is left, although ctx may have ended.
func (p *place) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return p.save(ctx)
}

// told answers a hook that can be called.
func told(hook func(error)) func(error) {
	if hook == nil {
		return func(error) {}
	}
	return hook
}
