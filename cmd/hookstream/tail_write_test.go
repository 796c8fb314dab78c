package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func openPlace(t *testing.T, path string) *cursorFile {
	t.Helper()
	f, err := openCursorFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

// A fullDisk takes so many bytes.
type fullDisk struct{ room int }

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// An ackDesk notes what is acknowledged, and what is given back.
type ackDesk struct {
	hookstreamv1.UnimplementedSubscriptionServiceServer
	mu          sync.Mutex
	acks, nacks []string
}

func (d *ackDesk) Acknowledge(_ context.Context, req *hookstreamv1.AcknowledgeRequest) (*hookstreamv1.AcknowledgeResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	resp := &hookstreamv1.AcknowledgeResponse{}
	for _, s := range req.GetSettlements() {
		switch s.GetVerdict() {
		case hookstreamv1.Settlement_VERDICT_ACK:
			d.acks = append(d.acks, s.GetAckToken())
		default:
			d.nacks = append(d.nacks, s.GetAckToken()+" "+s.GetVerdict().String())
		}
		resp.Results = append(resp.Results, &hookstreamv1.AckResult{AckToken: s.GetAckToken(), Outcome: hookstreamv1.AckOutcome_ACK_OUTCOME_DONE})
	}
	return resp, nil
}

// tokened gives each delivery a token.
func tokened(cursors ...string) *hookstreamv1.SubscribeResponse {
	f := batch(cursors...)
	for _, d := range f.GetBatch().GetDeliveries() {
		d.AckToken = "token-" + d.GetCursor()
	}
	return f
}

// What could not be written is neither acknowledged nor passed by the cursor, in
// either form, and whether it is the first write that fails or a later one.
func TestTailConfirmsOnlyWhatWasWritten(t *testing.T) {
	cursors := make([]string, 6)
	for i := range cursors {
		cursors[i] = event.Cursor{Seq: uint64(i + 1)}.String()
	}
	for _, form := range []string{"text", "json"} {
		for room := range 4 { // in batches of two
			t.Run(form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testPassesOnlyWhatWasWritten(t, form, room, cursors) })
				synctest.Test(t, func(t *testing.T) { testAcknowledgesOnlyWhatWasWritten(t, form, room, cursors) })
			})
		}
	}
}

// printsTo answers a printer, and how long two events are in its form.
func printsTo(w io.Writer, form string, cursors []string) (p deliveryPrinter, two int) {
	newPrinter := func(w io.Writer) deliveryPrinter {
		if form == "json" {
			return &jsonPrinter{out: bufio.NewWriter(w)}
		}
		return &linePrinter{out: bufio.NewWriter(w), now: time.Now}
	}
	var whole bytes.Buffer
	measure := newPrinter(&whole)
	for _, d := range tokened(cursors[:2]...).GetBatch().GetDeliveries() {
		_ = measure.print(d)
	}
	_ = measure.flush()
	return newPrinter(w), whole.Len()
}

// inTwos sends batches of two.
func inTwos(cursors []string) func(*hookstreamv1.SubscribeRequest, sending) error {
	return func(_ *hookstreamv1.SubscribeRequest, s sending) error {
		_ = s.Send(opened())
		for at := 0; at < len(cursors); at += 2 {
			_ = s.Send(tokened(cursors[at : at+2]...))
		}
		<-s.Context().Done()
		return nil
	}
}

func testPassesOnlyWhatWasWritten(t *testing.T, form string, room int, cursors []string) {
	disk := &fullDisk{}
	printer, two := printsTo(disk, form, cursors)
	disk.room = two*room + two/2 // so many batches and half of the next
	place := openPlace(t, filepath.Join(t.TempDir(), "place"))
	f := &follower{conn: gateway(t, inTwos(cursors)), place: place, count: len(cursors), printer: printer, say: func(string, ...any) {}}
	err := f.run(anHour(t))
	written := min(2*room, len(cursors))
	if wantErr := written < len(cursors); errors.Is(err, syscall.ENOSPC) != wantErr {
		t.Errorf("room for %d: ended with %v", written, err)
	}
	want := ""
	if written > 0 {
		want = cursors[written-1]
	}
	if got, _ := place.load(); got != want && (want != "" || got != "start") {
		t.Errorf("room for %d: the cursor is %q, want %q", written, got, want)
	}
}

