package index_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookstream/hookstream/eventlog/index"
)

// Whatever happens to its files, the index opens, and what it answers is right, or
// it says that it is damaged and is empty the next time. The log fills it again.
func TestDamagedFiles(t *testing.T) {
	whole := t.TempDir()
	x := open(t, whole, 7, 0)
	fill(t, x, 1, 200)
	shut(t, x)
	damages := map[string]func(data []byte) []byte{
		"cut":     func(data []byte) []byte { return data[:len(data)/2] },
		"emptied": func([]byte) []byte { return nil },
		"flipped": func(data []byte) []byte {
			data = bytes.Clone(data)
			for i := 8; i < len(data); i += 64 {
				data[i] ^= 0x10
			}
			return data
		},
	}
	files, err := filepath.Glob(filepath.Join(whole, "*"))
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		for damage, apply := range damages {
			t.Run(name+" "+damage, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), apply(data), 0o600); err != nil {
					t.Fatal(err)
				}
				checkDamaged(t, dir)
			})
		}
		t.Run(name+" removed", func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			checkDamaged(t, dir)
		})
	}
}

func checkDamaged(t *testing.T, dir string) {
	t.Helper()
	x := open(t, dir, 7, 199)
	for n := 1; n < 200 && x.Applied() > 0; n++ {
		seq, ok, err := x.Key(key(n))
		if errors.Is(err, index.ErrDamaged) {
			_ = x.Close() // may say so again
			x = open(t, dir, 7, 199)
			if x.Applied() != 0 {
				t.Error("a damaged index is opened as it was")
			}
			break
		}
		if err != nil || !ok || seq != uint64(n) {
			t.Fatalf("key %d: %d, %v, %v: it is said to be known up to %d", n, seq, ok, err, x.Applied())
		}
	}
	fill(t, x, 1, 200)
	if !has(t, x, 1) || !has(t, x, 199) {
		t.Error("it does not remember what it is told anew")
	}
	shut(t, x)
}

// A directory that cannot be made anew is an error, not an endless try.
func TestIndexThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := index.Open(filepath.Join(file, "index"), 7, 0, window, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("opened below a file")
	}
}
