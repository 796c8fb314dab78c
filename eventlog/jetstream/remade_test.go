package jetstream_test

import (
	"context"
	"strings"
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

// A stream that is deleted under a running gateway is named as long as it is gone, and
// one that is made anew, by hand or by a gateway that starts, ends it: whoever went on
// would show the new one under the old numbers.
func TestStreamThatIsMadeAnew(t *testing.T) {
	byHand := func(t *testing.T, e *jetstream.Engine, _ jetstream.Options, c js.StreamConfig) {
		if _, err := e.JS().CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		replicas int
		stream   string
		remake   func(*testing.T, *jetstream.Engine, jetstream.Options, js.StreamConfig)
	}{
		"the log, by hand":              {3, jetstream.StreamEvents, byHand},
		"the log, by hand, one replica": {1, jetstream.StreamEvents, byHand},
		"the log, by a start":           {3, jetstream.StreamEvents, startAnother},
		"the inbox":                     {3, jetstream.StreamInbox, startAnother},
		"a bucket":                      {3, "KV_HOOKSTREAM_SOURCES", byHand},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			o := embedded(t)
			o.URL, o.Replicas = natstest.Start(t).URL(), c.replicas
			o.OnFatal = func(err error) { ended <- err }
			e := logtest.Open(t, o)
			if _, err := e.Bucket(t.Context(), "SOURCES"); err != nil {
				t.Fatal(err)
			}
			for n := range 3 {
				if _, err := e.Events().Append(t.Context(), logtest.Entry("a", n)); err != nil {
					t.Fatal(err)
				}
			}
			seen := tailed(t, e.Events())
			for n := <-seen; n != 3; n = <-seen {
				if n > 3 {
					t.Fatalf("the tail shows up to %d", n)
				}
			}
			st, err := e.JS().Stream(t.Context(), c.stream)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.JS().DeleteStream(t.Context(), c.stream); err != nil {
				t.Fatal(err)
			}
			await(t, "it is told which stream is gone", func() bool {
				err := e.Healthy()
				return err != nil && strings.Contains(err.Error(), c.stream) && strings.Contains(err.Error(), "gone")
			})
			c.remake(t, e, o, st.CachedInfo().Config)
			for n := range 5 { // more than there were; whether it takes them or not
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				_, _ = e.Events().Append(ctx, logtest.Entry("b", n))
				cancel()
			}
			select {
			case err := <-ended:
				if !strings.Contains(err.Error(), c.stream) || e.Healthy() == nil {
					t.Errorf("it ends with %v, and its health is %v", err, e.Healthy())
				}
			case <-time.After(40 * time.Second):
				t.Error("it goes on, and its health is", e.Healthy())
			}
			if c.stream != jetstream.StreamEvents {
				return
			}
			select {
			case n := <-seen:
				t.Errorf("the new log is shown under the old numbers, up to %d", n)
			default:
			}
		})
	}
}

// A log that ends before where it did, as an older copy of it does that was restored,
// is not the same log.
func TestStreamThatEndsEarlier(t *testing.T) {
	made := time.Now()
	var s jetstream.Streams
	s.Knows("X")
	at := func(last uint64, after time.Duration) (error, bool) {
		return s.Is("X", &js.StreamInfo{Created: made, State: js.StreamState{LastSeq: last}}, made.Add(after))
	}
	for _, step := range []struct {
		last  uint64
		after time.Duration
		final bool
	}{
		{10, 0, false},
		{8, 1 * time.Second, false}, // a leader that is about to apply the rest
		{10, 5 * time.Second, false},
		{9, 6 * time.Second, false},
		{9, 15 * time.Second, false},
		{9, 16 * time.Second, true},
	} {
		if err, final := at(step.last, step.after); final != step.final || final != (err != nil) {
			t.Errorf("%+v: %v, %v", step, err, final)
		}
	}
}

func startAnother(t *testing.T, _ *jetstream.Engine, o jetstream.Options, _ js.StreamConfig) {
	o.Dir, o.OnFatal = t.TempDir(), nil
	another := logtest.Open(t, o)
	if _, err := another.Bucket(t.Context(), "SOURCES"); err != nil {
		t.Fatal(err)
	}
}

// tailed answers up to where a follower has seen the log, each time that it has seen
// more.
func tailed(t *testing.T, l eventlog.Log) <-chan uint64 {
	seen := make(chan uint64, 100)
	go func() {
		_ = l.Tail(t.Context(), 1, func(recs []event.Record) error {
			seen <- recs[len(recs)-1].Seq
			return nil
		})
	}()
	return seen
}
