package subscription

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// told is a bucket that tells what it is told to.
type told struct {
	eventlog.Bucket
	changes chan eventlog.Change
	done    chan struct{}
}

func (b told) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	ready()
	for {
		select {
		case c := <-b.changes:
			fn(c)
			b.done <- struct{}{}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tell has the store hear of a change.
func (b told) tell(c eventlog.Change) {
	b.changes <- c
	<-b.done
}

func newTestStore(t testing.TB) (*store, told) {
	t.Helper()
	b := told{changes: make(chan eventlog.Change), done: make(chan struct{})}
	s, err := openStore(t.Context(), b, slog.New(slog.DiscardHandler), func(string, *Subscription) {}, func(eventlog.Change) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, b
}

// starting is a bucket of a cluster that is being started: it keeps nothing at first, and
// then what it does not say that it keeps.
type starting struct {
	told
	tries int
}

func (b *starting) Create(_ context.Context, key string, value []byte) (uint64, error) {
	b.tries++
	if b.tries == 3 {
		go b.tell(eventlog.Change{Key: key, Value: value, Revision: 1})
	}
	return 0, fmt.Errorf("%w: no responders", eventlog.ErrUnavailable)
}

// The first start of all waits for a cluster until there is a key for tokens, and until
// it is told to end; an embedded engine that keeps none is not waited for.
func TestTheKeyOfTokensIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := func(ends time.Duration, patient bool) (tries int, took time.Duration, err error) {
			b := &starting{told: told{changes: make(chan eventlog.Change), done: make(chan struct{})}}
			s, err := openStore(t.Context(), b, slog.New(slog.DiscardHandler), func(string, *Subscription) {}, func(eventlog.Change) {})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), ends)
			defer cancel()
			start := time.Now()
			_, err = s.signer(ctx, patient)
			synctest.Wait()
			return b.tries, time.Since(start), err
		}
		if tries, took, err := open(time.Hour, true); err != nil || tries != 3 || took != 2*time.Second {
			t.Errorf("a cluster: %v after %d tries in %s", err, tries, took)
		}
		if _, took, err := open(1500*time.Millisecond, true); err == nil || took != 1500*time.Millisecond {
			t.Errorf("told to end: %v after %s", err, took)
		}
		if tries, took, err := open(time.Hour, false); !errors.Is(err, eventlog.ErrUnavailable) || tries != 1 || took != 0 {
			t.Errorf("embedded: %v after %d tries in %s", err, tries, took)
		}
	})
}

func formOf(t testing.TB, uid string) []byte {
	t.Helper()
	value, err := encode(&Subscription{UID: uid, Generation: 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// The index of uids follows whatever becomes of a subscription.
func TestUIDs(t *testing.T) {
	s, b := newTestStore(t)
	is := func(uid string, want bool) {
		t.Helper()
		name := queueName(&Subscription{UID: uid, Generation: 1})
		if s.hasUID(uid) != want || (s.byUID(uid) != nil) != want || s.ownsQueue(name) != want || s.ownsQueue(queuePrefix+uid+"-replays") != want {
			t.Errorf("uid %s: known %t", uid, !want)
		}
	}
	b.tell(eventlog.Change{Key: "a", Value: formOf(t, "one"), Revision: 1})
	b.tell(eventlog.Change{Key: "b", Value: formOf(t, "two"), Revision: 2})
	is("one", true)
	is("two", true)
	if s.ownsQueue(queuePrefix + "one-2-0") {
		t.Error("the queue of another generation is owned")
	}
	b.tell(eventlog.Change{Key: "a", Value: formOf(t, "three"), Revision: 3}) // deleted and made anew
	is("one", false)
	is("three", true)
	b.tell(eventlog.Change{Key: "a", Value: formOf(t, "one"), Revision: 1}) // a watch that began anew
	is("one", false)
	b.tell(eventlog.Change{Key: "b", Revision: 4})
	is("two", false)
	b.tell(eventlog.Change{Key: "a", Revision: 5})
	is("three", false)
}

// What cannot be read leaves what was read last, until it can be or is deleted.
func TestUnreadForms(t *testing.T) {
	s, b := newTestStore(t)
	b.tell(eventlog.Change{Key: "a", Value: formOf(t, "one"), Revision: 1})
	for n, form := range []string{``, `{`, `{}`, `{"uid": 7}`, `{"uid": "one", "generation": 1, "ordering": 9}`, `{"uid": "one", "generation": 1, "selector": "/////w=="}`} {
		b.tell(eventlog.Change{Key: "a", Value: []byte(form), Revision: uint64(2 + n)})
		if !s.hasUID("one") || s.Readable("a") == nil || !s.ownsQueue(queuePrefix+"any-1-1") {
			t.Errorf("%q: taken for something else than unreadable", form)
		}
	}
	b.tell(eventlog.Change{Key: "a", Value: formOf(t, "one"), Revision: 20})
	if s.Readable("a") != nil || s.ownsQueue(queuePrefix+"any-1-1") {
		t.Error("it can be read again, and is not")
	}
	b.tell(eventlog.Change{Key: "a", Value: []byte(`{`), Revision: 21})
	b.tell(eventlog.Change{Key: "a", Revision: 22})
	if s.hasUID("one") || s.Readable("a") != nil {
		t.Error("deleted, and still there")
	}
	b.tell(eventlog.Change{Key: keyTokens, Value: []byte("key"), Revision: 23})
	b.tell(eventlog.Change{Key: keyTokens, Revision: 24})
	if string(s.tokenKey()) != "key" {
		t.Error("the key of tokens was forgotten")
	}
}

func BenchmarkHasUID(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		s, bucket := newTestStore(b)
		for i := range n {
			bucket.tell(eventlog.Change{Key: fmt.Sprint("s", i), Value: formOf(b, fmt.Sprint("uid", i)), Revision: uint64(i + 1)})
		}
		i := 0
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				i++
				s.hasUID(fmt.Sprint("uid", i%n))
			}
		})
	}
}
