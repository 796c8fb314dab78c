package simulate

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/simulator"
)

func TestOnlyPlaceholdersChange(t *testing.T) {
	same := make(map[string]string)
	for _, p := range placeholders {
		same[p.Text] = p.Text
	}
	for _, e := range ignisign.Catalog() {
		script, err := simulator.Examples(&repertoire, 1, e.GetType())
		if err != nil {
			t.Fatal(err)
		}
		m, _ := script.Next()
		want, err := example(e.GetType())
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Body(same); !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s", e.GetType(), cmp.Diff(string(want), string(got)))
		}
	}
}

func TestEscapedValuesKeepABodyJSON(t *testing.T) {
	story, err := repertoire.Story(1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const odd = "a\"b\\c\nd<é"
	got := body(story[0], App{ID: odd, Env: "STAGING"}, "token")
	if id := gjson.GetBytes(got, "appId").Str; id != odd || !gjson.ValidBytes(got) {
		t.Errorf("%q in %s", id, got)
	}
}

// What help says is what is so without a command line.
func TestFlagsTellTheDefaults(t *testing.T) {
	app := App{}.withDefaults()
	for field, want := range map[string]string{"AppID": app.ID, "AppEnv": app.Env, "IgnisignAddr": defaultAddr} {
		if got := defaultOf(field); got != want {
			t.Errorf("%s: help says %q, and it is %q", field, got, want)
		}
	}
}

func defaultOf(field string) string {
	f, _ := reflect.TypeFor[part]().FieldByName(field)
	return f.Tag.Get("default")
}
