package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/store"
)

var kindErrors = store.Errors{
	NotFound: errors.New("not found"), Exists: errors.New("exists"), EtagMismatch: errors.New("etag"),
	Unreadable: errors.New("unreadable"), Closed: errors.New("closed"),
}

// bucket is a bucket in memory whose watches can be broken, and held back.
type bucket struct {
	mu       sync.Mutex
	values   map[string]eventlog.Change
	revision uint64
	watch    chan eventlog.Change
	broken   chan struct{}
	early    func() // called once, before the next Update
	changes  []eventlog.Change
	asked    int // Latest was
	unproven error
}

func newBucket() *bucket {
	return &bucket{values: make(map[string]eventlog.Change), watch: make(chan eventlog.Change, 100), broken: make(chan struct{})}
}

// write changes a key as another gateway would; from "" for a deletion.
func (b *bucket) write(key, value string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.set(key, value)
}

func (b *bucket) set(key, value string) uint64 {
	b.revision++
	c := eventlog.Change{Key: key, Revision: b.revision}
	if value == "" {
		delete(b.values, key)
	} else {
		c.Value = []byte(value)
		b.values[key] = c
	}
	b.changes = append(b.changes, c)
	select {
	case b.watch <- c:
	default:
	}
	return b.revision
}

func (b *bucket) Create(_ context.Context, key string, value []byte) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.values[key]; ok {
		return 0, eventlog.ErrConflict
	}
	return b.set(key, string(value)), nil
}

func (b *bucket) Update(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if b.early != nil {
		b.early()
		b.early = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.values[key].Revision != revision {
		return 0, eventlog.ErrConflict
	}
	return b.set(key, string(value)), nil
}

func (b *bucket) Delete(_ context.Context, key string, revision uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.values[key].Revision != revision {
		return eventlog.ErrConflict
	}
	b.set(key, "")
	return nil
}

func (b *bucket) Now(_ context.Context, key string) (eventlog.Change, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.values[key], nil
}

func (b *bucket) Proof() func(context.Context) error {
	return func(context.Context) error { return b.unproven }
}

// never says that there is no news.
func never() bool { return false }

func (b *bucket) Latest(_ context.Context, after uint64, fn func(eventlog.Change)) error {
	b.mu.Lock()
	b.asked++
	var late []eventlog.Change
	for _, c := range b.changes {
		if c.Revision > after {
			late = append(late, c)
		}
	}
	b.mu.Unlock()
	for _, c := range late {
		fn(c)
	}
	return nil
}

// passed drops what is among the values that a new watch begins with. An earlier one
// may be at it too.
func (b *bucket) passed() {
	for {
		select {
		case <-b.watch:
		default:
			return
		}
	}
}

func (b *bucket) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	b.mu.Lock()
	values, broken := make([]eventlog.Change, 0, len(b.values)), b.broken
	for _, c := range b.values {
		values = append(values, c)
	}
	b.passed()
	b.mu.Unlock()
	for _, c := range values {
		fn(c)
	}
	ready()
	for {
		select {
		case c := <-b.watch:
			fn(c)
		case <-broken:
			return eventlog.ErrUnavailable
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// away breaks the watch, has happen what happens meanwhile, and ends with it there
// again.
func (b *bucket) away(meanwhile func()) {
	b.mu.Lock()
	broken := b.broken
	b.broken = make(chan struct{})
	b.mu.Unlock()
	close(broken)
	synctest.Wait()
	meanwhile()
	time.Sleep(2 * time.Second) // of the bubble
	synctest.Wait()
}

func options(b eventlog.Bucket) store.Options[string] {
	return store.Options[string]{
		Bucket: b, Kind: "thing", Name: func(id string) string { return "things/" + id }, Errors: kindErrors,
		Encode: func(_, value string) ([]byte, error) { return []byte(value), nil },
		Decode: func(_ string, value []byte, _ uint64) (string, error) {
			if strings.HasPrefix(string(value), "?") {
				return "", errors.New("of a newer gateway")
			}
			return string(value), nil
		},
	}
}

func open(t *testing.T, o store.Options[string]) *store.Watched[string] {
	t.Helper()
	w, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func values(w *store.Watched[string]) (out []string) {
	for _, item := range w.List() {
		out = append(out, item.Value)
	}
	return out
}

// What changed while the watch was broken is made up for, deletions too, and until then
// what was seen last stays.
func TestAWatchThatBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.write("a", "one")
		b.write("b", "two")
		b.write("c", "?")
		var told []string
		o := options(b)
		o.Changed = func(id string, old, next *store.Item[string]) {
			told = append(told, fmt.Sprint(id, old != nil, next != nil))
		}
		w := open(t, o)
		told = nil
		b.away(func() {
			if got := values(w); !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("while nothing is followed there are %q", got)
			}
			b.write("a", "")
			b.write("b", "three")
			b.write("c", "")
		})
		if got := values(w); !slices.Equal(got, []string{"three"}) || !w.AllReadable() {
			t.Errorf("afterwards there are %q, all readable %t", got, w.AllReadable())
		}
		slices.Sort(told)
		if !slices.Equal(told, []string{"atrue false", "btrue true"}) {
			t.Errorf("told: %q", told)
		}
		// A deletion that is only inferred is in force under no revision that another
		// change may have.
		b.write("z", "the latest")
		synctest.Wait()
		before := w.Seen()
		b.away(func() { b.write("z", "") })
		if now := w.Seen(); now != before {
			t.Errorf("revision %d is in force, of %d", now, before)
		}
	})
}

