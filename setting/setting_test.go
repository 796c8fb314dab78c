package setting_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/setting"
)

var table = setting.Table{
	{Field: "description"},
	{Field: "selector"},
	{Field: "ordering", Values: setting.Choice{Preset: hookstreamv1.Ordering_ORDERING_UNORDERED}},
	{Field: "ack_deadline", Values: setting.Spans{Preset: time.Minute, Min: time.Second, Max: time.Hour}},
	{Field: "max_attempts", Values: setting.Numbers{Preset: 10, Min: 1, Max: 100_000}},
	{Field: "max_outstanding_bytes", Values: setting.Sizes{Preset: 64 << 20, Min: 1000, Max: 1 << 30}},
}

func TestFill(t *testing.T) {
	m := &hookstreamv1.Subscription{MaxAttempts: 3, AckDeadline: &durationpb.Duration{}}
	table.Fill(m)
	if m.GetMaxAttempts() != 3 || m.GetAckDeadline().AsDuration() != 0 {
		t.Errorf("what was set is another: %v", m)
	}
	if m.GetOrdering() != hookstreamv1.Ordering_ORDERING_UNORDERED || m.GetMaxOutstandingBytes() != 64<<20 {
		t.Errorf("what was not set has no default: %v", m)
	}
	if m.GetSelector() != nil || m.GetDescription() != "" {
		t.Errorf("what has no default has one: %v", m)
	}
}

// A violation names the field, the limits and their unit.
func TestCheck(t *testing.T) {
	bad := table.Check(&hookstreamv1.Subscription{
		Ordering: 9, AckDeadline: durationpb.New(time.Hour + 1), MaxAttempts: -1, MaxOutstandingBytes: 999,
	})
	want := []setting.Violation{
		{Field: "ordering", Description: "must be UNORDERED or BY_ENTITY"},
		{Field: "ack_deadline", Description: "must be 1 s to 1 h"},
		{Field: "max_attempts", Description: "must be 1 to 100,000"},
		{Field: "max_outstanding_bytes", Description: "must be 1,000 B to 1 GiB"},
	}
	if !slices.Equal(bad, want) {
		t.Errorf("got %v", bad)
	}
	if bad := table.Check(&hookstreamv1.Subscription{MaxAttempts: 100_000}); bad != nil {
		t.Errorf("what is not set is refused: %v", bad)
	}
}

func TestDifferences(t *testing.T) {
	one := &hookstreamv1.Subscription{Description: "a", MaxAttempts: 1, Selector: &hookstreamv1.EventSelector{}}
	other := &hookstreamv1.Subscription{Description: "b", MaxAttempts: 1, AckDeadline: durationpb.New(time.Second)}
	got := table.Differences(one, other)
	if want := []string{"description", "ack_deadline"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	other.Selector = &hookstreamv1.EventSelector{Types: []string{"a.b"}}
	if got := table.Differences(one, other); !slices.Contains(got, "selector") {
		t.Errorf("a selector that selects less is none of %v", got)
	}
}

// What the schema says never changes needs no word in the table.
func TestFixed(t *testing.T) {
	all := []string{"description", "ordering"}
	got := table.Fixed(all, &hookstreamv1.Subscription{})
	if len(got) != 1 || got[0].Field != "ordering" {
		t.Errorf("got %v", got)
	}
}

func TestTextsForPeople(t *testing.T) {
	for _, c := range []struct {
		values         setting.Values
		bounds, preset string
	}{
		{setting.Spans{Preset: 90 * time.Second, Min: 500 * time.Millisecond, Max: 48 * time.Hour}, "500 ms to 2 d", "90 s"},
		{setting.Spans{Preset: time.Minute, Min: 1, Max: time.Hour}, "at most 1 h", "1 min"},
		{setting.Numbers{Max: 1_000_000}, "at most 1,000,000", ""},
		{setting.Numbers{Preset: 0.5, Min: 0.25, Max: 1234.5}, "0.25 to 1,234.5", "0.5"},
		{setting.Sizes{Preset: 1 << 20, Min: 64 << 10, Max: 1<<20 + 1}, "64 KiB to 1,048,577 B", "1 MiB"},
	} {
		if got := c.values.Bounds(); got != c.bounds {
			t.Errorf("bounds %q, want %q", got, c.bounds)
		}
		if got := c.values.Default(); got != c.preset {
			t.Errorf("default %q, want %q", got, c.preset)
		}
	}
}
