package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/store"
)

// untold is a bucket whose watch tells nothing after the values there are, until told is
// closed.
type untold struct {
	*bucket
	told chan struct{}
}

func (u *untold) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	loaded := false
	return u.bucket.Watch(ctx, func(c eventlog.Change) {
		if loaded {
			<-u.told
		}
		fn(c)
	}, func() { loaded = true; ready() })
}

// behind opens a store that hears of no change, and notes what it tells others.
func behind(t *testing.T, b *bucket) (w *store.Watched[string], hear func(), told *[]string) {
	u := &untold{b, make(chan struct{})}
	o := options(u)
	told = new([]string)
	o.Changed = func(id string, old, next *store.Item[string]) {
		s := id + " "
		if old != nil {
			s += old.Value
		}
		s += ">"
		if next != nil {
			s += next.Value
		}
		*told = append(*told, s)
	}
	hear = sync.OnceFunc(func() { close(u.told) })
	w = open(t, o)
	t.Cleanup(hear) // before Close, which waits for the watch
	*told = nil
	return w, hear, told
}

// What is written through a gateway that hears of no change is in force there at once,
// also over what it has not heard of, and the watch that tells of it later changes
// nothing.
func TestWhatIsWrittenIsInForceThoughTheWatchIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.write("a", "one")
		w, hear, told := behind(t, b)
		start := time.Now()
		to := func(v string) func(string) (string, bool, error) {
			return func(old string) (string, bool, error) { return old + v, true, nil }
		}
		must := func(item store.Item[string], err error) store.Item[string] {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return item
		}
		must(w.Update(t.Context(), "a", "", to("+")))
		b.write("a", "two")
		must(w.Update(t.Context(), "a", "", to("+")))
		must(w.Delete(t.Context(), "a", ""))
		first := must(w.Create(t.Context(), "a", "three"))
		b.write("other", "of another")
		must(w.Delete(t.Context(), "a", first.Etag()))
		must(w.Create(t.Context(), "a", "four"))
		b.write("a", "")
		if _, err := w.Delete(t.Context(), "a", ""); !errors.Is(err, kindErrors.NotFound) {
			t.Errorf("deleted what is deleted: %v", err)
		}
		want := []string{"a one>one+", "a one+>two", "a two>two+", "a two+>", "a >three", "a three>", "a >four", "a four>"}
		if !slices.Equal(*told, want) {
			t.Errorf("told %q", *told)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("waited %s", took)
		}
		hear()
		synctest.Wait()
		if want = append(want, "other >of another"); !slices.Equal(*told, want) {
			t.Errorf("told %q in the end", *told)
		}
		b.write("a", "five")
		synctest.Wait()
		if got := values(w); !slices.Equal(got, []string{"five", "of another"}) {
			t.Errorf("there are %q", got)
		}
	})
}

// Nothing is refused on what is only remembered: neither what is not there, nor an etag.
func TestNothingIsRefusedOnWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.write("a", "one")
		w, _, _ := behind(t, b)
		same := func(v string) (string, bool, error) { return v, false, nil }
		now := store.Etag(b.write("a", "two"))
		if item, err := w.Look(t.Context(), "a", now); err != nil || item.Value != "two" {
			t.Errorf("%q, %v", item.Value, err)
		}
		now = store.Etag(b.write("a", "three"))
		if item, err := w.Update(t.Context(), "a", now, same); err != nil || item.Value != "three" {
			t.Errorf("updated with the present etag: %q, %v", item.Value, err)
		}
		b.write("b", "new")
		if item, err := w.Update(t.Context(), "b", "", same); err != nil || item.Value != "new" {
			t.Errorf("updated what is new: %q, %v", item.Value, err)
		}
		b.write("c", "new")
		if _, err := w.Create(t.Context(), "c", "mine"); !errors.Is(err, kindErrors.Exists) {
			t.Errorf("created what there is: %v", err)
		}
		if item, ok := w.Get("c"); !ok || item.Value != "new" {
			t.Errorf("what was in the way is not known: %q", item.Value)
		}
		b.write("d", "new")
		if _, err := w.Delete(t.Context(), "d", ""); err != nil {
			t.Errorf("deleted what is new: %v", err)
		}
		for range 100 {
			if _, err := w.Look(t.Context(), "none", ""); !errors.Is(err, kindErrors.NotFound) {
				t.Errorf("what there never was: %v", err)
			}
		}
	})
}

