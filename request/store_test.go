package request_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/request"
)

// bucket is a Bucket in memory.
type bucket struct {
	eventlog.Bucket
	mu        sync.Mutex
	values    map[string]eventlog.Change
	revision  uint64
	watchers  map[chan struct{}]*[]eventlog.Change
	writes    int
	err       error
	bytes     int
	mostBytes int
	mostKeys  int
	early     func() // called once, before the next change
}

func newBucket() *bucket {
	return &bucket{values: make(map[string]eventlog.Change), watchers: make(map[chan struct{}]*[]eventlog.Change)}
}

func (b *bucket) change(key string, value []byte, revision uint64) (uint64, error) {
	b.mu.Lock()
	early := b.early
	b.early = nil
	b.mu.Unlock()
	if early != nil {
		early()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	if b.values[key].Revision != revision {
		return 0, eventlog.ErrConflict
	}
	b.revision++
	b.writes++
	c := eventlog.Change{Key: key, Value: value, Revision: b.revision}
	b.bytes += len(value) - len(b.values[key].Value)
	b.values[key] = c
	if value == nil {
		delete(b.values, key)
	}
	b.mostBytes, b.mostKeys = max(b.mostBytes, b.bytes), max(b.mostKeys, len(b.values))
	for wake, told := range b.watchers {
		*told = append(*told, c)
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	return c.Revision, nil
}

func (b *bucket) Create(_ context.Context, key string, value []byte) (uint64, error) {
	return b.change(key, value, 0)
}

func (b *bucket) Update(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return b.change(key, value, revision)
}

func (b *bucket) Delete(_ context.Context, key string, revision uint64) error {
	_, err := b.change(key, nil, revision)
	return err
}

func (b *bucket) Now(_ context.Context, key string) (eventlog.Change, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.values[key], nil
}

func (b *bucket) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	wake := make(chan struct{}, 1)
	b.mu.Lock()
	told := slices.SortedFunc(maps.Values(b.values), func(x, y eventlog.Change) int { return int(x.Revision) - int(y.Revision) })
	b.watchers[wake] = &told
	b.mu.Unlock()
	for {
		b.mu.Lock()
		now := told
		told = nil
		b.mu.Unlock()
		for _, c := range now {
			fn(c)
		}
		ready()
		select {
		case <-wake:
		case <-ctx.Done():
			b.mu.Lock()
			delete(b.watchers, wake)
			b.mu.Unlock()
			return ctx.Err()
		}
	}
}

func open(t *testing.T, b *bucket, change func(*request.Options)) *request.Store {
	t.Helper()
	o := request.Options{Bucket: b}
	if change != nil {
		change(&o)
	}
	s := request.Open(o)
	t.Cleanup(s.Close)
	synctest.Wait()
	return s
}

func refused(source, remote, body string) *request.Request {
	return &request.Request{
		Source: source, Cause: request.Forged, Reason: "signature_mismatch", FirstTime: time.Now(),
		Remote: netip.MustParseAddr(remote), Method: "POST", Path: "/webhooks/" + source, Body: []byte(body), Size: int64(len(body)),
		Proof: []request.Line{{Name: "X-Signature", Value: []byte("signed " + body + "\xff")}}, Status: 401,
	}
}

// settle lets everything that waits be written.
func settle(t *testing.T, s *request.Store) {
	t.Helper()
	for range 10000 {
		if synctest.Wait(); s.Stats().Waiting == 0 {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("never settled: %+v", s.Stats())
}

// bodies answers those that are kept of one address, in order.
func bodies(t *testing.T, s *request.Store, remote string) []string {
	t.Helper()
	var out []string
	for _, r := range s.List() {
		if r.Body != nil || r.Proof != nil {
			t.Errorf("a list shows the body or the proof of %s", r.ID)
		}
		if r.Remote.String() != remote {
			continue
		}
		whole, err := s.Get(t.Context(), r.ID)
		if err != nil {
			t.Fatalf("get %s: %v", r.ID, err)
		}
		out = append(out, string(whole.Body))
	}
	slices.Sort(out)
	return out
}

func numbered(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("genuine %02d", i))
	}
	return out
}

// Ten genuine requests of one sender are kept with certainty, wherever in a million
// forgeries of others they come; and nothing grows beyond its bound.
func TestAFloodPushesOutNobodyElse(t *testing.T) {
	for _, when := range []struct {
		name         string
		slots, flood int              // of the flood, in each of 1,000 moments
		at           func(n int) bool // one of the others comes in the nth
	}{
		{"a million, all along", 1000, 1000, func(n int) bool { return n%100 == 50 }},
		{"at the beginning", 100, 50, func(n int) bool { return n < 10 }},
		{"in its midst", 100, 50, func(n int) bool { return n >= 500 && n < 510 }},
		{"at the end", 100, 50, func(n int) bool { return n >= 990 }},
	} {
		t.Run(when.name, func(t *testing.T) {
			if when.flood == 1000 {
				heavy.Test(t)
			}
			synctest.Test(t, func(t *testing.T) {
				b := newBucket()
				s := open(t, b, func(o *request.Options) { o.Slots, o.Queue, o.Rate = when.slots, 256, 20 })
				came := 0
				for n := range 1000 {
					for i := range when.flood {
						s.Note(refused("billing", fmt.Sprintf("192.0.2.%d", i%3), fmt.Sprintf("forgery %d %d", n, i)))
						if i == when.flood/2 && when.at(n) {
							s.Note(refused("billing", "198.51.100.7", fmt.Sprintf("genuine %02d", came)))
							came++
						}
					}
					time.Sleep(200 * time.Millisecond)
					if st := s.Stats(); st.Waiting > 256 || st.Kept > when.slots {
						t.Fatalf("%+v", st)
					}
				}
				settle(t, s)
				if got := bodies(t, s, "198.51.100.7"); came != 10 || !slices.Equal(got, numbered(10)) {
					t.Errorf("of %d genuine ones these are kept: %q", came, got)
				}
				if b.mostKeys != when.slots || b.mostBytes > 64<<20 {
					t.Errorf("%d keys, %d bytes in the bucket", b.mostKeys, b.mostBytes)
				}
				if b.writes > 20*200+20+256+10 {
					t.Errorf("%d writes in 200 s", b.writes)
				}
				if early := earlier(s, 100*time.Second); early < when.slots/10 {
					t.Errorf("%d of the first half of the flood are kept: they are no sample of it", early)
				}
			})
		})
	}
}

// earlier counts what of the flood came before the last so long.
func earlier(s *request.Store, than time.Duration) (n int) {
	for _, r := range s.List() {
		if time.Since(r.LastTime) > than && strings.HasPrefix(r.Remote.String(), "192.0.2.") {
			n++
		}
	}
	return n
}

// Networks of IPv6 are one sender each.
func TestAnIPv6NetworkIsOneSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newBucket(), func(o *request.Options) { o.Slots = 20 })
		for i := range 5 {
			s.Note(refused("billing", "198.51.100.7", fmt.Sprintf("genuine %02d", i)))
			time.Sleep(time.Second)
		}
		for i := range 5000 {
			s.Note(refused("billing", fmt.Sprintf("2001:db8::%x", i), fmt.Sprint("forgery ", i)))
			time.Sleep(50 * time.Millisecond)
		}
		settle(t, s)
		if got := bodies(t, s, "198.51.100.7"); !slices.Equal(got, numbered(5)) {
			t.Errorf("kept: %q", got)
		}
	})
}

