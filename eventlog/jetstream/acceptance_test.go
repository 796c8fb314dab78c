package jetstream_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

// A cluster that answers and takes no entries is not well, for the log and for the
// inbox, and the log names the cause. It is well again by itself, though nobody sends
// anything meanwhile.
func TestClusterThatTakesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		replicas int
		inbox    bool // it is the inbox that takes nothing
		refuse   func(t *testing.T, e *jetstream.Engine, replicas int)
		says     string
		mend     func(t *testing.T, e *jetstream.Engine) // nil: it cannot be
	}{
		"the servers' store is full":               {3, false, fillStore, "insufficient", emptyStore},
		"the servers' store is full, one replica":  {1, false, fillStore, "insufficient", emptyStore},
		"the log has its bound":                    {3, false, bounded(jetstream.StreamEvents), "no room left", unbounded(jetstream.StreamEvents)},
		"the log has its bound, one replica":       {1, false, bounded(jetstream.StreamEvents), "no room left", unbounded(jetstream.StreamEvents)},
		"the inbox has its bound":                  {3, true, bounded(jetstream.StreamInbox), "no room left", unbounded(jetstream.StreamInbox)},
		"the servers' store is full, of the inbox": {3, true, fillStore, "insufficient", emptyStore},
		"the log is sealed":                        {3, false, seal, "sealed", nil},
		"the log is gone":                          {1, false, removeLog, "stream HOOKSTREAM_EVENTS", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told told
			o := embedded(t)
			o.URL, o.Replicas = natstest.Start(t, func(o *server.Options) { o.JetStreamMaxStore = smallStore }).URL(), c.replicas
			o.Logger = slog.New(slog.NewTextHandler(&told, nil))
			e := logtest.Open(t, o)
			n := 0
			send := func() error {
				n++
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if c.inbox {
					_, err := e.Inbox().Put(ctx, eventlog.Row{Source: "a", Key: "k", Data: []byte("x")})
					return err
				}
				_, err := e.Events().Append(ctx, logtest.Entry("a", n))
				return err
			}
			if err := send(); err != nil {
				t.Fatal(err)
			}
			c.refuse(t, e, c.replicas)
			await(t, "entries are refused", func() bool { return send() != nil })
			// One was refused, and nobody sends any more.
			await(t, "the log is not well", func() bool { return e.Healthy() != nil })
			await(t, "the log says why", func() bool { return told.contains("the log is not well", c.says) })
			for range 8 { // as long as nothing changes it stays so
				time.Sleep(time.Second)
				if e.Healthy() == nil {
					t.Fatal("well, and nothing has changed")
				}
			}
			if c.mend == nil {
				return
			}
			c.mend(t, e)
			await(t, "the log is well again", func() bool { return e.Healthy() == nil })
			if err := send(); err != nil {
				t.Errorf("well again, and an entry is refused: %v", err)
			}
		})
	}
}

// smallStore is what the servers may keep.
const smallStore = 32 << 20

// await waits for something that must come about by itself.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > 40*time.Second {
			t.Fatalf("not after %s: %s", time.Since(begun).Round(time.Second), what)
		}
	}
}

// fillStore fills the store of all servers with a stream of somebody else.
func fillStore(t *testing.T, e *jetstream.Engine, _ int) {
	t.Helper()
	_, err := e.JS().CreateStream(t.Context(), js.StreamConfig{Name: "OTHER", Subjects: []string{"other"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	// What is late was kept or not; only a refusal says that the store is full.
	await(t, "the store has an end", func() bool {
		_, err := e.JS().Publish(t.Context(), "other", make([]byte, 1<<20), js.WithRetryAttempts(0))
		return err != nil && strings.Contains(err.Error(), "insufficient")
	})
}

func emptyStore(t *testing.T, e *jetstream.Engine) {
	t.Helper()
	if err := e.JS().DeleteStream(t.Context(), "OTHER"); err != nil {
		t.Fatal(err)
	}
}

// configure changes how a stream is kept.
func configure(t *testing.T, e *jetstream.Engine, stream string, change func(*js.StreamConfig)) {
	t.Helper()
	st, err := e.JS().Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	c := st.CachedInfo().Config
	change(&c)
	if _, err := e.JS().UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func bounded(stream string) func(*testing.T, *jetstream.Engine, int) {
	return func(t *testing.T, e *jetstream.Engine, _ int) {
		configure(t, e, stream, func(c *js.StreamConfig) { c.MaxBytes, c.Discard = 1, js.DiscardNew })
	}
}

func unbounded(stream string) func(*testing.T, *jetstream.Engine) {
	return func(t *testing.T, e *jetstream.Engine) {
		configure(t, e, stream, func(c *js.StreamConfig) { c.MaxBytes = -1 })
	}
}

func seal(t *testing.T, e *jetstream.Engine, _ int) {
	configure(t, e, jetstream.StreamEvents, func(c *js.StreamConfig) { c.Sealed = true })
}

func removeLog(t *testing.T, e *jetstream.Engine, _ int) {
	if err := e.JS().DeleteStream(t.Context(), jetstream.StreamEvents); err != nil {
		t.Fatal(err)
	}
}

// told is what was logged.
type told struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *told) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// contains reports whether one line has all the words.
func (b *told) contains(words ...string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
lines:
	for line := range strings.Lines(b.Buffer.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		return true
	}
	return false
}
