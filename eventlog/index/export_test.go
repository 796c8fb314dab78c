package index

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// OnFileSystem has the indexes of a test lie on another file system.
func OnFileSystem(t *testing.T, fs vfs.FS) {
	old := fileSystem
	t.Cleanup(func() { fileSystem = old })
	fileSystem = fs
}

// Small makes tables, filters and generations that are soon full.
func Small(t *testing.T) {
	filter, table := smallestFilter, tableSize
	t.Cleanup(func() { smallestFilter, tableSize = filter, table })
	smallestFilter, tableSize = 1<<16, 1<<10
}

func (x *Index) Generations() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.generations)
}

// Stored answers how many records are on the disk.
func (x *Index) Stored(t *testing.T) (n int) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindRecord}, UpperBound: []byte{kindRecord + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n
}
