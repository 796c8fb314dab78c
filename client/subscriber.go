package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// openWait is how long the first frame may take.
const openWait = 20 * time.Second

// errHandedOver says that a stream is being read to its end elsewhere.
var errHandedOver = errors.New("the gateway is going down")

type frame = hookstreamv1.SubscribeResponse

// A reader is what a subscriber reads for.
type reader interface {
	// request asks for the next stream.
	request() *hookstreamv1.SubscribeRequest
	// onFrame handles a frame. An error ends everything.
	onFrame(s *stream, f *frame) error
	// tick is called now and then, never while take runs. An error ends
	// everything.
	tick() error
	// ended says that there are no more frames of a stream.
	ended(s *stream)
}

// A subscriber opens one stream after another, for as long as that helps.
type subscriber struct {
	conn    grpc.ClientConnInterface
	reader  reader
	every   time.Duration // for tick
	onError func(error)
	// overlap has the next stream opened while the one before is still being
	// read, when the gateway said that it goes down. Frames of both are taken
	// at once then.
	overlap bool
	endless bool // a stream that ends with OK is opened again too
	// mustReach has the first error end everything, until a stream was open.
	mustReach bool

	reached bool // a stream was open
	pauses  pauses
	rushed  bool           // did not pause, and nothing works since
	rest    sync.WaitGroup // streams that were handed over
}

// stopped is an error of take or tick: no matter of the connection.
type stopped struct{ error }

func (s stopped) Unwrap() error { return s.error }

// run answers nil when a stream reached its stop, the error of take or tick, an
// error that another attempt cannot mend, or why ctx ended. Streams are opened
// until ctx ends, and read until theirs does.
func (s *subscriber) run(ctx, streams context.Context) error {
	defer s.rest.Wait()
	for {
		draining, err := s.once(streams)
		var own stopped
		switch {
		case errors.As(err, &own):
			return own.error
		case err == nil && s.endless:
			err = errEnded
		case err == nil:
			return nil
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !mendable(err), s.mustReach && !s.reached:
			return err
		}
		if !errors.Is(err, errHandedOver) {
			s.onError(err)
		}
		s.wait(ctx, draining, err)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// wait pauses before the next attempt; not at all when the gateway has said that
// it goes down, because there may be another.
func (s *subscriber) wait(ctx context.Context, draining bool, err error) {
	if draining && !s.rushed {
		s.rushed = true
		return
	}
	asked := retryDelay(err)
	if errors.Is(err, errEnded) && !s.overlap {
		// No gateway ends a stream of the log so. Whoever did, a proxy that wants
		// no long streams, will do it again.
		asked = lastPause
		s.pauses.failed = max(s.pauses.failed, 10)
	}
	sleep(ctx, s.pauses.next(asked))
	// Otherwise the connection's own pauses, up to two minutes by default, would
	// go on top of ours.
	if conn, ok := s.conn.(interface{ ResetConnectBackoff() }); ok {
		conn.ResetConnectBackoff()
	}
}

// once opens one stream and takes its frames to its end, or until it is handed
// over.
func (s *subscriber) once(ctx context.Context) (draining bool, err error) {
	st := openStream(ctx, s.conn, s.reader.request())
	handedOver := false
	defer func() { // also when a handler panics, or ends its goroutine
		if !handedOver {
			s.close(st)
		}
	}()
	err = s.follow(ctx, st, s.overlap)
	if errors.Is(err, errHandedOver) {
		handedOver = true
		s.rest.Go(func() {
			_ = s.follow(ctx, st, false) // it was going to end
			s.close(st)
		})
		return true, err
	}
	return st.draining, err
}

func (s *subscriber) close(st *stream) {
	st.close()
	s.reader.ended(st)
}

// follow takes frames until there are no more, or none came for too long.
func (s *subscriber) follow(ctx context.Context, st *stream, handOver bool) error {
	silence := time.NewTimer(st.patience)
	defer silence.Stop()
	lastHeard := time.Now()
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-silence.C:
			return ErrSilent
		case <-ticker.C:
			before := time.Now()
			if err := s.reader.tick(); err != nil {
				return stopped{err}
			}
			// What that took, nobody listened.
			lastHeard = lastHeard.Add(time.Since(before))
			silence.Reset(st.patience - time.Since(lastHeard))
		case r := <-st.frames:
			if errors.Is(r.err, io.EOF) && st.opened {
				return nil
			}
			if err := s.hear(st, r); err != nil {
				return err
			}
			if handOver && st.draining {
				return errHandedOver
			}
			// Handling may take its time: that is not silence.
			lastHeard = time.Now()
			silence.Reset(st.patience)
		}
	}
}

// hear takes what came on a stream.
func (s *subscriber) hear(st *stream, r received) error {
	if errors.Is(r.err, io.EOF) {
		return errEnded // not by a gateway: it opens a stream before it ends it
	}
	if r.err != nil {
		return r.err
	}
	st.note(r.frame)
	if !st.draining { // else somebody else is at s by now
		s.reached = true
	}
	if st.works {
		s.works(st)
	}
	if err := s.reader.onFrame(st, r.frame); err != nil {
		return stopped{err}
	}
	return nil
}

// works says that a stream gives more than its first frame. A gateway that opens
// streams and ends them at once is not well.
func (s *subscriber) works(st *stream) {
	if !st.draining {
		s.pauses.reset()
		s.rushed = false
	}
}

// A stream is one that was opened.
type stream struct {
	frames   chan received
	cancel   context.CancelFunc
	over     chan struct{}
	patience time.Duration // without a frame
	opened   bool          // it gave its first frame
	works    bool          // it gave more than that
	draining bool          // the gateway said it would end it

	// Under the lock of the consumer it is for.
	clock     clock
	leaveTime time.Time // when what is not begun goes back
}

// received is a frame, or why there are no more.
type received struct {
	frame *frame
	err   error
}

func openStream(ctx context.Context, conn grpc.ClientConnInterface, req *hookstreamv1.SubscribeRequest) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{frames: make(chan received), cancel: cancel, over: make(chan struct{}), patience: openWait, clock: clock{epoch: time.Now()}}
	go s.receive(ctx, conn, req)
	return s
}

// close ends the stream, and returns when nothing of it is left.
func (s *stream) close() {
	s.cancel()
	<-s.over
}

// receive hands frames over one by one, so that at most one is read ahead: a slow
// reader slows the stream down instead of filling memory.
func (s *stream) receive(ctx context.Context, conn grpc.ClientConnInterface, req *hookstreamv1.SubscribeRequest) {
	defer close(s.over)
	in, err := hookstreamv1.NewEventServiceClient(conn).Subscribe(ctx, req)
	for {
		var f *frame
		if err == nil {
			f, err = in.Recv()
		}
		select {
		case s.frames <- received{f, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// note learns from a frame how the stream is doing.
func (s *stream) note(f *frame) {
	switch f.GetFrame().(type) {
	case *hookstreamv1.SubscribeResponse_Opened:
		s.opened = true
		if beat := f.GetOpened().GetHeartbeatInterval(); beat != nil {
			s.patience = beat.AsDuration() * 5 / 2
		}
	case *hookstreamv1.SubscribeResponse_Draining:
		s.draining = true
	case *hookstreamv1.SubscribeResponse_CaughtUp:
		// Said at once by a stream that has nothing to give: it has not lasted yet.
	default:
		s.works = true
	}
}
