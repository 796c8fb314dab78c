package backup_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/backup"
)

// parts of the tests, one larger than a file of it, one of exactly two, one empty.
func parts() map[string][]byte {
	return map[string][]byte{
		"FORMAT":           []byte(`{"layout":1}`),
		"streams/A":        bytes.Repeat([]byte("abcdefg"), 1<<19),
		"streams/EMPTY":    {},
		"streams/TWO.json": bytes.Repeat([]byte{7}, 2<<20),
	}
}

func written(t *testing.T, parts map[string][]byte) ([]byte, backup.Manifest) {
	t.Helper()
	var out bytes.Buffer
	w := backup.NewWriter(&out, "1.2.3", time.Now())
	names := make([]string, 0, len(parts))
	for name := range parts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.Part(name); err != nil {
			t.Fatal(err)
		}
		for data := range slices.Chunk(parts[name], 100_000) {
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
		}
	}
	m, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), m
}

func readAll(file []byte) (map[string][]byte, error) {
	got := make(map[string][]byte)
	_, err := backup.Read(bytes.NewReader(file), func(part string, r io.Reader) error {
		data, err := io.ReadAll(r)
		got[part] = data
		return err
	})
	return got, err
}

func TestReadsWhatWasWritten(t *testing.T) {
	want := parts()
	file, m := written(t, want)
	got, err := readAll(file)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d parts, %v", len(got), err)
	}
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s: %d bytes, not the %d that were written", name, len(got[name]), len(data))
		}
	}
	// Without reading a part, or all of it, it is checked all the same.
	again, err := backup.Read(bytes.NewReader(file), func(_ string, r io.Reader) error {
		_, err := io.CopyN(io.Discard, r, 3)
		return errors.Join(errIf(err != nil && !errors.Is(err, io.EOF), err))
	})
	if err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
		t.Errorf("%+v, %v", again, err)
	}
	sum := sha256.Sum256(want["streams/A"])
	if i := slices.IndexFunc(m.Parts, func(p backup.Part) bool { return p.Name == "streams/A" }); m.Parts[i].SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v", m.Parts)
	}
}

func errIf(really bool, err error) error {
	if really {
		return err
	}
	return nil
}

// A backup that ends anywhere before its end is not taken for whole, and is said to be
// cut off; one that has a byte wrong anywhere is refused, or says what it said.
func TestHarmedBackupIsRefused(t *testing.T) {
	want := map[string][]byte{"FORMAT": []byte(`{"layout":1}`), "streams/A": []byte("what is kept")}
	file, _ := written(t, want)
	last := []byte("  manifest.json\n") // what follows fills the archive up
	end := bytes.LastIndex(file, last) + len(last)
	for n := 0; n < end; n += 7 {
		if _, err := readAll(file[:n]); !errors.Is(err, backup.ErrCutOff) {
			t.Fatalf("%d of %d bytes: %v", n, len(file), err)
		}
	}
	at := bytes.Index(file, []byte("what is kept"))
	for n := at % 7; n < len(file); n += 7 {
		harmed := slices.Clone(file)
		harmed[n] ^= 0x11
		got, err := readAll(harmed)
		if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("byte %d of %d is wrong, and it reads as %q", n, len(file), got)
		}
		if n == at && (!errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), "streams/A")) {
			t.Errorf("a byte of a part: %v", err)
		}
	}
	if _, err := readAll([]byte(strings.Repeat("no archive ", 1000))); !errors.Is(err, backup.ErrNone) {
		t.Errorf("something else: %v", err)
	}
}
