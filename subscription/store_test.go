package subscription

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/hookstream/hookstream/eventlog"
)

func newTestStore() *store {
	return &store{
		logger: slog.New(slog.DiscardHandler), tell: func(string, *Subscription) {}, changed: make(chan struct{}), gap: func(eventlog.Change) {},
		subs: make(map[string]*stored), uids: make(map[string]*stored), unread: make(map[string]uint64),
	}
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
	s := newTestStore()
	is := func(uid string, want bool) {
		t.Helper()
		name := queueName(&Subscription{UID: uid, Generation: 1})
		if s.hasUID(uid) != want || (s.byUID(uid) != nil) != want || s.ownsQueue(name) != want || s.ownsQueue(queuePrefix+uid+"-replays") != want {
			t.Errorf("uid %s: known %t", uid, !want)
		}
	}
	s.take(eventlog.Change{Key: "a", Value: formOf(t, "one"), Revision: 1})
	s.take(eventlog.Change{Key: "b", Value: formOf(t, "two"), Revision: 2})
	is("one", true)
	is("two", true)
	if s.ownsQueue(queuePrefix + "one-2-0") {
		t.Error("the queue of another generation is owned")
	}
	s.take(eventlog.Change{Key: "a", Value: formOf(t, "three"), Revision: 3}) // deleted and made anew
	is("one", false)
	is("three", true)
	s.take(eventlog.Change{Key: "a", Value: formOf(t, "one"), Revision: 1}) // a watch that began anew
	is("one", false)
	s.take(eventlog.Change{Key: "b", Revision: 4})
	is("two", false)
	s.forgetOthers(map[string]bool{})
	is("three", false)
}

// What cannot be read leaves what was read last, until it can be or is deleted.
func TestUnreadForms(t *testing.T) {
	s := newTestStore()
	s.take(eventlog.Change{Key: "a", Value: formOf(t, "one"), Revision: 1})
	for n, form := range []string{``, `{`, `{}`, `{"uid": 7}`, `{"uid": "one", "generation": 1, "ordering": 9}`, `{"uid": "one", "generation": 1, "selector": "/////w=="}`} {
		s.take(eventlog.Change{Key: "a", Value: []byte(form), Revision: uint64(2 + n)})
		if !s.hasUID("one") || s.readable("a") == nil || !s.ownsQueue(queuePrefix+"any-1-1") {
			t.Errorf("%q: taken for something else than unreadable", form)
		}
	}
	s.take(eventlog.Change{Key: "a", Value: formOf(t, "one"), Revision: 20})
	if s.readable("a") != nil || s.ownsQueue(queuePrefix+"any-1-1") {
		t.Error("it can be read again, and is not")
	}
	s.take(eventlog.Change{Key: "a", Value: []byte(`{`), Revision: 21})
	s.take(eventlog.Change{Key: "a", Revision: 22})
	if s.hasUID("one") || s.readable("a") != nil {
		t.Error("deleted, and still there")
	}
	s.take(eventlog.Change{Key: keyTokens, Value: []byte("key"), Revision: 23})
	s.take(eventlog.Change{Key: keyTokens, Revision: 24})
	if string(s.key) != "key" {
		t.Error("the key of tokens was forgotten")
	}
}

func BenchmarkHasUID(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		s := newTestStore()
		for i := range n {
			s.take(eventlog.Change{Key: fmt.Sprint("s", i), Value: formOf(b, fmt.Sprint("uid", i)), Revision: uint64(i + 1)})
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
