package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
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
			o := jetstream.DefaultOptions()
			o.Dir = t.TempDir()
			queue := Config{Name: "sub-test", From: 1, Hold: time.Minute, MaxHeld: 100}
			e := On(openEngine(t, o))
			for i := range 5 {
				if _, err := e.Events().Append(t.Context(), eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: fmt.Sprint(i), Data: []byte("data")}); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.MakeQueue(t.Context(), queue); err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			path := consumerFile(t, o.Dir, queue.Name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			e = On(openEngine(t, o))
			if err := e.UpdateQueue(t.Context(), queue); errors.Is(err, ErrNoQueue) {
				err = e.MakeQueue(t.Context(), queue)
				if err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
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

// consumerFile answers where JetStream keeps what it knows of a consumer.
func consumerFile(t *testing.T, dir, name string) (path string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if filepath.Base(filepath.Dir(p)) == name && filepath.Base(p) == "o.dat" {
			path = p
		}
		return err
	})
	if path == "" || err != nil {
		t.Fatal("there is no such file", err)
	}
	return path
}

func openEngine(t *testing.T, o jetstream.Options) *jetstream.Engine {
	t.Helper()
	e, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}
