package eventlog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What JetStream kept of a consumer is damaged: it is begun anew, and hands out what
// there is, where it waited for ever.
func TestDamagedConsumer(t *testing.T) {
	damages := map[string]func([]byte) []byte{
		"four bytes flipped": func(b []byte) []byte {
			for i := range 4 {
				b[len(b)/2+i] ^= 0x5a
			}
			return b
		},
		"the head": func(b []byte) []byte { b[0] ^= 0xff; return b },
		"cut":      func(b []byte) []byte { return b[:len(b)/2] },
		"overlong": func(b []byte) []byte {
			return append(b[:2], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		},
		"zeroed":    func(b []byte) []byte { return make([]byte, len(b)) },
		"untouched": func(b []byte) []byte { return b },
	}
	for why, damage := range damages {
		t.Run(why, func(t *testing.T) {
			o := DefaultOptions()
			o.Dir = t.TempDir()
			queue := QueueConfig{Name: "sub-test", From: 1, Hold: time.Minute, MaxHeld: 100}
			e := openForTest(t, o)
			for i := range 5 {
				if _, err := e.Events().Append(t.Context(), Entry{Source: "s", Topic: "t", Action: "a", DedupKey: fmt.Sprint(i), Data: []byte("data")}); err != nil {
					t.Fatal(err)
				}
			}
			if made, err := e.EnsureQueue(t.Context(), queue); !made || err != nil {
				t.Fatal(made, err)
			}
			dir := consumerDir(o.Dir, streamEvents, queue.Name)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, natsConsumer)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			e = openForTest(t, o)
			if _, err := e.EnsureQueue(t.Context(), queue); err != nil {
				t.Fatal(err)
			}
			hands := make(chan Hand, 10)
			p, err := e.Pull(queue, e.Pin(queue), func(h Hand) { hands <- h }, func() {})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Stop()
			p.Fill(10)
			for want := range uint64(5) {
				select {
				case h := <-hands:
					if h.Seq != want+1 {
						t.Errorf("event %d came for %d", h.Seq, want+1)
					}
				case <-time.After(20 * time.Second):
					t.Fatal("nothing is handed out")
				}
			}
		})
	}
}

func openForTest(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}