// Whoever catches up knows what was written before, and however many do, the bucket is
// asked ten times a second at most. What the watch tells later changes nothing.
func TestCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		b.write("deleted", "one")
		w, hear, told := behind(t, b)
		start := time.Now()
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				id := fmt.Sprint("new", i)
				b.write(id, "value")
				if err := w.CatchUp(t.Context(), never); err != nil {
					t.Error(err)
				}
				if _, ok := w.Get(id); !ok {
					t.Errorf("%s was written before, and is not known", id)
				}
			})
			time.Sleep(time.Millisecond)
		}
		b.write("deleted", "")
		b.write("passing", "made")
		b.write("passing", "")
		if err := w.CatchUp(t.Context(), never); err != nil || slices.Contains(values(w), "one") {
			t.Errorf("%v, there are %q", err, values(w))
		}
		all.Wait()
		if most := int(time.Since(start)/(100*time.Millisecond)) + 1; b.asked > most || b.asked < 2 {
			t.Errorf("asked %d times in %s", b.asked, time.Since(start))
		}
		before := len(*told)
		hear()
		synctest.Wait()
		if more := (*told)[before:]; len(more) > 0 {
			t.Errorf("told again: %q", more)
		}
		w.Close()
		if err := w.CatchUp(t.Context(), never); !errors.Is(err, kindErrors.Closed) {
			t.Errorf("closed: %v", err)
		}
	})
}

// slow is a bucket that answers who creates something only when somebody has deleted it,
// and the watch has told of both.
type slow struct{ *bucket }

func (s slow) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	revision, err := s.bucket.Create(ctx, key, value)
	s.write(key, "")
	synctest.Wait()
	return revision, err
}

// Who is told late that it was written does not bring back what was deleted since.
func TestWhatWasDeletedMeanwhileStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, options(slow{newBucket()}))
		if _, err := w.Create(t.Context(), "a", "one"); err != nil {
			t.Fatal(err)
		}
		if got := values(w); len(got) > 0 {
			t.Errorf("there are %q", got)
		}
	})
}

// overtaken is a bucket whose answers are overtaken by what happens meanwhile.
type overtaken struct {
	*bucket
	before, meanwhile func()
}

func (o *overtaken) Now(ctx context.Context, key string) (eventlog.Change, error) {
	o.before()
	c, err := o.bucket.Now(ctx, key)
	o.meanwhile()
	return c, err
}

func (o *overtaken) Latest(ctx context.Context, after uint64, fn func(eventlog.Change)) error {
	var all []eventlog.Change
	o.before()
	err := o.bucket.Latest(ctx, after, func(c eventlog.Change) { all = append(all, c) })
	o.meanwhile()
	for _, c := range all {
		fn(c)
	}
	return err
}

// What is made anew while somebody is told that it was deleted is not deleted by that.
func TestAnAnswerOfBeforeDeletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &overtaken{newBucket(), func() {}, func() {}}
		b.write("a", "one")
		w := open(t, options(b))
		b.write("a", "")
		synctest.Wait()
		b.meanwhile = func() {
			b.write("a", "two")
			synctest.Wait() // the watch has told of it
		}
		if err := w.Refresh(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if item, ok := w.Get("a"); !ok || item.Value != "two" {
			t.Errorf("there is %q", item.Value)
		}
	})
}

// What is deleted while somebody is told that it is there does not come back by that: the
// watch, which told of the deletion, would never take it away again.
func TestAnAnswerOfBeforeBringsNothingBack(t *testing.T) {
	for name, ask := range map[string]func(*store.Watched[string], context.Context) error{
		"of one": func(w *store.Watched[string], ctx context.Context) error { return w.Refresh(ctx, "a") },
		"of all": func(w *store.Watched[string], ctx context.Context) error {
			return w.CatchUp(ctx, func() bool { return true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &overtaken{newBucket(), func() {}, func() {}}
				w := open(t, options(b))
				b.before = func() { b.write("a", "one") }
				b.meanwhile = func() {
					b.write("a", "")
					synctest.Wait() // the watch has told of it
				}
				if err := ask(w, t.Context()); err != nil {
					t.Fatal(err)
				}
				if item, ok := w.Get("a"); ok {
					t.Errorf("there is %q", item.Value)
				}
			})
		})
	}
}
