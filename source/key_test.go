package source_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/source"
)

func TestKeyFileIsMadeOnceForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	var wg sync.WaitGroup
	keys := make([]source.Key, 8)
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = source.LoadOrCreateKey(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, key := range keys {
		if key != keys[0] || key == (source.Key{}) {
			t.Error("processes that start together disagree on the key")
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o660, 0o604, 0o620, 0o644} {
		path := filepath.Join(t.TempDir(), "key")
		if _, err := source.LoadOrCreateKey(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := source.LoadOrCreateKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

func TestABadKeyFileIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("not-a-key"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := source.LoadOrCreateKey(path)
	if err == nil || strings.Contains(err.Error(), "not-a-key") {
		t.Errorf("a file that is no key: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "not-a-key" {
		t.Error("the file was replaced: whoever had a key there has lost it")
	}
}

func TestParseKey(t *testing.T) {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(i * 37)
	}
	want, err := source.ParseKey(hex.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"upper-case hex": strings.ToUpper(hex.EncodeToString(raw)),
		"base64":         base64.StdEncoding.EncodeToString(raw),
		"base64 raw":     base64.RawStdEncoding.EncodeToString(raw),
		"base64 url":     base64.URLEncoding.EncodeToString(raw),
		"white space":    " \n" + base64.RawURLEncoding.EncodeToString(raw) + "\n",
	} {
		if got, err := source.ParseKey(text); err != nil || got != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty":    "",
		"short":    hex.EncodeToString(raw[:16]),
		"long":     base64.StdEncoding.EncodeToString(append(raw, 0)),
		"nonsense": strings.Repeat("?", 43),
	} {
		if _, err := source.ParseKey(text); err == nil || (text != "" && strings.Contains(err.Error(), text)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyCannotBePrinted(t *testing.T) {
	key, err := source.ParseKey(strings.Repeat("07", 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if s := fmt.Sprintf(verb, key); strings.Contains(s, "7") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}

// A secret that Kubernetes or systemd hand out is read by the group of who runs the
// gateway; that of another group may be read by others.
func TestKeyFileOfTheOwnGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	want, err := source.LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o440} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got, err := source.LoadKey(path); err != nil || got != want {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
	if err := os.Chown(path, -1, 54321); err != nil {
		t.Skipf("SKIPPED: the group cannot be changed here: %v", err)
	}
	if _, err := source.LoadKey(path); err == nil {
		t.Error("a key that another group may read is taken")
	}
}
