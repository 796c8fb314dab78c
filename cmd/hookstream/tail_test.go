package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/client"
	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestPosition(t *testing.T) {
	cursor := event.Cursor{Incarnation: 7, Seq: 42, Time: noon}.String()
	for from, want := range map[string]client.Start{
		"latest":               client.Latest(),
		"earliest":             client.Earliest(),
		cursor:                 client.After(cursor),
		"2026-03-01T08:00:00Z": client.AtTime(noon.Add(-28 * time.Hour)),
		"90m":                  client.AtTime(noon.Add(-90 * time.Minute)),
		"2d":                   client.AtTime(noon.Add(-48 * time.Hour)),
	} {
		if got, err := parsePosition("--from", from, noon); err != nil || !reflect.DeepEqual(got.start(), want) {
			t.Errorf("%s: %v, %v", from, got, err)
		}
	}
	// A cursor that was cut is not taken for anything else.
	if _, err := parsePosition("--from", cursor[:len(cursor)-1], noon); err == nil {
		t.Error("a cut cursor was accepted")
	}
}

func TestStopAt(t *testing.T) {
	for until, want := range map[string]client.Stop{
		"":                     {},
		"head":                 client.AtHead(),
		"10m":                  client.UntilTime(noon.Add(10 * time.Minute)),
		"2026-03-02T13:00:00Z": client.UntilTime(noon.Add(time.Hour)),
	} {
		if got, err := stopAt(until, noon); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", until, got, err)
		}
	}
}

// The file is replaced, never written over: a reader, or a crash, sees one whole
// cursor or the other.
func TestCursorFileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	file := openPlace(t, filepath.Join(dir, "place"))
	first := event.Cursor{Seq: 1}.String()
	if err := file.save(first); err != nil {
		t.Fatal(err)
	}
	before, err := os.Open(file.path)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	second := event.Cursor{Seq: 2}.String()
	if err := file.save(second); err != nil {
		t.Fatal(err)
	}
	old := make([]byte, 100)
	if n, _ := before.Read(old); string(old[:n]) != first+"\n" {
		t.Errorf("the old file changed under its reader: %q", old[:n])
	}
	if got, err := file.load(); err != nil || got != second {
		t.Errorf("load: %q, %v", got, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestCursorFileThatCannotBeKeptIsAnError(t *testing.T) {
	if _, err := openCursorFile(filepath.Join(t.TempDir(), "no", "such", "place")); err == nil {
		t.Error("a cursor would be lost without a word")
	}
}

// What a stream says beside events reaches people, and heartbeats do not.
func TestFramesAreTold(t *testing.T) {
	for want, frame := range map[string]*hookstreamv1.SubscribeResponse{
		"hookstream: GAP: the log dropped 12 events before they could be read; going on at 2026-03-02T12:00:00Z\n": {
			Frame: &hookstreamv1.SubscribeResponse_Gap{Gap: &hookstreamv1.Gap{MissedEvents: 12, ResumeTime: timestamppb.New(noon)}},
		},
		"hookstream: too slow for live events, reading from the log; 5 events to look at, none lost\n": {
			Frame: &hookstreamv1.SubscribeResponse_FellBehind{FellBehind: &hookstreamv1.FellBehind{LagEvents: 5}},
		},
		"hookstream: the gateway is going down within 5s\n": {
			Frame: &hookstreamv1.SubscribeResponse_Draining{Draining: &hookstreamv1.Draining{GracePeriod: durationpb.New(5 * time.Second)}},
		},
		"": {Frame: &hookstreamv1.SubscribeResponse_Heartbeat{Heartbeat: &hookstreamv1.Heartbeat{}}},
	} {
		var out strings.Builder
		f := &follower{say: (&program{stderr: &out}).say}
		if f.tell(frame); out.String() != want {
			t.Errorf("told %q, want %q", out.String(), want)
		}
	}
}