func testAcknowledgesOnlyWhatWasWritten(t *testing.T, form string, room int, cursors []string) {
	disk, desk := &fullDisk{}, &ackDesk{}
	printer, two := printsTo(disk, form, cursors)
	disk.room = two*room + two/2 // the first of the next is written whole, if both are as long
	f := &follower{
		conn: gatewayWith(t, desk, inTwos(cursors)), subscription: "subscriptions/crm",
		count: len(cursors), printer: printer, say: func(string, ...any) {},
	}
	err := f.run(anHour(t))
	written := min(2*room+1, len(cursors))
	if wantErr := written < len(cursors); errors.Is(err, syscall.ENOSPC) != wantErr {
		t.Errorf("room for %d: ended with %v", written, err)
	}
	if !slices.Equal(desk.acks, tokensOf(cursors[:written])) {
		t.Errorf("room for %d: acknowledged %v", written, desk.acks)
	}
	for _, n := range desk.nacks {
		if !strings.HasSuffix(n, " VERDICT_RELEASE") {
			t.Errorf("room for %d: %s costs an attempt", written, n)
		}
	}
}

func tokensOf(cursors []string) (tokens []string) {
	for _, c := range cursors {
		tokens = append(tokens, "token-"+c)
	}
	return tokens
}

// What is not made last is not confirmed.
func TestTailConfirmsAfterTheFileIsSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk := &ackDesk{}
		f := &follower{
			conn: gatewayWith(t, desk, inTwos([]string{"a", "b"})), subscription: "subscriptions/crm",
			printer: &names{}, say: func(string, ...any) {}, sync: func() error { return syscall.EIO },
		}
		if err := f.run(anHour(t)); !errors.Is(err, syscall.EIO) || len(desk.acks) > 0 {
			t.Errorf("ended with %v, acknowledged %v", err, desk.acks)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		place := openPlace(t, filepath.Join(t.TempDir(), "place"))
		first := event.Cursor{Seq: 1}.String()
		f := &follower{
			conn: gateway(t, inTwos([]string{first, event.Cursor{Seq: 2}.String()})), place: place,
			printer: &names{}, say: func(string, ...any) {}, sync: func() error { return syscall.EIO },
		}
		if err := f.run(anHour(t)); !errors.Is(err, syscall.EIO) {
			t.Errorf("ended with %v", err)
		}
		if kept, err := place.load(); kept != "" || err != nil {
			t.Errorf("kept %q, %v", kept, err)
		}
	})
}

// A count leaves the rest of a subscription to others, at no cost.
func TestTailTakesNoMoreThanItPrints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		desk, out := &ackDesk{}, &names{}
		f := &follower{
			conn: gatewayWith(t, desk, inTwos([]string{"a", "b", "c", "d"})), subscription: "subscriptions/crm",
			count: 1, printer: out, say: func(string, ...any) {},
		}
		if err := f.run(anHour(t)); err != nil {
			t.Fatal(err)
		}
		if len(out.printed) != 1 || !slices.Equal(desk.acks, tokensOf([]string{"a"})) {
			t.Errorf("printed %v, acknowledged %v", out.printed, desk.acks)
		}
		for _, n := range desk.nacks {
			if !strings.HasSuffix(n, " VERDICT_RELEASE") {
				t.Errorf("%s costs an attempt", n)
			}
		}
	})
}

// Whatever a command prints, one that could not be written is an error.
func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--help"}, {"tail", "--help"}, {"bench", "--list"}} {
		var told bytes.Buffer
		code := run(t.Context(), args, func(string) string { return "" }, strings.NewReader(""), &fullDisk{}, &told)
		if code == exitOK || !strings.Contains(told.String(), syscall.ENOSPC.Error()) {
			t.Errorf("%v: %d, told %q", args, code, &told)
		}
	}
}

// Streams that open and end at once are asked for ever more seldom, and those that
// something between cancels are opened again; one that delivered begins anew.
func TestTailSlowsDownWhenStreamsEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		var streams []func(*hookstreamv1.SubscribeRequest, sending) error
		for _, err := range []error{
			status.Error(codes.Canceled, "by a proxy"), status.Error(codes.Unavailable, "no"), nil, status.Error(codes.Internal, "reset"),
			status.Error(codes.Unknown, "?"), status.Error(codes.ResourceExhausted, "full"), status.Error(codes.DeadlineExceeded, "late"),
			status.Error(codes.Aborted, "x"),
		} {
			streams = append(streams, func(_ *hookstreamv1.SubscribeRequest, s sending) error {
				times = append(times, time.Now())
				_ = s.Send(opened())
				return err
			})
		}
		streams = append(streams, func(_ *hookstreamv1.SubscribeRequest, s sending) error {
			times = append(times, time.Now())
			_ = s.Send(opened())
			_ = s.Send(batch("a"))
			return status.Error(codes.Canceled, "again")
		}, func(_ *hookstreamv1.SubscribeRequest, s sending) error {
			times = append(times, time.Now())
			_ = s.Send(opened())
			return s.Send(batch("b"))
		})
		gw := gateway(t, streams...)
		f := &follower{conn: gw, count: 2, printer: &names{}, say: func(string, ...any) {}}
		if err := f.run(anHour(t)); err != nil {
			t.Fatal(err)
		}
		if wait := times[8].Sub(times[7]); wait < 7*time.Second {
			t.Errorf("the eighth wait is %s", wait)
		}
		if wait := times[9].Sub(times[8]); wait > time.Second {
			t.Errorf("after a stream that delivered the wait is %s", wait)
		}
	})
}