// A source's flood takes no other source's budget, nor another cause's.
func TestSourcesAndCausesHaveBudgetsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newBucket(), func(o *request.Options) { o.Slots = 10 })
		s.Note(refused("hr", "192.0.2.1", "genuine 00"))
		large := refused("billing", "192.0.2.1", "large")
		large.Cause = request.TooLarge
		s.Note(large)
		for i := range 1000 {
			s.Note(refused("billing", "192.0.2.1", fmt.Sprint("forgery ", i)))
			time.Sleep(50 * time.Millisecond)
		}
		settle(t, s)
		got := make(map[string]int)
		for _, r := range s.List() {
			got[r.Source+" "+string(r.Cause)]++
		}
		if want := map[string]int{"hr forged": 1, "billing too_large": 1, "billing forged": 10}; !maps.Equal(got, want) {
			t.Errorf("kept %v, want %v", got, want)
		}
	})
}

func TestEqualRequestsAreKeptOnceAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := open(t, b, nil)
		first := time.Now()
		for range 3 {
			for range 7 { // of which some wait for the writer
				s.Note(refused("billing", "192.0.2.1", "same"))
			}
			time.Sleep(time.Minute)
		}
		other := refused("billing", "192.0.2.1", "same")
		other.Proof[0].Value = []byte("signed otherwise")
		s.Note(other)
		s.Note(refused("billing", "192.0.2.2", "same"))
		settle(t, s)
		l := s.List()
		if len(l) != 3 {
			t.Fatalf("%d are kept, want 3: of another proof and of another sender, too", len(l))
		}
		r := l[2]
		if r.Count != 21 || !r.FirstTime.Equal(first) || !r.LastTime.Equal(first.Add(2*time.Minute)) {
			t.Errorf("it came %d times, first %v, last %v", r.Count, r.FirstTime, r.LastTime)
		}
		if whole, err := s.Get(t.Context(), r.ID); err != nil || whole.Count != 21 || string(whole.Proof[0].Value) != "signed same\xff" {
			t.Errorf("%+v, %v", whole, err)
		}
	})
}

func TestARestartFindsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := open(t, b, nil)
		for i := range 30 {
			s.Note(refused("billing", "198.51.100.7", fmt.Sprintf("genuine %02d", i)))
		}
		settle(t, s)
		before := s.List()
		s.Close()
		s = open(t, b, nil)
		if got := bodies(t, s, "198.51.100.7"); !slices.Equal(got, numbered(30)) {
			t.Errorf("kept: %q", got)
		}
		time.Sleep(time.Second)
		s.Note(refused("billing", "198.51.100.7", "genuine 03"))
		settle(t, s)
		after := s.List()
		if len(after) != 30 || after[0].Count != 2 || !slices.ContainsFunc(before, func(r request.Request) bool { return r.ID == after[0].ID }) {
			t.Errorf("%d are kept, the newest %+v", len(after), after[0])
		}
	})
}

// Gateways that write at the same time overwrite nothing of each other, have one budget,
// and forget what the other has put something in the place of.
func TestGatewaysShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		slots := func(o *request.Options) { o.Slots = 40 }
		gateways := []*request.Store{open(t, b, slots), open(t, b, slots)}
		for i := range 20 {
			gateways[i%2].Note(refused("billing", "198.51.100.7", fmt.Sprintf("genuine %02d", i)))
		}
		settle(t, gateways[0])
		settle(t, gateways[1])
		for _, s := range gateways {
			if got := bodies(t, s, "198.51.100.7"); !slices.Equal(got, numbered(20)) {
				t.Errorf("kept: %q", got)
			}
		}
		for i := range 400 {
			gateways[i%2].Note(refused("billing", "192.0.2.1", fmt.Sprint("forgery ", i)))
			time.Sleep(50 * time.Millisecond)
		}
		settle(t, gateways[0])
		settle(t, gateways[1])
		if b.mostKeys != 40 {
			t.Errorf("%d keys, want 40", b.mostKeys)
		}
		one, other := gateways[0].List(), gateways[1].List()
		same := slices.EqualFunc(one, other, func(a, b request.Request) bool { return a.ID == b.ID })
		if len(one) != 40 || !same {
			t.Errorf("one knows %d, the other %d, the same: %v", len(one), len(other), same)
		}
		for _, r := range one {
			if _, err := gateways[1].Get(t.Context(), r.ID); err != nil {
				t.Errorf("%s: %v", r.ID, err)
			}
		}
	})
}

// What another gateway writes to the place in the same moment stays.
func TestAPlaceIsNotTakenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		slots := func(o *request.Options) { o.Slots = 2 }
		s, other := open(t, b, slots), open(t, b, slots)
		s.Note(refused("billing", "192.0.2.1", "first, and the longest"))
		settle(t, s)
		time.Sleep(time.Second)
		b.early = func() { // both know of one free place
			other.Note(refused("billing", "192.0.2.2", "overtakes"))
			for other.Stats().Kept < 2 {
				time.Sleep(time.Millisecond)
			}
		}
		s.Note(refused("billing", "192.0.2.3", "overtaken"))
		settle(t, s)
		time.Sleep(time.Second)
		if got := bodies(t, s, "192.0.2.3"); len(got) != 1 {
			t.Error("what was overtaken is not kept")
		}
		if got := bodies(t, s, "192.0.2.2"); len(got) != 1 {
			t.Error("what overtook it is overwritten, though there was an older one")
		}
	})
}