// What cannot be read is no deletion, cannot be changed here, and is read when it can be.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.write("a", "one")
		w := open(t, options(b))
		b.write("a", "?")
		synctest.Wait()
		if got := values(w); !slices.Equal(got, []string{"one"}) || w.AllReadable() {
			t.Errorf("there are %q, all readable %t", got, w.AllReadable())
		}
		_, err := w.Update(t.Context(), "a", "", func(string) (string, bool, error) { return "two", true, nil })
		if !errors.Is(err, kindErrors.Unreadable) {
			t.Errorf("changed what cannot be read: %v", err)
		}
		if _, err := w.Delete(t.Context(), "a", ""); !errors.Is(err, kindErrors.Unreadable) {
			t.Errorf("deleted what cannot be read: %v", err)
		}
		b.write("a", "three")
		synctest.Wait()
		if got := values(w); !slices.Equal(got, []string{"three"}) || w.Readable("a") != nil {
			t.Errorf("there are %q, %v", got, w.Readable("a"))
		}
	})
}

// A strict store does not open beside what it cannot read; another does.
func TestStrict(t *testing.T) {
	b := newBucket()
	b.write("a", "?")
	o := options(b)
	open(t, o)
	o.Strict = true
	if _, err := store.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "newer gateway") {
		t.Errorf("opened: %v", err)
	}
}

// Who is overtaken tries again without an etag, and is told with one.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.write("a", "one")
		w := open(t, options(b))
		add := func(v string) (string, bool, error) { return v + "+", true, nil }
		b.early = func() { b.write("a", "two") }
		if item, err := w.Update(t.Context(), "a", "", add); err != nil || item.Value != "two+" {
			t.Errorf("%q, %v", item.Value, err)
		}
		item, _ := w.Get("a")
		b.early = func() { b.write("a", "three") }
		if _, err := w.Update(t.Context(), "a", item.Etag(), add); !errors.Is(err, kindErrors.EtagMismatch) {
			t.Errorf("over an etag that is not the present one: %v", err)
		}
	})
}

// A change that changes nothing is answered by what the bucket holds.
func TestNothingToWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.write("a", "one")
		w := open(t, options(b))
		b.away(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			b.write("a", "two")
			item, err := w.Update(ctx, "a", "", func(v string) (string, bool, error) { return v, false, nil })
			if err != nil || item.Value != "two" {
				t.Errorf("answered what is not so any more: %q, %v", item.Value, err)
			}
		})
	})
}

// A value is bound to its key and to the key it was sealed with, and stored in no other
// form.
func TestSealed(t *testing.T) {
	b := newBucket()
	o := options(b)
	var err error
	if o.Seal, err = store.NewSealer("thing", [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	o.Strict = true
	w := open(t, o)
	if _, err := w.Create(t.Context(), "a", "a secret"); err != nil {
		t.Fatal(err)
	}
	stored := b.values["a"].Value
	if strings.Contains(string(stored), "secret") {
		t.Error("stored in clear")
	}
	if item, ok := w.Get("a"); !ok || item.Value != "a secret" {
		t.Errorf("%q", item.Value)
	}
	b.write("b", string(stored))
	if _, err := store.Open(t.Context(), o); err == nil {
		t.Error("a value under another id was read")
	}
	b.write("b", "")
	if o.Seal, err = store.NewSealer("thing", [32]byte{2}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrWrongKey) {
		t.Errorf("read with another key: %v", err)
	}
}

// Who subscribes sees what there is, then every change once, before the call that made
// it returns.
func TestSubscribe(t *testing.T) {
	b := newBucket()
	b.write("a", "one")
	w := open(t, options(b))
	var got []string
	cancel := w.Subscribe(func(id string, next *store.Item[string]) {
		if next == nil {
			got = append(got, id+" gone")
			return
		}
		got = append(got, id+" "+next.Value)
	})
	if _, err := w.Create(t.Context(), "b", "two"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Delete(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a one", "b two", "a gone"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	cancel()
	if _, err := w.Create(t.Context(), "c", "three"); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Errorf("told %q after it had ended", got)
	}
	if _, err := w.Create(t.Context(), "c", "four"); !errors.Is(err, kindErrors.Exists) {
		t.Errorf("made twice: %v", err)
	}
}
