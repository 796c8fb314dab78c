package jetstream_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	natsjetstream "github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

// watching watches a bucket in the background, and answers what it is told as
// "key=value revision", "key gone revision" and "ready", and how to end it.
func watching(t *testing.T, b eventlog.Bucket) (told func() []string, end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var got []string
	done := make(chan struct{})
	tell := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, what)
	}
	go func() {
		defer close(done)
		err := b.Watch(ctx, func(c eventlog.Change) {
			if c.Value == nil {
				tell(fmt.Sprint(c.Key, " gone ", c.Revision))
				return
			}
			tell(fmt.Sprintf("%s=%s %d", c.Key, c.Value, c.Revision))
		}, func() { tell("ready") })
		if ctx.Err() == nil {
			t.Errorf("the watch ended: %v", err)
		}
	}()
	end = func() { cancel(); <-done }
	t.Cleanup(end)
	return func() []string {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}, end
}

// put creates keys, and answers their revisions.
func put(t *testing.T, b eventlog.Bucket, keys ...string) (revisions []uint64) {
	t.Helper()
	for _, key := range keys {
		rev, err := b.Create(t.Context(), key, []byte("1"))
		if err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, rev)
	}
	return revisions
}

// Whoever watches is told of what there is, as it is now and once, deletions of every
// kind included, then that this was all, then of what changes.
func TestAWatchTellsWhatThereIs(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		e, _ := openOnLinks(t, natstest.StartInside(t))
		b, err := e.Bucket(t.Context(), "TEST")
		if err != nil {
			t.Fatal(err)
		}
		none, _ := watching(t, b)
		time.Sleep(time.Second)
		if got := none(); !slices.Equal(got, []string{"ready"}) {
			t.Errorf("of an empty bucket: %q", got)
		}
		revs := put(t, b, "a", "b", "c", "d", "e")
		kv, err := e.JS().KeyValue(t.Context(), "HOOKSTREAM_TEST")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Update(t.Context(), "a", []byte("2"), revs[0]); err != nil { // 6
			t.Fatal(err)
		}
		if err := b.Delete(t.Context(), "b", revs[1]); err != nil { // 7
			t.Fatal(err)
		}
		if err := kv.Purge(t.Context(), "c"); err != nil { // 8
			t.Fatal(err)
		}
		// The last is gone without a trace.
		st, err := e.JS().Stream(t.Context(), "KV_HOOKSTREAM_TEST")
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, "f") // 9
		if err := st.Purge(t.Context(), natsjetstream.WithPurgeSubject("$KV.HOOKSTREAM_TEST.f")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		some, _ := watching(t, b)
		time.Sleep(time.Second)
		if got := some(); !slices.Equal(got, []string{"d=1 4", "e=1 5", "a=2 6", "b gone 7", "c gone 8", "ready"}) {
			t.Errorf("of a bucket: %q", got)
		}
		put(t, b, "b") // 10
		if got := some(); !slices.Equal(got[6:], []string{"b=1 10"}) {
			t.Errorf("then: %q", got[6:])
		}
		if got := none(); len(got) != 11 || got[0] != "ready" || got[10] != "b=1 10" {
			t.Errorf("who watched all the time was told: %q", got)
		}
	})
}

// That a bucket has a quorum is proven at once, also when nothing is written: a sender
// whose request is refused waits for less than a second. Who watches hears of nothing
// that there is.
func TestAQuorumIsProvenAtOnce(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		e, _ := openOnLinks(t, natstest.StartInside(t))
		b, err := e.Bucket(t.Context(), "TEST")
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, "a")
		told, _ := watching(t, b)
		for i := range 30 {
			time.Sleep(time.Second + time.Duration(i)*37*time.Millisecond)
			begun := time.Now()
			if err := b.Proof()(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 300*time.Millisecond {
				t.Errorf("proven after %s", took)
			}
		}
		for _, what := range told() {
			if what != "a=1 1" && what != "ready" && !strings.Contains(what, " gone ") {
				t.Errorf("a watch was told %q", what)
			}
		}
	})
}

// A watch outlives the node that tells it of changes: what is changed while that is
// dead is heard of, in order.
func TestAWatchWhoseNodeDies(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		c := natstest.StartInside(t)
		e, _ := openOnLinks(t, c)
		b, err := e.Bucket(t.Context(), "TEST")
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, "a")
		told, _ := watching(t, b)
		time.Sleep(time.Second)
		c.Kill(telling(t, e))
		var want []string
		for try := 0; len(want) < 10; try++ { // it may have led the bucket too
			if rev, err := b.Create(t.Context(), fmt.Sprint("after-", try), []byte("1")); err == nil {
				want = append(want, fmt.Sprintf("after-%d=1 %d", try, rev))
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Minute)
		got := told()
		if len(got) < 2 || !slices.Equal(got[:2], []string{"a=1 1", "ready"}) {
			t.Errorf("told: %q", got)
		}
		// What was not acknowledged may have happened.
		kept := slices.DeleteFunc(got, func(one string) bool { return !slices.Contains(want, one) })
		if !slices.Equal(kept, want) {
			t.Errorf("told: %q, want %q", got, want)
		}
	})
}

// telling answers the node that has the consumer of the first watch.
func telling(t *testing.T, e *jetstream.Engine) (node int) {
	st, err := e.JS().Stream(t.Context(), "KV_HOOKSTREAM_TEST")
	if err != nil {
		t.Fatal(err)
	}
	all := st.ListConsumers(t.Context())
	var first *natsjetstream.ConsumerInfo
	for info := range all.Info() {
		if first == nil || info.Created.Before(first.Created) {
			first = info
		}
	}
	if first == nil || first.Cluster == nil {
		t.Fatal("nobody watches", all.Err())
	}
	if _, err := fmt.Sscanf(first.Cluster.Leader, "n%d", &node); err != nil {
		t.Fatal(err)
	}
	return node
}
