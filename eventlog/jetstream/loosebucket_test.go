package jetstream

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// What can be done without keeps no gateway from starting, whatever is left of its files,
// and takes what comes then.
func TestADamagedLooseBucketKeepsNobodyFromStarting(t *testing.T) {
	for _, damage := range []struct {
		name string
		do   func(path string) error
	}{
		{"files of zeros", func(path string) error { return overwrite(path, 0) }},
		{"files of rubbish", func(path string) error { return overwrite(path, 0xa5) }},
		{"empty files", func(path string) error { return os.Truncate(path, 0) }},
		{"no files", os.Remove},
	} {
		t.Run(damage.name, func(t *testing.T) {
			o := DefaultOptions()
			o.Dir = t.TempDir()
			e := openForTest(t, o)
			b, err := e.LooseBucket(t.Context(), "TEST")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Create(t.Context(), "k", []byte("1")); err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(streamsDir(o.Dir), bucketStream+loosePrefix+"TEST")
			if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				return damage.do(path)
			}); err != nil {
				t.Fatal(err)
			}
			e = openForTest(t, o)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if b, err = e.LooseBucket(ctx, "TEST"); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Create(ctx, "new", []byte("2")); err != nil {
				t.Fatal(err)
			}
			if c, err := b.Now(ctx, "new"); err != nil || string(c.Value) != "2" {
				t.Errorf("it is %q, %v", c.Value, err)
			}
		})
	}
}

func overwrite(path string, with byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.Repeat([]byte{with}, int(info.Size())), 0o600)
}

// It is the first to go when the disk fills: the log is still taken.
func TestALooseBucketIsRefusedBeforeTheLog(t *testing.T) {
	o := DefaultOptions()
	o.Dir, o.Durability = t.TempDir(), DurabilityRelaxed
	free, err := freeBytes(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	o.MinFreeBytes = free - free/4 // others write to this disk
	e := openForTest(t, o)
	b, err := e.LooseBucket(t.Context(), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(t.Context(), "k", []byte("1")); !errors.Is(err, eventlog.ErrFull) {
		t.Errorf("create: %v, want %v", err, eventlog.ErrFull)
	}
	if _, err := b.Update(t.Context(), "k", []byte("1"), 0); !errors.Is(err, eventlog.ErrFull) {
		t.Errorf("update: %v, want %v", err, eventlog.ErrFull)
	}
	if _, err := e.Events().Append(t.Context(), eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: "1", Data: []byte("1")}); err != nil {
		t.Errorf("append: %v", err)
	}
}
