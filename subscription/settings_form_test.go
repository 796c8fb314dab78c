package subscription

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// keptForms are subscriptions as version 0.1 and those before it keep them.
var keptForms = map[string]struct {
	form string
	want Settings
}{
	"defaults": {
		`{"uid":"abcdefgh","generation":2,"start":77,"ack_deadline":60000000000,"max_attempts":10,"backoff_min":1000000000,"backoff_max":600000000000,"max_outstanding_events":1000,"max_outstanding_bytes":67108864,"create_time":"2026-11-01T12:00:00.000000005Z","update_time":"2026-11-01T12:00:00.000000005Z"}`,
		Settings{
			Ordering: Unordered, AckDeadline: time.Minute, MaxAttempts: 10, BackoffMin: time.Second, BackoffMax: 10 * time.Minute,
			MaxOutstandingEvents: 1000, MaxOutstandingBytes: 64 << 20,
		},
	},
	"no wait": {
		`{"uid":"abcdefgh","generation":2,"start":77,"ack_deadline":60000000000,"max_attempts":10,"backoff_min":-1,"backoff_max":1000000000,"max_outstanding_events":1000,"max_outstanding_bytes":67108864,"create_time":"2026-11-01T12:00:00.000000005Z","update_time":"2026-11-01T12:00:00.000000005Z"}`,
		Settings{
			Ordering: Unordered, AckDeadline: time.Minute, MaxAttempts: 10, BackoffMin: NoBackoff, BackoffMax: time.Second,
			MaxOutstandingEvents: 1000, MaxOutstandingBytes: 64 << 20,
		},
	},
	"everything": {
		`{"uid":"abcdefgh","generation":2,"start":77,"paused":true,"replays":true,"description":"to the CRM","labels":{"a":"\u003cb\u003e","team":"sales"},"selector":"CgdiaWxsaW5nEghzaWduZXIuKjIXZXZlbnQudG9waWMgPT0gJ3NpZ25lcic=","ordering":1,"ack_deadline":300000000000,"max_attempts":3,"backoff_min":2000000000,"backoff_max":3000000000,"max_outstanding_events":100000,"max_outstanding_bytes":1073741824,"create_time":"2026-11-01T12:00:00.000000005Z","update_time":"2026-11-01T12:00:00.000000005Z","former_deadline":9}`,
		Settings{
			Description: "to the CRM", Labels: map[string]string{"team": "sales", "a": "<b>"},
			Selector: &hookstreamv1.EventSelector{Types: []string{"signer.*"}, Sources: []string{"billing"}, Filter: "event.topic == 'signer'"},
			Ordering: OrderByEntity, AckDeadline: 5 * time.Minute, MaxAttempts: 3, BackoffMin: 2 * time.Second, BackoffMax: 3 * time.Second,
			MaxOutstandingEvents: 100_000, MaxOutstandingBytes: 1 << 30,
		},
	},
	// By a version that had none of the settings that have a default.
	"before there was any": {
		`{"uid":"abcdefgh","generation":2,"start":77,"paused":true,"description":"old"}`,
		Settings{
			Description: "old", Ordering: Unordered, AckDeadline: time.Minute, MaxAttempts: 10, BackoffMin: time.Second, BackoffMax: 10 * time.Minute,
			MaxOutstandingEvents: 1000, MaxOutstandingBytes: 64 << 20,
		},
	},
}

// What earlier versions kept is read as they meant it, and is kept in their form, so
// that gateways of several versions share a bucket.
func TestKeptFormsOfEarlierVersions(t *testing.T) {
	for name, c := range keptForms {
		st, err := decode("crm", []byte(c.form), 3)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, st.sub.Settings, protocmp.Transform()); diff != "" {
			t.Errorf("%s is read as something else: %s", name, diff)
		}
		if st.sub.UID != "abcdefgh" || st.sub.Generation != 2 || st.sub.Start != 77 || st.sub.Etag == "" {
			t.Errorf("%s: %+v", name, st.sub)
		}
		again, err := encode(st.sub, st.replays)
		if err != nil {
			t.Fatal(err)
		}
		was, is := object(t, c.form), object(t, string(again))
		for key, value := range was {
			if diff := cmp.Diff(value, is[key]); diff != "" {
				t.Errorf("%s: %s is kept in another form: %s", name, key, diff)
			}
		}
	}
}

func object(t *testing.T, text string) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// What a newer version may keep under a name that is known here is not taken for
// something else.
func TestUnknownKeptFormsAreRefused(t *testing.T) {
	for name, form := range map[string]string{
		"no uid":                 `{"generation":1}`,
		"an unknown ordering":    `{"uid":"a","generation":1,"ordering":2}`,
		"an ordering below all":  `{"uid":"a","generation":1,"ordering":-1}`,
		"a text for a number":    `{"uid":"a","generation":1,"max_attempts":"ten"}`,
		"a selector that is cut": `{"uid":"a","generation":1,"selector":"Cgdi"}`,
		"no object":              `7`,
	} {
		if st, err := decode("crm", []byte(form), 1); err == nil {
			t.Errorf("%s is read as %+v", name, st.sub)
		}
	}
}

// The API's form says all that the struct does.
func TestMessageOfSettings(t *testing.T) {
	for name, c := range keptForms {
		if diff := cmp.Diff(c.want, SettingsOf(c.want.Message()), protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for n, want := range map[int]int32{1 << 40: 1<<31 - 1, -1 << 40: -1 << 31, 7: 7} {
		s := Settings{MaxAttempts: n}
		if got := s.Message().GetMaxAttempts(); got != want {
			t.Errorf("%d became %d", n, got)
		}
	}
	if got := SettingsOf(nil); got.MaxAttempts != 0 || got.Labels != nil {
		t.Errorf("%+v of nothing", got)
	}
}

// A row without its field would be lost on its way from the API to the bucket.
func TestSettingsHaveTheirRows(t *testing.T) {
	rows, fields := make(map[string]bool), make(map[string]bool)
	for _, row := range Table {
		rows[row.Field] = true
	}
	for name := range new(Settings).fields() {
		fields[name] = true
	}
	if diff := cmp.Diff(rows, fields); diff != "" {
		t.Errorf("the table has -, Settings has +: %s", diff)
	}
}
