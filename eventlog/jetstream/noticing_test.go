package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
)

// There are several ways in which an embedded engine notices that nothing can be written
// any more, and on a real disk the first hides the others. Here each is alone.

// endable is an embedded engine of which nothing runs, and what ended it.
func endable(t *testing.T) (e *Engine, ended func() error) {
	t.Helper()
	told := make(chan error, 1)
	e = &Engine{logger: slog.New(slog.DiscardHandler), node: &embedded{}}
	e.opts.OnFatal = func(err error) { told <- err }
	e.ctx, e.stop = context.WithCancel(t.Context())
	t.Cleanup(e.stop)
	return e, func() error {
		if !e.failed.Load() {
			return nil
		}
		return <-told
	}
}

// says is a publisher to which a stream says the same of everything.
type says struct{ err error }

func (s says) publish(group []*pending) {
	for _, r := range group {
		r.err = s.err
	}
}

func acked(data, status string) error {
	m := nats.NewMsg("reply")
	m.Data = []byte(data)
	m.Header.Set("Status", status)
	_, err := parseAck(m)
	return err
}

// What a stream says of entries ends the engine when it will say so of all that come: at
// once when it says that it could not write or is not there, after a minute of silence,
// and never for what it says of one entry.
func TestWhatAStreamSaysEndsTheEngine(t *testing.T) {
	refused := func(code int) error { return acked(fmt.Sprintf(`{"error":{"code":503,"err_code":%d}}`, code), "") }
	for name, c := range map[string]struct {
		says  error
		after int // groups; 0: never
	}{
		"a write failed":    {refused(codeStoreFailed), 1},
		"no resources":      {refused(codeInsufficientResources), 1},
		"nobody there":      {acked("", "503"), 1},
		"silence":           {ErrNoAck, maxSilent},
		"not first":         {refused(codeWrongLastSequence), 0},
		"too large":         {refused(codeMessageExceeds), 0},
		"the queue is full": {errQueueFull, 0},
		"kept":              {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, ended := endable(t)
			p := e.judged(StreamEvents, says{c.says})
			for n := 1; n <= 2*maxSilent; n++ {
				p.publish([]*pending{{msg: nats.NewMsg("a")}})
				err := ended()
				if c.after == 0 || n < c.after {
					if err != nil {
						t.Fatalf("ended after %d groups: %v", n, err)
					}
					continue
				}
				if !errors.Is(err, c.says) || !errors.Is(e.Healthy(), eventlog.ErrUnavailable) {
					t.Fatalf("after %d groups: %v; health: %v", n, err, e.Healthy())
				}
				return
			}
		})
	}
}

// A stall that passes is none: silence counts in a row.
func TestSilenceThatPassesIsNotTheEnd(t *testing.T) {
	e, ended := endable(t)
	s := &says{ErrNoAck}
	p := &judgedPublisher{publisher: s, e: e, stream: StreamEvents}
	for range 3 {
		for range maxSilent - 1 {
			p.publish([]*pending{{msg: nats.NewMsg("a")}})
		}
		s.err = nil
		p.publish([]*pending{{msg: nats.NewMsg("a")}})
		s.err = ErrNoAck
	}
	if err := ended(); err != nil {
		t.Error(err)
	}
}

// What is said of a change in a bucket ends the engine as what is said of an entry does,
// but for a conflict.
func TestWhatABucketSaysEndsTheEngine(t *testing.T) {
	for name, c := range map[string]struct {
		says error
		ends bool
	}{
		"a write failed": {&jetstream.APIError{Code: 503, ErrorCode: codeStoreFailed}, true},
		"no resources":   {&jetstream.APIError{Code: 503, ErrorCode: codeInsufficientResources}, true},
		"nobody there":   {nats.ErrNoResponders, true},
		"no stream":      {jetstream.ErrNoStreamResponse, true},
		"a conflict":     {jetstream.ErrKeyExists, false},
		"silence":        {context.DeadlineExceeded, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, ended := endable(t)
			if _, err := (&natsBucket{e: e}).durable(0, 0, c.says); err == nil {
				t.Error("it is said to be kept")
			}
			if err := ended(); (err != nil) != c.ends {
				t.Errorf("ended: %v", err)
			}
		})
	}
}

// unsyncable is a disk whose syncs fail.
type unsyncable struct{ syncs atomic.Int64 }

var errDisk = errors.New("input/output error")

func (u *unsyncable) sync(int64) error { u.syncs.Add(1); return errDisk }
func (u *unsyncable) close()           {}

// A sync that fails is the end, and is not tried again: who waited for it is refused,
// though JetStream has kept what they sent, and so is who comes later.
func TestAFailedSyncIsTheEnd(t *testing.T) {
	t.Run("of a stream", func(t *testing.T) {
		e, ended := endable(t)
		disk := new(unsyncable)
		c := newCommitter(StreamEvents, says{}, disk, Options{}, 0, func() { t.Error("something counts as durable") }, nil, e.fatal)
		for range 3 {
			if _, err := c.commit(t.Context(), nats.NewMsg("a")); !errors.Is(err, eventlog.ErrUnavailable) {
				t.Errorf("kept: %v", err)
			}
		}
		c.close()
		if err := ended(); !errors.Is(err, errDisk) || disk.syncs.Load() != 1 {
			t.Errorf("ended: %v after %d syncs", err, disk.syncs.Load())
		}
	})
	t.Run("of a bucket", func(t *testing.T) {
		e, ended := endable(t)
		b := &natsBucket{e: e, barrier: new(unsyncable), sync: make(chan struct{}, 1)}
		if _, err := b.durable(7, 1, nil); !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("kept: %v", err)
		}
		if err := ended(); !errors.Is(err, errDisk) {
			t.Errorf("ended: %v", err)
		}
	})
}

// The log of the server is the first to say that a write failed, whoever was writing.
func TestWhatTheServerLogsEndsTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Pointer[error]
		l := natsLogger{l: slog.New(slog.DiscardHandler), failed: func(err error) { told.Store(&err) }}
		ended := func() error {
			synctest.Wait()
			if err := told.Swap(nil); err != nil {
				return *err
			}
			return nil
		}
		l.Errorf("Error reading %s", "a block")
		l.Warnf("%s critical write error", "not an error")
		if err := ended(); err != nil {
			t.Errorf("ended by what is no failed write: %v", err)
		}
		for _, format := range []string{"Filestore [%s] Critical write error: no space", "JetStream stream '%s' critical write error: no space"} {
			l.Errorf(format, "EVENTS")
			if err := ended(); !errors.Is(err, errStoreFailed) {
				t.Errorf("%s: ended by %v", format, err)
			}
		}
	})
}