func TestBytesAreBounded(t *testing.T) {
	for _, budget := range []struct {
		name string
		set  func(*request.Options)
	}{
		{"of a source and cause", func(o *request.Options) { o.Bytes = 1 << 20 }},
		{"of all", func(o *request.Options) { o.TotalBytes = 1 << 20 }},
	} {
		t.Run(budget.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBucket()
				s := open(t, b, budget.set)
				s.Note(refused("billing", "198.51.100.7", "genuine 00"))
				for i := range 100 {
					s.Note(refused("billing", "192.0.2.1", strings.Repeat("small ", 100)+fmt.Sprint(i)))
					time.Sleep(time.Second)
				}
				for i := range 40 {
					s.Note(refused("billing", "192.0.2.1", fmt.Sprint(i)+strings.Repeat("large", 20<<10)))
					time.Sleep(time.Second)
				}
				settle(t, s)
				if b.mostBytes > 1<<20 || s.Stats().Bytes != int64(b.bytes) || s.Stats().Kept != len(b.values) {
					t.Errorf("%d bytes at most; now %+v, and %d in %d values", b.mostBytes, s.Stats(), b.bytes, len(b.values))
				}
				if got := bodies(t, s, "198.51.100.7"); !slices.Equal(got, numbered(1)) {
					t.Errorf("kept: %q", got)
				}
				r := s.List()[0]
				whole, err := s.Get(t.Context(), r.ID)
				if err != nil || len(whole.Body) != request.MaxBody || !whole.Cut || whole.Size != int64(2+100<<10) {
					t.Errorf("%d bytes of %d, cut %v: %v", len(whole.Body), whole.Size, whole.Cut, err)
				}
			})
		})
	}
}

// The older half goes after a week, when there is something newer; the newest half stays.
func TestTheSampleIsOfAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newBucket(), func(o *request.Options) { o.Slots = 20 })
		for i := range 10 {
			s.Note(refused("billing", "198.51.100.7", fmt.Sprintf("genuine %02d", i)))
		}
		settle(t, s)
		time.Sleep(8 * 24 * time.Hour)
		for i := range 20 {
			s.Note(refused("billing", "192.0.2.1", fmt.Sprint("forgery ", i)))
		}
		settle(t, s)
		if got := bodies(t, s, "198.51.100.7"); len(got) != 0 {
			t.Errorf("kept after a week: %q", got)
		}
	})
}

// A bucket that takes nothing keeps nobody waiting, and is written to again afterwards.
func TestABucketThatFailsLosesAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := open(t, b, nil)
		b.err = eventlog.ErrUnavailable
		s.Note(refused("billing", "192.0.2.1", "lost"))
		settle(t, s)
		b.mu.Lock()
		b.err = nil
		b.mu.Unlock()
		s.Note(refused("billing", "192.0.2.1", "kept"))
		settle(t, s)
		if st := s.Stats(); st.Lost != 1 || st.Kept != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// What is wanted is what Note keeps, and bodies of all sources together have a bound.
func TestTheQueueIsBoundedAndFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		s := open(t, b, func(o *request.Options) { o.Queue, o.QueueBytes = 10, 1<<20 })
		large := strings.Repeat("x", 60<<10)
		for i := range 1000 {
			s.Note(refused(fmt.Sprintf("flood-%d", i%5), "192.0.2.1", large+fmt.Sprint(i)))
		}
		synctest.Wait()
		st := s.Stats()
		if st.Waiting > 17 || st.Waiting+st.Kept+int(st.Dropped) != 1000 {
			t.Errorf("%+v", st)
		}
		flooder, honest := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.7")
		if !s.Wants("hr", honest) || !s.Wants("flood-0", honest) {
			t.Error("one who sent nothing yet is not wanted")
		}
		for i := range 20 {
			s.Note(refused("flood-0", "192.0.2.1", fmt.Sprint("small ", i)))
		}
		if s.Wants("flood-0", flooder) {
			t.Error("one who has all of the queue is wanted")
		}
		s.Note(refused("hr", "198.51.100.7", "genuine 00"))
		s.Note(refused("flood-0", "198.51.100.7", "genuine 01"))
		settle(t, s)
		if got := bodies(t, s, "198.51.100.7"); !slices.Equal(got, numbered(2)) {
			t.Errorf("kept: %q", got)
		}
	})
}

func TestGetOfNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, newBucket(), nil)
		if _, err := s.Get(t.Context(), "0123456789abcdef"); !errors.Is(err, request.ErrNotFound) {
			t.Errorf("%v, want %v", err, request.ErrNotFound)
		}
	})
}
