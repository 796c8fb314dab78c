package jetstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
)

// Somebody may delete a stream of a cluster under running gateways, and it may be made
// anew: by hand, by a backup that is restored, or by a gateway that starts. It has the
// name of the old one and other numbers, and whoever goes on with what is known of the
// old one takes new events for known, shows them late or never, and keeps to a
// configuration that nobody can change. So a gateway that knew the old stream ends, and
// the next start knows the new one.

const (
	// sameEvery is how often it is asked whether the streams are still the same.
	sameEvery = 2 * time.Second
	// shorterTime is how long a stream must have ended before where it did once: who
	// has just become its leader may not have put all of it in its place yet.
	shorterTime = 10 * time.Second
)

var (
	errRemade  = errors.New("it was deleted and made anew")
	errDeleted = fmt.Errorf("%w: it is gone", eventlog.ErrUnavailable)
)

// streams is what is known of the streams of a cluster.
type streams struct {
	// mu guards known and what it has; nothing is taken under it.
	mu    sync.Mutex
	known map[string]*identity
}

// identity is which stream has a name.
type identity struct {
	made    time.Time // zero: not known yet
	last    uint64    // the highest number that it was seen to have
	shorter time.Time // it has ended before last since then; zero: it does not
	strange int       // how often in a row it was another one
	gone    bool      // nobody knows it
}

// knows has answers about a stream compared from now on.
func (s *streams) knows(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[string]*identity)
	}
	if s.known[name] == nil {
		s.known[name] = new(identity)
	}
}

func (s *streams) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.known))
}

// is compares what was answered of a stream with what is known of it. A node that
// starts may say once when it has made its own files, which is not when the stream was
// made: only what is said twice is final.
func (s *streams) is(name string, info *jetstream.StreamInfo, now time.Time) (err error, final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[name]
	if k == nil {
		return nil, false
	}
	if k.made.IsZero() {
		k.made = info.Created
	}
	k.gone = false
	if !info.Created.Equal(k.made) {
		k.strange++
		return fmt.Errorf("stream %s: %w", name, errRemade), k.strange > 1
	}
	k.strange = 0
	switch last := info.State.LastSeq; {
	case last >= k.last:
		k.last, k.shorter = last, time.Time{}
	case k.shorter.IsZero():
		k.shorter = now
	case now.Sub(k.shorter) >= shorterTime:
		return fmt.Errorf("stream %s: %w: it ended with %d and ends with %d", name, errRemade, k.last, last), true
	}
	return nil, false
}

// isGone notes that nobody knows the stream.
func (s *streams) isGone(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.known[name]; k != nil {
		k.gone = true
	}
}

// gone answers an error that names the first stream that is not there.
func (s *streams) gone() error {
	for _, name := range s.names() {
		s.mu.Lock()
		gone := s.known[name].gone
		s.mu.Unlock()
		if gone {
			return fmt.Errorf("stream %s: %w", name, errDeleted)
		}
	}
	return nil
}

// knows has a stream looked after that this gateway needs. When nobody answers which one
// it is, the next answer says so.
func (e *Engine) knows(ctx context.Context, name string) {
	if e.node != nil {
		return
	}
	e.streams.knows(name)
	_, _ = e.same(ctx, name)
}

// mindStreams ends the engine when a stream is not the one any more that it knows.
func (e *Engine) mindStreams() {
	t := time.NewTicker(sameEvery)
	defer t.Stop()
	for {
		for _, name := range e.streams.names() {
			if err, final := e.same(e.ctx, name); final {
				e.fatal(err)
				return
			}
		}
		select {
		case <-t.C:
		case <-e.ctx.Done():
			return
		}
	}
}

// same answers whether a stream still is the one that was known, as whoever leads it
// says, and whether there is no doubt that it is not.
func (e *Engine) same(ctx context.Context, name string) (err error, final bool) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	info, err := e.streamInfo(ctx, e.js.Conn(), name)
	var answered *jetstream.APIError
	switch {
	case err == nil:
		return e.streams.is(name, &info, time.Now())
	case errors.As(err, &answered) && answered.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		e.streams.isGone(name)
		return fmt.Errorf("stream %s: %w", name, errDeleted), false
	}
	return err, false
}
