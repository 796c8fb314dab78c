package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/internal/heavy"
)

// doctor runs the command.
func doctor(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"doctor"}, args...), func(string) string { return "" }, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// The doctor finds what is damaged, says what that costs, keeps what can be read,
// and has nothing to say afterwards.
func TestDoctor(t *testing.T) {
	heavy.Test(t)
	o := jetstream.DefaultOptions()
	o.Dir = filepath.Join(t.TempDir(), "data")
	e := logtest.Open(t, o)
	for n := range 20 {
		if _, err := e.Events().Append(t.Context(), logtest.Entry("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := e.Bucket(t.Context(), "OTHERS")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"one", "two", "three"} {
		if _, err := b.Create(t.Context(), key, []byte("value of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, stderr := doctor("--data-dir", o.Dir); code != exitFailed || !strings.Contains(stderr, "in use by another gateway") {
		t.Errorf("beside a gateway: %d, %s", code, stderr)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := doctor("--data-dir", o.Dir); code != exitOK || strings.Contains(stdout, "DAMAGED") {
		t.Errorf("undamaged: %d, %s%s", code, stdout, stderr)
	}
	flipByte(t, filepath.Join(o.Dir, "jetstream/$G/streams/HOOKSTREAM_EVENTS/msgs/1.blk"), 1000)
	flipByte(t, filepath.Join(o.Dir, "jetstream/$G/streams/KV_HOOKSTREAM_OTHERS/msgs/1.blk"), 30)
	if _, err := jetstream.Open(t.Context(), o); err == nil {
		t.Fatal("a gateway starts with a damaged bucket")
	}
	code, stdout, stderr := doctor("--data-dir", o.Dir)
	for _, want := range []string{"HOOKSTREAM_EVENTS/msgs/1.blk: no record can be read", "KV_HOOKSTREAM_OTHERS/msgs/1.blk: no record", "missing", "event number"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("not said: %q in\n%s", want, stdout)
		}
	}
	if code != exitFailed || !strings.Contains(stderr, "--repair") {
		t.Errorf("damaged: %d, %s", code, stderr)
	}
	if code, stdout, _ := doctor("--data-dir", o.Dir, "-o", "json"); code != exitFailed || !strings.Contains(stdout, `"Damaged":true`) {
		t.Errorf("as JSON: %d, %s", code, stdout)
	}
	if code, stdout, stderr := doctor("--data-dir", o.Dir, "--repair"); code != exitFailed || !strings.Contains(stderr, "what could be read is kept") {
		t.Errorf("repair: %d, %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := doctor("--data-dir", o.Dir); code != exitOK || !strings.Contains(stdout, "missing since earlier") {
		t.Errorf("repaired: %d, %s%s", code, stdout, stderr)
	}
	e = logtest.Open(t, o)
	if e.Missing() != 1 {
		t.Errorf("%d events are missing", e.Missing())
	}
	b, err = e.Bucket(t.Context(), "OTHERS")
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	ctx, cancel := context.WithCancel(t.Context())
	_ = b.Watch(ctx, func(eventlog.Change) { left++ }, cancel)
	if left != 2 {
		t.Errorf("%d of 3 values are left, want 2", left)
	}
}

func flipByte(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
