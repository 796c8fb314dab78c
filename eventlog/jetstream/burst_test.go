package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// slowStream stands for a JetStream stream in trouble, which a real one is too
// rarely: do says what becomes of each message.
type slowStream struct {
	mu     sync.Mutex
	stored []event.Record
	do     func(n int) fate // nil: all are stored
	n      int
}

type fate int

const (
	store fate = iota
	storeSilently
	lose // silently
	refuseFull
)

func (s *slowStream) handle(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := store
	if s.do != nil {
		f = s.do(s.n)
	}
	s.n++
	if m.Header.Get("Nats-Expected-Last-Sequence") != "" && f != lose {
		f = refuseFull // a probe
	}
	if f == store || f == storeSilently {
		s.stored = append(s.stored, event.Record{Seq: uint64(len(s.stored) + 1), Data: m.Data})
	}
	switch {
	case m.Reply == "" || f == storeSilently || f == lose:
	case f == refuseFull:
		_ = m.Respond([]byte(`{"error":{"code":503,"err_code":10077,"description":"no room"}}`))
	default:
		_ = m.Respond(fmt.Appendf(nil, `{"stream":"S","seq":%d}`, len(s.stored)))
	}
}

func (s *slowStream) read(from uint64) ([]event.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from > uint64(len(s.stored)) {
		return nil, nil
	}
	return append([]event.Record(nil), s.stored[from-1:]...), nil
}

func (s *slowStream) burst(t *testing.T) *burst {
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(srv.Shutdown)
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if _, err := nc.Subscribe(SubjectEvents+".>", s.handle); err != nil {
		t.Fatal(err)
	}
	b, err := newBurst(nc, 0, time.Time{}, s.read)
	if err != nil {
		t.Fatal(err)
	}
	b.limit = 200 * time.Millisecond
	return b
}

func entries(from, n int) []*pending {
	group := make([]*pending, n)
	for i := range group {
		a := eventlog.Entry{Source: "a", Topic: "t", Action: "a", DedupKey: fmt.Sprint(from + i), Data: []byte("data")}
		key := keyHash(a.Source, a.DedupKey)
		group[i] = &pending{key: key, msg: messageOf(a, key)}
	}
	return group
}

func wantSeqs(t *testing.T, group []*pending, want ...uint64) {
	t.Helper()
	for i, r := range group {
		if want[i] == 0 && r.err == nil || want[i] != 0 && (r.err != nil || r.got.Seq != want[i]) {
			t.Errorf("entry %d: %d, %v; want %d", i, r.got.Seq, r.err, want[i])
		}
	}
}

func TestBurstSequences(t *testing.T) {
	b := new(slowStream).burst(t)
	one, two := entries(0, 3), entries(3, 1)
	b.publish(one)
	b.publish(two)
	wantSeqs(t, append(one, two...), 1, 2, 3, 4)
	if two[0].nanos <= one[2].nanos {
		t.Error("time stands still")
	}
}

// An entry that the stream does not take shifts the sequences of those after it.
func TestBurstWithARefusedEntry(t *testing.T) {
	s := &slowStream{do: func(n int) fate { return map[int]fate{1: refuseFull}[n] }}
	b := s.burst(t)
	group := entries(0, 3)
	b.publish(group)
	wantSeqs(t, group, 1, 0, 2)
}

func TestBurstWhoseLastEntryIsRefused(t *testing.T) {
	s := &slowStream{do: func(n int) fate { return map[int]fate{2: refuseFull}[n] }}
	b := s.burst(t)
	group := entries(0, 3)
	b.publish(group)
	wantSeqs(t, group, 1, 2, 0)
	if !errors.Is(group[2].err, eventlog.ErrFull) {
		t.Errorf("%v, want ErrFull", group[2].err)
	}
}

// What was stored without a word shifts the sequences of what comes later.
func TestBurstAfterSilence(t *testing.T) {
	for name, quiet := range map[string]fate{"stored": storeSilently, "lost": lose} {
		t.Run(name, func(t *testing.T) {
			s := &slowStream{do: func(n int) fate {
				if n < 2 {
					return quiet
				}
				return store
			}}
			b := s.burst(t)
			silent, later := entries(0, 2), entries(2, 2)
			b.publish(silent)
			if !errors.Is(silent[0].err, ErrNoAck) || !errors.Is(silent[1].err, ErrNoAck) {
				t.Fatalf("%v, %v; want no acknowledgement", silent[0].err, silent[1].err)
			}
			b.publish(later)
			if quiet == lose {
				wantSeqs(t, later, 1, 2)
			} else {
				wantSeqs(t, later, 3, 4)
			}
		})
	}
}

// When nothing comes later, a probe decides.
func TestBurstProbes(t *testing.T) {
	s := &slowStream{do: func(n int) fate { return map[int]fate{0: storeSilently, 1: lose}[n] }}
	b := s.burst(t)
	b.publish(entries(0, 1))
	early, late := &pending{}, &pending{}
	b.publish([]*pending{early}) // its probe is lost
	if early.group != 0 || !b.unsure {
		t.Error("decided by a probe that nobody answered")
	}
	b.publish([]*pending{late})
	if late.group == 0 || late.got.Seq != 1 || b.unsure {
		t.Errorf("not decided: group %d, sequence %d", late.group, late.got.Seq)
	}
}

// A real stream refuses a probe and keeps nothing of it; an entry that is in
// doubt is refused until then, and shown when it turns out to be stored.
func TestDoubtEnds(t *testing.T) {
	o := DefaultOptions()
	o.Dir = t.TempDir()
	e, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	a := eventlog.Entry{Source: "a", Topic: "t", Action: "a", DedupKey: "k", Data: []byte("data")}
	if _, err := e.events.Append(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	r := doubtful(t, e, "in doubt")
	b := a
	b.DedupKey = "in doubt"
	if _, err := e.events.Append(t.Context(), b); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("append of what is in doubt: %v, want ErrUnavailable", err)
	}
	e.events.landed([]*pending{r}) // which looks after it in a while
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for e.events.local.flights.inDoubt() && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	got, err := e.events.Append(ctx, b)
	if err != nil || got.Duplicate || got.Seq != 2 {
		t.Errorf("append after the doubt: %+v, %v; want sequence 2: the probe keeps nothing", got, err)
	}
}

// doubtful makes an entry that was sent and not acknowledged.
func doubtful(t *testing.T, e *Engine, key string) *pending {
	r := &pending{key: keyHash("a", key), err: ErrNoAck, done: make(chan struct{})}
	close(r.done)
	if other := e.events.local.flights.begin(r); other != nil {
		t.Fatal("it is there already")
	}
	pub := e.events.commit.pub.(*judgedPublisher).publisher.(*burst)
	r.group, pub.unsure = pub.group, true // nothing is published now
	return r
}