// CANCELLED is an interruption only where somebody interrupted.
func TestACancelledCallIsNotAlwaysAnInterruption(t *testing.T) {
	err := status.Error(codes.Canceled, "context canceled")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if what, _ := explain((connection{}).explain(ended, err)); what != "interrupted" {
		t.Errorf("by Ctrl-C: %s", what)
	}
	if what, _ := explain((connection{}).explain(t.Context(), err)); what == "interrupted" {
		t.Error("by a proxy: interrupted")
	}
}

// Two tails that keep one place would pass over each other's events.
func TestACursorFileIsForOneTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "place")
	first := openPlace(t, path)
	refused := func() {
		t.Helper()
		_, err := openCursorFile(path)
		if err == nil || !strings.Contains(err.Error(), "in use by another tail") {
			t.Errorf("the second got %v", err)
		}
	}
	refused()
	for seq := range uint64(3) { // the file is another after each
		if err := first.save(event.Cursor{Seq: seq + 1}.String()); err != nil {
			t.Fatal(err)
		}
		refused()
	}
	first.close()
	second := openPlace(t, path)
	if got, err := second.load(); err != nil || got != (event.Cursor{Seq: 3}).String() {
		t.Errorf("load: %q, %v", got, err)
	}
}

// A killed tail leaves nothing for ever, and a file that only looks so stays.
func TestACursorFileIsSweptOf(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"place.123": event.Cursor{Seq: 1}.String() + "\n", "place.tmp": "half", "place.456": "mine", "place.txt": event.Cursor{Seq: 1}.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := openPlace(t, filepath.Join(dir, "place"))
	f.close() // nothing was kept: the file itself is gone, too
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"place.456", "place.txt"}) {
		t.Errorf("left: %v", names)
	}
}

// A file that cannot be replaced, as one that is mounted by itself, is written.
func TestACursorFileThatCannotBeReplacedIsWritten(t *testing.T) {
	f := openPlace(t, filepath.Join(t.TempDir(), "place"))
	if err := f.save(event.Cursor{Seq: 1}.String()); err != nil {
		t.Fatal(err)
	}
	if !inPlace(&os.LinkError{Op: "rename", Err: syscall.EBUSY}) {
		t.Error("EBUSY is not the time to write")
	}
	second := event.Cursor{Seq: 2}.String()
	if err := f.overwrite(second + "\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := f.load(); err != nil || got != second {
		t.Errorf("load: %q, %v", got, err)
	}
}

// A secret with white space around it is refused with the name of where it came
// from, and not shown.
func TestASecretWithWhiteSpaceAroundIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hidden-secret \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secretVariable = "HOOKSTREAM_YOUSIGN_SECRET"
	env := func(value string) func(string) string { return func(string) string { return value } }
	for _, tt := range []struct{ file, env, stdin, names string }{
		{"", "hidden-secret ", "", "$" + secretVariable},
		{"", "\thidden-secret", "", "$" + secretVariable},
		{"", "hidden-secret\n", "", "$" + secretVariable},
		{"", "hidden-secret\u00a0", "", "$" + secretVariable},
		{"", "\ufeffhidden-secret", "", "$" + secretVariable},
		{file, "", "", file},
		{"-", "", " hidden-secret\n", "standard input"},
	} {
		p := &program{getenv: env(tt.env), stdin: strings.NewReader(tt.stdin)}
		_, err := p.newSecret(tt.file, secretVariable)
		if err == nil || !strings.Contains(err.Error(), tt.names) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q in %q: %v", tt.env+tt.stdin, tt.names, err)
		}
	}
	p := &program{getenv: env("good-secret"), stdin: strings.NewReader("good-secret\r\n")}
	for _, file := range []string{"", "-"} {
		if got, err := p.newSecret(file, secretVariable); err != nil || got != "good-secret" {
			t.Errorf("%q, %v", got, err)
		}
	}
}
