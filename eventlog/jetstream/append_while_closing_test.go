package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// Repetitions arrive while the engine closes: the index that knows them is closed
// under them.
func TestAppendWhileClosing(t *testing.T) {
	o := DefaultOptions()
	o.Dir = t.TempDir()
	e, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	log := e.Events()
	again := func(i int) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := log.Append(ctx, eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: fmt.Sprint("k", i), Data: []byte("data")})
		return err
	}
	var first sync.WaitGroup
	for i := range 500 {
		first.Go(func() {
			if err := again(i); err != nil {
				t.Error(err)
			}
		})
	}
	first.Wait()
	if _, err := e.index.Sweep(time.Now()); err != nil { // what is asked for lies on the disk
		t.Fatal(err)
	}
	var repeating sync.WaitGroup
	for w := range 4 {
		repeating.Go(func() {
			for i := w; ; i++ {
				switch err := again(i % 500); {
				case errors.Is(err, eventlog.ErrUnavailable):
					return
				case err != nil:
					t.Error(err)
					return
				}
			}
		})
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	repeating.Wait()
	if _, _, err := log.Key("s", "k1"); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("a look after the end: %v", err)
	}
}
