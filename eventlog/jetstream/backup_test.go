package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/internal/heavy"
)

// partsKept keeps a backup.
type partsKept struct {
	names []string
	parts map[string]*bytes.Buffer
	on    func(part string) // called when a part begins
}

func (k *partsKept) Part(name string) error {
	if k.parts == nil {
		k.parts = make(map[string]*bytes.Buffer)
	}
	if k.on != nil {
		k.on(name)
	}
	k.names = append(k.names, name)
	k.parts[name] = new(bytes.Buffer)
	return nil
}

func (k *partsKept) Write(b []byte) (int, error) { return k.parts[k.names[len(k.names)-1]].Write(b) }

func (k *partsKept) restore(ctx context.Context, dir string) error {
	r, err := jetstream.BeginRestore(dir)
	if err != nil {
		return err
	}
	for _, name := range k.names {
		if err := r.Part(ctx, name, bytes.NewReader(k.parts[name].Bytes())); err != nil {
			return errors.Join(err, r.Abort())
		}
	}
	return r.End()
}

// What was there when a backup began is in it, whatever comes meanwhile, and what is
// restored is a directory that nothing is wrong with, with the same numbers.
func TestBackupHasWhatWasThereBefore(t *testing.T) {
	heavy.Test(t)
	o := embedded(t)
	o.Durability, o.Version = jetstream.DurabilityRelaxed, "1.2.3"
	e := logtest.Open(t, o)
	const before = 300
	appendAll(t, e, 0, before)
	b, err := e.Bucket(t.Context(), "SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 { // revisions that are gone leave holes among the numbers
		for key := range 5 {
			if rev, err := b.Create(t.Context(), fmt.Sprint("key", key), []byte("v")); err != nil {
				t.Fatal(err)
			} else if n < 2 {
				if err := b.Delete(t.Context(), fmt.Sprint("key", key), rev); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if _, err := e.Inbox().Put(t.Context(), eventlog.Row{Source: "a", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	queue := natsjs.ConsumerConfig{Durable: "sub-test", AckPolicy: natsjs.AckExplicitPolicy}
	c, _, err := e.Consumer(t.Context(), jetstream.StreamEvents, queue)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, c, 100)
	next := before
	kept := &partsKept{on: func(string) { // while the parts are written
		appendAll(t, e, next, next+20)
		next += 20
		settle(t, c, 20)
	}}
	if err := e.Backup(t.Context(), 0, kept); err != nil {
		t.Fatal(err)
	}
	want := firstOf(t, e, before)

	o.Dir = filepath.Join(t.TempDir(), "restored")
	if err := kept.restore(t.Context(), o.Dir); err != nil {
		t.Fatal(err)
	}
	check, err := jetstream.CheckDir(o.Dir, false)
	if err != nil || check.Damaged() || !check.Clean || check.Format.WrittenBy != "1.2.3" {
		t.Fatalf("the doctor: %+v, %v", check, err)
	}
	again := logtest.Open(t, o)
	if again.Events().Incarnation() != e.Events().Incarnation() {
		t.Error("it is another log")
	}
	got := firstOf(t, again, before)
	for i := range want {
		if got[i].Seq != want[i].Seq || !got[i].Time.Equal(want[i].Time) || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("record %d is not what it was: %+v", i, got[i])
		}
	}
	if got, err := again.Events().Append(t.Context(), logtest.Entry("a", 7)); err != nil || !got.Duplicate {
		t.Errorf("a repetition: %+v, %v", got, err)
	}
	values, err := jetstream.Values(o.Dir, "SOURCES")
	if err != nil || len(values) != 5 {
		t.Errorf("%d values, %v", len(values), err)
	}
	bounds, err := again.Events().Bounds(t.Context())
	if err != nil || bounds.Last < before {
		t.Errorf("%+v, %v", bounds, err)
	}
	restored, _, err := again.Consumer(t.Context(), jetstream.StreamEvents, queue)
	if err != nil {
		t.Fatal(err)
	}
	if at := restored.CachedInfo(); at.AckFloor.Stream < 100 || at.AckFloor.Stream > bounds.Last {
		t.Errorf("the place of a queue is %d of %d", at.AckFloor.Stream, bounds.Last)
	}
}

func appendAll(t *testing.T, e *jetstream.Engine, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if _, err := e.Events().Append(t.Context(), logtest.Entry("a", n)); err != nil {
			t.Fatal(err)
		}
	}
}

// firstOf answers the first records of a log.
func firstOf(t *testing.T, e *jetstream.Engine, n int) (out []event.Record) {
	t.Helper()
	for len(out) < n {
		recs, err := e.Events().Read(t.Context(), uint64(len(out)+1), n-len(out), 1<<20)
		if err != nil || len(recs) == 0 {
			t.Fatalf("after %d records: %v", len(out), err)
		}
		out = append(out, recs...)
	}
	return out
}

func settle(t *testing.T, c natsjs.Consumer, n int) {
	t.Helper()
	msgs, err := c.Fetch(n, natsjs.FetchMaxWait(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for m := range msgs.Messages() {
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Only an empty directory is restored to, and none that was begun is taken for whole.
func TestRestoreIsWholeOrNothing(t *testing.T) {
	heavy.Test(t)
	o := embedded(t)
	o.Durability = jetstream.DurabilityRelaxed
	e := logtest.Open(t, o)
	appendAll(t, e, 0, 50)
	kept := new(partsKept)
	if err := e.Backup(t.Context(), 0, kept); err != nil {
		t.Fatal(err)
	}
	if err := kept.restore(t.Context(), o.Dir); !errors.Is(err, jetstream.ErrNotEmpty) {
		t.Errorf("over a data directory: %v", err)
	}

	// As a kill leaves it: begun, and not ended.
	killed := embedded(t)
	r, err := jetstream.BeginRestore(killed.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jetstream.BeginRestore(killed.Dir); err == nil {
		t.Error("two restore into one directory")
	}
	image := copyDir(t, killed.Dir)
	if err := r.Abort(); err != nil {
		t.Fatal(err)
	}
	killed.Dir = image
	if _, err := jetstream.Open(t.Context(), killed); !errors.Is(err, jetstream.ErrRestoring) {
		t.Errorf("a gateway starts where a restore was killed: %v", err)
	}
	if _, err := jetstream.CheckDir(killed.Dir, true); !errors.Is(err, jetstream.ErrRestoring) {
		t.Errorf("the doctor: %v", err)
	}
	if err := kept.restore(t.Context(), killed.Dir); err != nil {
		t.Errorf("once more: %v", err)
	}

	// A snapshot that is cut off, and one with a byte wrong.
	const events = "streams/" + jetstream.StreamEvents
	whole := bytes.Clone(kept.parts[events].Bytes())
	for what, harmed := range map[string][]byte{"cut off": whole[:len(whole)/2], "nothing": nil, "a byte": flipped(whole)} {
		kept.parts[events] = bytes.NewBuffer(harmed)
		dir := filepath.Join(t.TempDir(), "to")
		if err := kept.restore(t.Context(), dir); err == nil {
			t.Errorf("%s: it is restored", what)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 1 { // the lock
			t.Errorf("%s: there are %v, %v", what, left, err)
		}
	}
}

func flipped(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)/2] ^= 1
	return data
}

// One backup at a time; and one whose reader goes ends, and leaves the way to the next.
func TestBackupWhoseReaderGoes(t *testing.T) {
	e := logtest.Open(t, embedded(t))
	gone := errors.New("gone")
	kept := &partsKept{}
	kept.on = func(string) {
		if err := e.Backup(t.Context(), 0, new(partsKept)); !errors.Is(err, eventlog.ErrNoBackup) {
			t.Errorf("beside another: %v", err)
		}
	}
	if err := e.Backup(t.Context(), 0, failing{kept, gone}); !errors.Is(err, gone) {
		t.Errorf("the reader has gone: %v", err)
	}
	if err := e.Backup(t.Context(), 0, new(partsKept)); err != nil {
		t.Error(err)
	}
}

// What refers to something else is read before it: of a request that is decided while the
// backup is made, the request or its event is in it.
func TestBackupIsReadInOrder(t *testing.T) {
	o := embedded(t)
	o.Durability = jetstream.DurabilityRelaxed
	e := logtest.Open(t, o)
	for _, name := range []string{jetstream.StreamAcks, jetstream.StreamAttempts, jetstream.StreamParked} { // as subscriptions have them
		if _, err := e.EnsureStream(t.Context(), natsjs.StreamConfig{Name: name, Subjects: []string{"test." + name}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Bucket(t.Context(), "SUBSCRIPTIONS"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Inbox().Put(t.Context(), eventlog.Row{Source: "a", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	decided := make(chan struct{})
	kept := &partsKept{}
	kept.on = func(part string) {
		first := part == "streams/"+jetstream.StreamEvents || part == "streams/"+jetstream.StreamInbox
		if !first {
			return
		}
		select {
		case <-decided:
		default:
			decide(t, e)
			close(decided)
		}
	}
	if err := e.Backup(t.Context(), 0, kept); err != nil {
		t.Fatal(err)
	}
	var streams []string
	for _, name := range kept.names {
		if stream, ok := strings.CutPrefix(name, "streams/"); ok && !strings.HasSuffix(name, ".json") {
			streams = append(streams, stream)
		}
	}
	want := []string{"KV_HOOKSTREAM_SUBSCRIPTIONS", jetstream.StreamInbox, jetstream.StreamAcks, jetstream.StreamAttempts, jetstream.StreamEvents, jetstream.StreamParked}
	if !slices.Equal(streams, want) {
		t.Errorf("the order is %v, want %v", streams, want)
	}
	o.Dir = filepath.Join(t.TempDir(), "restored")
	if err := kept.restore(t.Context(), o.Dir); err != nil {
		t.Fatal(err)
	}
	again := logtest.Open(t, o)
	bounds, err := again.Events().Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := again.Inbox().Pending(); n == 0 && bounds.Last == 0 {
		t.Error("neither the request nor its event is in the backup")
	}
}

// decide publishes the event of the one request, and has done with it.
func decide(t *testing.T, e *jetstream.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_ = e.Inbox().Work(ctx, 1, func(ctx context.Context, c *eventlog.Claim) {
		if _, err := e.Events().Append(ctx, logtest.Entry("a", 1)); err != nil {
			t.Error(err)
		}
		if err := c.Done(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	})
}

// A reader that stands still for longer than JetStream waits for one has its backup, and
// one that stands still for too long ends it.
func TestBackupWhoseReaderStandsStill(t *testing.T) {
	heavy.Test(t)
	for name, c := range map[string]struct {
		still time.Duration
		ends  bool
	}{"for a while": {time.Minute, false}, "for ever": {time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			natstest.Bubble(t, func(t *testing.T) {
				o := embedded(t)
				o.Durability = jetstream.DurabilityRelaxed
				e := logtest.Open(t, o)
				random := rand.NewChaCha8([32]byte{})
				for n := range 12 {
					entry := logtest.Entry("a", n)
					entry.Data = make([]byte, 1<<20)
					_, _ = random.Read(entry.Data) // never fails
					if _, err := e.Events().Append(t.Context(), entry); err != nil {
						t.Fatal(err)
					}
				}
				kept := &stillReader{partsKept: new(partsKept), still: c.still}
				err := e.Backup(t.Context(), 0, kept)
				if c.ends != errors.Is(err, context.DeadlineExceeded) || !c.ends && err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.still) // who still writes has done so
				if size := kept.parts["streams/"+jetstream.StreamEvents].Len(); !c.ends && size < 12<<20 {
					t.Errorf("%d bytes of 12 MiB", size)
				}
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// stillReader stands still once.
type stillReader struct {
	*partsKept
	still time.Duration
	stood bool
}

func (r *stillReader) Write(b []byte) (int, error) {
	if r.names[len(r.names)-1] == "streams/"+jetstream.StreamEvents && !r.stood {
		r.stood = true
		time.Sleep(r.still)
	}
	return r.partsKept.Write(b)
}

type failing struct {
	*partsKept
	err error
}

func (f failing) Write(b []byte) (int, error) {
	if n, _ := f.partsKept.Write(b); n < 200 {
		return n, nil
	}
	return 0, f.err
}

var _ io.Writer = failing{}
