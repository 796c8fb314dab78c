package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// exportOf answers the lines of an export of these bodies, from two logs.
func exportOf(t *testing.T, bodies ...string) (all []*hookstreamv1.ExportEventsResponse, lines []string) {
	t.Helper()
	all = append(all, &hookstreamv1.ExportEventsResponse{Line: &hookstreamv1.ExportEventsResponse_Start{Start: &hookstreamv1.ExportStart{}}})
	for i, body := range bodies {
		at := time.Unix(1_700_000_000, 0).Add(time.Duration(i) * time.Hour)
		sum := sha256.Sum256([]byte(body))
		marks := bytes.Repeat([]byte{byte(i/2 + 1)}, 32) // two of them have one key, as after the window
		all = append(all, &hookstreamv1.ExportEventsResponse{Line: &hookstreamv1.ExportEventsResponse_Event{Event: &hookstreamv1.ExportedEvent{
			Event: &hookstreamv1.Event{
				Name: event.Name(event.Incarnation(i/2+5), uint64(3*i+2)), Source: "sources/billing", Provider: "yousign", Topic: "signer", Action: "done", Type: "signer.done",
				ReceiveTime: timestamppb.New(at), OccurTime: timestamppb.New(at.Add(-time.Second)),
				Verification: &hookstreamv1.Verification{State: hookstreamv1.Verification_STATE_FAILED, Reason: "signature_mismatch", VerifyTime: timestamppb.New(at)},
				Raw: &hookstreamv1.RawRequest{
					Body: []byte(body), ContentType: "text/plain",
					Headers: []*hookstreamv1.RawRequest_Header{{Name: "X-Yousign-Retry", Value: "1"}},
				},
				Proof: &hookstreamv1.Proof{Salt: []byte{1, byte(i)}, Headers: []*hookstreamv1.Proof_Line{{Name: "X", BinaryValue: []byte{0xff}}}},
			},
			PublishTime: timestamppb.New(at.Add(time.Millisecond)), BodySha256: sum[:], RepetitionMarks: marks,
		}}})
	}
	all = append(all, &hookstreamv1.ExportEventsResponse{Line: &hookstreamv1.ExportEventsResponse_End{End: &hookstreamv1.ExportEnd{Events: int64(len(bodies))}}})
	for i, m := range all {
		m.Version, m.Cursor = 1, fmt.Sprint("c", i)
		line, err := appendLine(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	return all, lines
}

func importLines(t *testing.T, dir string, lines ...string) (said string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "export")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = importCommand{File: file, DataDir: dir}.Run(t.Context(), &program{stderr: &out})
	return out.String(), err
}

// inLog calls do with the log of a data directory.
func inLog(t *testing.T, dir string, do func(*jetstream.Engine)) {
	t.Helper()
	o := jetstream.DefaultOptions()
	o.Dir = dir
	engine, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	do(engine)
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
}

var oddBodies = []string{`{"a": 1}`, "\xff\x00 no JSON \r\n\u2028", strings.Repeat("x", 1<<20), "", "the same", "the same"}

// What was imported is what was exported, whatever came between: a kill, and a second
// time.
func TestImport(t *testing.T) {
	all, lines := exportOf(t, oddBodies...)
	dir := filepath.Join(t.TempDir(), "data")
	inLog(t, dir, func(engine *jetstream.Engine) { // as one that was killed has left it
		file := filepath.Join(t.TempDir(), "part")
		if err := os.WriteFile(file, []byte(strings.Join(lines[:3], "")), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (&importer{ctx: t.Context(), engine: engine, now: timestamppb.Now()}).run(file); err != nil {
			t.Fatal(err)
		}
	})
	for _, want := range []string{"imported 4 events; 2 were there", "imported 0 events; 6 were there"} {
		if said, err := importLines(t, dir, lines...); err != nil || !strings.Contains(said, want) {
			t.Fatalf("%s, %v, want %q", said, err, want)
		}
	}
	inLog(t, dir, func(engine *jetstream.Engine) {
		recs, err := engine.Events().Read(t.Context(), 1, 100, 64<<20)
		if err != nil || len(recs) != len(oddBodies) {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		for i, rec := range recs {
			want := all[i+1].GetEvent()
			got, err := event.Decode(engine.Events().Incarnation(), rec)
			if err != nil || got.GetImportTime() == nil {
				t.Fatal(got, err)
			}
			got.ImportTime = nil
			if diff := cmp.Diff(want.GetEvent(), got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			if !rec.Time.Equal(want.GetPublishTime().AsTime()) || !bytes.Equal(rec.Marks, want.GetRepetitionMarks()) {
				t.Errorf("stored at %v as %x, want %v as %x", rec.Time, rec.Marks, want.GetPublishTime().AsTime(), want.GetRepetitionMarks())
			}
		}
		// What comes then is behind it, and of now.
		e := eventlog.Entry{Source: "billing", Topic: "a", Action: "b", DedupKey: "new", Data: []byte("x")}
		if got, err := engine.Events().Append(context.WithoutCancel(t.Context()), e); err != nil || got.Seq != 7 {
			t.Errorf("%v, %v", got, err)
		}
	})
	if _, err := importLines(t, dir, lines...); err == nil || !strings.Contains(err.Error(), errNotEmpty.Error()) {
		t.Errorf("into a log that has gone on: %v", err)
	}
}

// What is damaged is named, and nothing is written then.
func TestImportOfWhatIsDamaged(t *testing.T) {
	_, lines := exportOf(t, "one", "two", "three")
	with := func(n int, line string) []string {
		out := append([]string(nil), lines...)
		out[n] = line
		return out
	}
	without := func(n int) []string { return append(append([]string(nil), lines[:n]...), lines[n+1:]...) }
	swapped := with(1, lines[2])
	swapped[2] = lines[1]
	for name, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"no end":                   {lines[:4], "the export was cut"},
		"a line that is cut":       {append(append([]string(nil), lines[:3]...), lines[3][:40]), "line 4: it has no end"},
		"a body":                   {with(2, strings.Replace(lines[2], `"body":"dHdv"`, `"body":"dHdw"`, 1)), "line 3: the body is not"},
		"no JSON":                  {with(3, "{\n"), "line 4: it is damaged"},
		"an event less":            {without(2), "line 4: the export has 2 events, and 3 were written"},
		"no start":                 {without(0), "line 1: an export begins with its start"},
		"another order":            {swapped, "line 3: events/"},
		"a failure":                {with(4, "{\"error\":{}}\n"), "line 5: the gateway says here"},
		"a newer form":             {with(1, strings.Replace(lines[1], `"version":1`, `"version":2`, 1)), "line 2: it is of version 2"},
		"a part that is not there": {append(append([]string(nil), lines[:3]...), lines[0], lines[3], lines[4]), "line 4: an export begins here"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := importLines(t, dir, tt.lines...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was written", name)
		}
	}
}

// Two parts behind one another are one export.
func TestImportOfParts(t *testing.T) {
	_, lines := exportOf(t, "one", "two", "three")
	second := strings.Replace(lines[0], `"start":{}`, `"start":{"afterCursor":"c2"}`, 1)
	end := strings.Replace(lines[4], `"events":"3"`, `"events":"1"`, 1)
	dir := filepath.Join(t.TempDir(), "data")
	if said, err := importLines(t, dir, lines[0], lines[1], lines[2], second, lines[3], end); err != nil || !strings.Contains(said, "imported 3 events") {
		t.Errorf("%s, %v", said, err)
	}
}
