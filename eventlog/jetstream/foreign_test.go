package jetstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

// A message that something else puts among the events, or an entry of a newer
// form, must not end a gateway, nor keep one from starting. It is counted, and
// readers see that something is there.
func TestForeignRecords(t *testing.T) {
	for name, options := range map[string]func(*testing.T) jetstream.Options{
		"embedded": embedded,
		"cluster": func(t *testing.T) jetstream.Options {
			o := embedded(t)
			o.URL, o.Replicas = natstest.Start(t).URL(), 3
			return o
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t)
			e := logtest.Open(t, o)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			seen := make(chan event.Record, 100)
			go func() {
				_ = e.Events().Tail(ctx, 1, func(recs []event.Record) error {
					for _, r := range recs {
						seen <- r
					}
					return nil
				})
			}()
			put := func(n int) uint64 {
				t.Helper()
				got, err := e.Events().Append(ctx, logtest.Entry("a", n))
				if err != nil {
					t.Fatal(err)
				}
				return got.Seq
			}
			put(0)
			newer := make([]byte, 700)
			newer[699] = 2
			for _, data := range [][]byte{make([]byte, 700), newer, nil} {
				// With an answer: it must lie before what comes next.
				if _, err := connection(t, e).RequestWithContext(ctx, "hookstream.events.x.y.z", data); err != nil {
					t.Fatal(err)
				}
			}
			last := put(1)
			if again := put(0); again != 1 {
				t.Errorf("an entry from before is kept again as %d", again)
			}
			empty := 0
			for r := range seen {
				if len(r.Data) == 0 {
					empty++
				}
				if r.Seq == last {
					break
				}
			}
			if empty != 3 || e.Foreign() < 3 {
				t.Errorf("followers see %d records of no known form, %d are counted", empty, e.Foreign())
			}
			recs, err := e.Events().Read(ctx, 1, 10, 1<<20)
			if err != nil || len(recs) == 0 {
				t.Errorf("%d records, %v", len(recs), err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			e = logtest.Open(t, o)
			if _, err := e.Events().Append(ctx, logtest.Entry("a", 2)); err != nil {
				t.Errorf("after a restart: %v", err)
			}
			if got, err := e.Events().Append(ctx, logtest.Entry("a", 1)); err != nil || !got.Duplicate {
				t.Errorf("an entry from before the restart: %+v, %v", got, err)
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Error("it took too long")
			}
		})
	}
}

func connection(t *testing.T, e *jetstream.Engine) *nats.Conn {
	t.Helper()
	nc, err := e.Deliveries()
	if err != nil {
		t.Fatal(err)
	}
	return nc
}
