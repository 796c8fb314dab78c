package index_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/hookstream/hookstream/eventlog/index"
)

// A disk that refuses to write any one kind of the index's files ends nothing but
// the index: Close comes back, and the next Open finds it or makes it anew.
func TestRefusedWrites(t *testing.T) {
	for _, kind := range []string{"MANIFEST", ".sst", "OPTIONS", "marker", ""} {
		for _, refused := range []error{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
			t.Run(kind+" "+refused.Error(), func(t *testing.T) {
				var full atomic.Bool
				onDisk(t, func(op errorfs.Op) error {
					if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, kind) {
						return refused
					}
					return nil
				})
				dir := t.TempDir()
				x := open(t, dir, 7, 0)
				fill(t, x, 1, 200)
				full.Store(true)
				_ = x.Close() // may say what it could not write
				if err := x.Apply(nil, 200); !errors.Is(err, index.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
				full.Store(false)
				x = open(t, dir, 7, 199)
				fill(t, x, int(x.Applied())+1, 200)
				for n := 1; n < 200; n++ {
					if seq, ok, err := x.Key(key(n)); err != nil || !ok || seq != uint64(n) {
						t.Fatalf("key %d: %d, %v, %v", n, seq, ok, err)
					}
				}
				shut(t, x)
			})
		}
	}
}

// onDisk has what a test does with its index go through inject.
func onDisk(t *testing.T, inject errorfs.InjectorFunc) {
	index.OnFileSystem(t, errorfs.Wrap(vfs.Default, inject))
}
