package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var sampleResult = Result{
	Scenario: "ingest/yousign/sync/1KB/c64",
	Rows: []Row{
		{Name: "gateway", Rate: 22184, P50: 2.72, P99: 8.19, CPU: 57.6, Peak: 255},
		{Name: "http", Rate: 1234567, P50: 0.854, P99: unknown, CPU: unknown, Peak: unknown},
	},
	Ratios:  []Ratio{{Against: "http", Value: 0.333, Target: AtLeast(0.38)}},
	Figures: []Figure{{Name: "p99 at half load", Value: 7.5, Unit: "ms", Target: AtMost(50)}},
	Notes:   []string{"a small log"},
}

func TestTable(t *testing.T) {
	var got bytes.Buffer
	WriteColumns(&got)
	sampleResult.Write(&got)
	want := `                                     RATE/S     P50 MS     P99 MS     CPU US  PEAK MIB   RATIO  TARGET
ingest/yousign/sync/1KB/c64
  gateway                            22,184       2.72       8.19       57.6       255
  vs http                         1,234,567       0.85        n/a        n/a       n/a    0.33  >= 0.38  MISSED
  p99 at half load                                    7.50 ms                         <= 50.0  met
  note: a small log
`
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Error(d)
	}
	for line := range strings.Lines(got.String()) {
		if len(line) > 121 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestJSONLeavesOutWhatIsNotKnown(t *testing.T) {
	var out bytes.Buffer
	if err := (Report{Version: "v1", Results: []Result{sampleResult}}).WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Results []struct {
			Rows   []map[string]any
			Ratios []Ratio
		}
	}
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"name": "http", "perSecond": 1234567.0, "p50Milliseconds": 0.854}
	if d := cmp.Diff(want, read.Results[0].Rows[1]); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(sampleResult.Ratios, read.Results[0].Ratios); d != "" {
		t.Error(d)
	}
}

func TestMissesNameWhatFailed(t *testing.T) {
	r := Report{Results: []Result{sampleResult, {Scenario: "idle/cpu", Error: "it died"}}}
	want := []string{
		"ingest/yousign/sync/1KB/c64: ratio to http is 0.33, not >= 0.38",
		"idle/cpu: it died",
	}
	if d := cmp.Diff(want, r.Misses()); d != "" {
		t.Error(d)
	}
}

func TestSelect(t *testing.T) {
	for pattern, want := range map[string]int{
		"ingest/yousign/sync/1KB/c64": 1,
		"ingest/yousign/*/5KB":        8,
		"ingest/ignisign":             4,
		"nothing":                     0,
	} {
		chosen, err := Select(senders(), pattern)
		if len(chosen) != want || (err != nil) != (want == 0) {
			t.Errorf("%s selects %d, %v", pattern, len(chosen), err)
		}
	}
	seen := make(map[string]bool)
	for _, s := range Scenarios(senders()) {
		if seen[s.Name] || s.About == "" {
			t.Errorf("%s: twice, or says nothing about itself", s.Name)
		}
		seen[s.Name] = true
	}
}
