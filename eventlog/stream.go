package eventlog

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/index"
)

// stream is the Log on a JetStream stream.
type stream struct {
	e           *Engine
	js          jetstream.Stream
	reads       *nats.Conn
	commit      *committer
	incarnation event.Incarnation
	full        atomic.Bool // too little room on the disk

	mu      sync.Mutex
	moved   chan struct{} // closed and replaced when the watermark moves
	tailers map[*tailer]struct{}
	next    uint64 // what the shared tail will show next
	broken  error  // why the shared tail ended
}

// contentWindow is how long a repeated content is pointed out.
const contentWindow = 24 * time.Hour

// Headers of a stored entry, from which the index is rebuilt without reading
// the body.
const (
	headerKey     = "Nats-Msg-Id"
	headerContent = "Hookstream-Content"
)

func (e *Engine) openEvents(ctx context.Context) error {
	js, err := e.ensureStream(ctx, jetstream.StreamConfig{
		Name:        streamEvents,
		Description: "Hookstream: verified events",
		Subjects:    []string{subjectEvents + ".>"},
		MaxAge:      e.opts.MaxAge,
		MaxBytes:    orUnlimited(e.opts.MaxBytes),
		MaxMsgs:     orUnlimited(e.opts.MaxEvents),
		AllowDirect: true,
	})
	if err != nil {
		return err
	}
	inc, err := event.ParseIncarnation(js.CachedInfo().Config.Metadata[incarnationKey])
	if err != nil {
		return fmt.Errorf("stream %s was not made by this software: %w", streamEvents, err)
	}
	s := &stream{e: e, js: js, incarnation: inc, moved: make(chan struct{}), tailers: make(map[*tailer]struct{})}
	if s.reads, err = e.connect("read"); err != nil {
		return err
	}
	// The barrier syncs all that an earlier process left before it returns, so
	// everything up to the last sequence is durable.
	last := js.CachedInfo().State.LastSeq
	if s.commit, err = e.committerFor(streamEvents, last, s.advanced); err != nil {
		return err
	}
	if e.index, err = index.Open(filepath.Join(e.opts.Dir, "index"), uint32(inc), last, e.opts.DedupWindow, e.logger); err != nil {
		return err
	}
	e.events = s
	return s.startTail(ctx, last)
}

func orUnlimited(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// advanced wakes whoever waits for the watermark.
func (s *stream) advanced() {
	s.mu.Lock()
	close(s.moved)
	s.moved = make(chan struct{})
	s.mu.Unlock()
}

// durable answers the last sequence that may be shown. What a cluster shows, a
// quorum has.
func (s *stream) durable(shown uint64) uint64 {
	if s.e.node == nil {
		return shown
	}
	return s.commit.watermark.Load()
}

func (s *stream) Incarnation() event.Incarnation { return s.incarnation }

func keyHash(source, key string) index.Hash { return index.HashOf("key", source, key) }

func contentHash(source string, fp []byte) index.Hash {
	return index.HashOf("content", source, string(fp))
}

// Append looks the key up first: JetStream's own window is only minutes long
// and covers what the index does not know yet.
func (s *stream) Append(ctx context.Context, a Entry) (Appended, error) {
	if s.full.Load() {
		return Appended{}, fmt.Errorf("%w: the file system has less than %d bytes left", ErrFull, s.e.opts.MinFreeBytes)
	}
	if len(a.Data) > s.e.opts.MaxEntryBytes {
		return Appended{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(a.Data))
	}
	if a.Source == "" || a.DedupKey == "" {
		return Appended{}, errors.New("eventlog: an entry needs a source and a key")
	}
	key := keyHash(a.Source, a.DedupKey)
	for wait := minDuplicateWait; ; wait = min(2*wait, maxDuplicateWait) {
		seq, ok, err := s.e.index.Key(key)
		if err != nil {
			return Appended{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if ok {
			return Appended{Seq: seq, Duplicate: true}, nil
		}
		got, err := s.commit.commit(ctx, s.message(a, key))
		if !errors.Is(err, errDuplicateInProcess) {
			return got, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Appended{}, context.Cause(ctx)
		}
	}
}

// A cluster refuses a duplicate while the first has no quorum yet, which is a
// matter of milliseconds.
const (
	minDuplicateWait = 2 * time.Millisecond
	maxDuplicateWait = 100 * time.Millisecond
)

func (s *stream) message(a Entry, key index.Hash) *nats.Msg {
	h := nats.Header{headerKey: []string{base64.RawURLEncoding.EncodeToString(key[:])}}
	if a.Fingerprint != nil {
		content := contentHash(a.Source, a.Fingerprint)
		h[headerContent] = []string{base64.RawURLEncoding.EncodeToString(content[:])}
	}
	return &nats.Msg{Subject: eventSubject(a.Source, a.Topic, a.Action), Header: h, Data: a.Data}
}

func (s *stream) Key(source, dedupKey string) (uint64, bool, error) {
	return s.e.index.Key(keyHash(source, dedupKey))
}

func (s *stream) Content(source string, fp []byte) (uint64, bool, error) {
	return s.e.index.Content(contentHash(source, fp), time.Now().Add(-contentWindow))
}

func (s *stream) Bounds(ctx context.Context) (Bounds, error) {
	info, err := s.js.Info(ctx)
	if err != nil {
		return Bounds{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	last := min(info.State.LastSeq, s.durable(info.State.LastSeq))
	first := info.State.FirstSeq
	if info.State.Msgs == 0 || first == 0 {
		first = info.State.LastSeq + 1
	}
	return Bounds{First: min(first, last+1), Last: last}, nil
}

func (s *stream) close() {
	s.commit.close()
}
