package jetstream_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
)

// A directory says how it is written from its first start on; one that does not is of
// 0.1.0; what it says is only changed when the layout is.
func TestFormat(t *testing.T) {
	o := embedded(t)
	o.Version = "1.2.3"
	format := func() jetstream.Format {
		t.Helper()
		f, err := jetstream.ReadFormat(o.Dir)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := format(); f.Layout != 1 || f.WrittenBy != "" || f.ReadableFrom != "0.1.0" {
		t.Errorf("of no file: %+v", f)
	}
	if err := logtest.Open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	if f := format(); f.Layout != jetstream.Layout || f.WrittenBy != "1.2.3" {
		t.Errorf("after the first start: %+v", f)
	}
	o.Version = "1.2.4"
	if err := logtest.Open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	if f := format(); f.WrittenBy != "1.2.3" {
		t.Errorf("after a start that changed nothing: %+v", f)
	}
	c, err := jetstream.CheckDir(o.Dir, false)
	if err != nil || *c.Format != format() {
		t.Errorf("the doctor: %+v, %v", c, err)
	}
	// Without the file, as 0.1.0 left it.
	if err := os.Remove(filepath.Join(o.Dir, "FORMAT")); err != nil {
		t.Fatal(err)
	}
	if err := logtest.Open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	if f := format(); f.WrittenBy != "1.2.4" {
		t.Errorf("after the first start on a directory of 0.1.0: %+v", f)
	}
}

// Neither a gateway nor the doctor touches what a later version wrote.
func TestLaterFormatIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ says, want string }{
		"later":   {`{"layout": 99, "written_by": "9.9.0", "readable_from": "9.8.0", "more": 1}`, "use version 9.8.0 or later"},
		"none":    {`{}`, "it has no layout"},
		"damaged": {"\x00\x00\x00", "restore it from a backup"},
		"empty":   {"", "restore it from a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			o := embedded(t)
			if err := os.MkdirAll(o.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(o.Dir, "FORMAT"), []byte(c.says), 0o600); err != nil {
				t.Fatal(err)
			}
			refused := func(who string, err error) {
				t.Helper()
				if !errors.Is(err, jetstream.ErrFormat) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v", who, err)
				}
			}
			_, err := jetstream.Open(t.Context(), o)
			refused("a gateway", err)
			for _, repair := range []bool{false, true} {
				_, err = jetstream.CheckDir(o.Dir, repair)
				refused("the doctor", err)
			}
			entries, err := os.ReadDir(o.Dir)
			if err != nil || len(entries) != 2 { // and the lock
				t.Errorf("there are %v, %v", entries, err)
			}
			if now, _ := os.ReadFile(filepath.Join(o.Dir, "FORMAT")); string(now) != c.says {
				t.Errorf("it was written: %q", now)
			}
		})
	}
}
