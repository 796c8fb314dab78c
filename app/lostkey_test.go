package app_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/app"
)

// A key that is gone is missed, and not replaced by one that opens nothing: neither
// now nor for who puts the right one back.
func TestLostKey(t *testing.T) {
	o := options(t)
	g := start(t, o)
	g.createSource("billing", yousignSource())
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.DataDir, "secret.key")
	key, err := os.ReadFile(path)
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("without its key: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a new key was left behind: %v", err)
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, o)
}
