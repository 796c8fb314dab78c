package jetstream

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
	"github.com/hookstream/hookstream/eventlog"
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
	local       *local      // nil: others write to the log as well
	holes       holes

	// mu guards what follows. It is let go of before followers are called: they may
	// join, detach and read.
	mu      sync.Mutex
	moved   chan struct{} // closed and replaced when the watermark moves
	tailers map[*tailer]struct{}
	next    uint64 // what the shared tail will show next
	broken  error  // why the shared tail ended
}

// contentWindow is how long a repeated content is pointed out.
const contentWindow = 24 * time.Hour

// HeaderID is what JetStream knows an entry by, where several write.
const HeaderID = "Nats-Msg-Id"

func (e *Engine) openEvents(ctx context.Context) error {
	js, err := e.EnsureStream(ctx, jetstream.StreamConfig{
		Name:        StreamEvents,
		Description: "Hookstream: verified events",
		Subjects:    []string{SubjectEvents + ".>"},
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
		return fmt.Errorf("stream %s was not made by this software: %w", StreamEvents, err)
	}
	s := &stream{e: e, js: js, incarnation: inc, moved: make(chan struct{}), tailers: make(map[*tailer]struct{})}
	if s.reads, err = e.connect(ctx, "read"); err != nil {
		return err
	}
	// The barrier syncs all that an earlier process left before it returns, so
	// everything up to the last sequence is durable.
	last := js.CachedInfo().State.LastSeq
	e.files.bounds.begin(last)
	if e.node != nil {
		err = s.openLocal(ctx, last)
	} else {
		s.commit, err = e.committerFor(ctx, StreamEvents, last, s.advanced)
	}
	if err != nil {
		return err
	}
	if e.index, err = index.Open(filepath.Join(e.opts.Dir, indexDir), uint32(inc), last, e.opts.DedupWindow, e.logger); err != nil {
		return err
	}
	e.events = s
	return s.learn(ctx, last)
}

// indexDir is where the index lies in a data directory.
const indexDir = "index"

// learn has the index learn of what comes, and returns when it knows all up to last:
// until then a duplicate could not be told.
func (s *stream) learn(ctx context.Context, last uint64) error {
	if s.local != nil {
		s.next = s.e.index.Applied() + 1
		s.e.wg.Go(s.followLocal)
	} else if err := s.startTail(ctx); err != nil {
		return err
	}
	return s.waitIndexed(ctx, last)
}

func orUnlimited(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// advanced wakes whoever waits for the watermark.
func (s *stream) advanced() {
	s.e.files.bounds.setLast(s.commit.watermark.Load())
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

func (s *stream) Append(ctx context.Context, a eventlog.Entry) (eventlog.Appended, error) {
	if s.full.Load() {
		return eventlog.Appended{}, fmt.Errorf("%w: the file system has less than %d bytes left", eventlog.ErrFull, s.e.opts.MinFreeBytes)
	}
	if len(a.Data) > s.e.opts.MaxEntryBytes {
		return eventlog.Appended{}, fmt.Errorf("%w: %d bytes", eventlog.ErrTooLarge, len(a.Data))
	}
	if a.Source == "" || a.DedupKey == "" {
		return eventlog.Appended{}, errors.New("eventlog: an entry needs a source and a key")
	}
	if s.local != nil {
		return s.appendLocal(ctx, a)
	}
	return s.appendShared(ctx, a)
}

// appendShared looks the key up first: JetStream's own window is only minutes
// long and covers what the index does not know yet.
func (s *stream) appendShared(ctx context.Context, a eventlog.Entry) (eventlog.Appended, error) {
	key := keyHash(a.Source, a.DedupKey)
	for wait := minDuplicateWait; ; wait = min(2*wait, maxDuplicateWait) {
		if got, err := s.known(key); got.Duplicate || err != nil {
			return got, err
		}
		m := messageOf(a, key)
		m.Header = nats.Header{HeaderID: []string{base64.RawURLEncoding.EncodeToString(key[:])}}
		got, err := s.commit.commit(ctx, m)
		if !errors.Is(err, errDuplicateInProcess) {
			return got, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return eventlog.Appended{}, context.Cause(ctx)
		}
	}
}

// known looks the key up in the index.
func (s *stream) known(key index.Hash) (eventlog.Appended, error) {
	seq, ok, err := s.e.index.Key(key)
	if err != nil {
		return eventlog.Appended{}, s.looked(err)
	}
	return s.unlessMissing(seq, ok), nil
}

// unlessMissing answers where an event lies that the index knows, if it is there:
// one that the log has lost is taken again.
func (s *stream) unlessMissing(seq uint64, ok bool) eventlog.Appended {
	ok = ok && !s.e.files.missing.contains(seq)
	if !ok {
		seq = 0
	}
	return eventlog.Appended{Seq: seq, Duplicate: ok}
}

// looked answers what a look into the index met. A damaged index is the end: it is
// made anew at the next start, and until then a repetition could not be told.
func (s *stream) looked(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, index.ErrDamaged) {
		s.e.fatal(err)
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
}

// A cluster refuses a duplicate while the first has no quorum yet, which is a
// matter of milliseconds.
const (
	minDuplicateWait = 2 * time.Millisecond
	maxDuplicateWait = 100 * time.Millisecond
)

func contentOf(a eventlog.Entry) (h index.Hash) {
	if a.Fingerprint != nil {
		h = contentHash(a.Source, a.Fingerprint)
	}
	return h
}

func messageOf(a eventlog.Entry, key index.Hash) *nats.Msg {
	return &nats.Msg{Subject: EventSubject(a.Source, a.Topic, a.Action), Data: keep(key, contentOf(a), a.Data)}
}

func (s *stream) Key(source, dedupKey string) (uint64, bool, error) {
	seq, ok, err := s.e.index.Key(keyHash(source, dedupKey))
	got := s.unlessMissing(seq, ok)
	return got.Seq, got.Duplicate, s.looked(err)
}

func (s *stream) Content(source string, fp []byte) (uint64, bool, error) {
	seq, ok, err := s.e.index.Content(contentHash(source, fp), time.Now().Add(-contentWindow))
	got := s.unlessMissing(seq, ok)
	return got.Seq, got.Duplicate, s.looked(err)
}

// Bounds begins at what the log has lost before its first record: that is a hole in it,
// and not what retention dropped.
func (s *stream) Bounds(ctx context.Context) (eventlog.Bounds, error) {
	b, err := s.ends(ctx)
	if err == nil {
		b.First = s.e.files.missing.begins(b.First)
	}
	return b, err
}

// ends answers the present ends of what is there.
func (s *stream) ends(ctx context.Context) (eventlog.Bounds, error) {
	info, err := s.js.Info(ctx)
	if err != nil {
		return eventlog.Bounds{}, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	last := min(info.State.LastSeq, s.durable(info.State.LastSeq))
	first := info.State.FirstSeq
	if info.State.Msgs > 0 {
		s.e.noteFirst(first, info.State.FirstTime)
	}
	if info.State.Msgs == 0 || first == 0 {
		first = info.State.LastSeq + 1
	}
	return eventlog.Bounds{First: min(first, last+1), Last: last}, nil
}

func (s *stream) close() {
	s.commit.close()
}
