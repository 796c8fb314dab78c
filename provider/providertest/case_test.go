package providertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadCase(t *testing.T) {
	c, err := parse(t, "why\n-- header --\nX-A: 1\nx-a: 2\n-- body --\n{\"a\":1}\n\n-- want --\ninspect: ok\nentity: a/b:c\nreason:\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.request.Body); got != "{\"a\":1}\n" {
		t.Errorf("body %q: one line break is the section's, the other the body's", got)
	}
	if got := c.request.Header["X-A"]; !cmp.Equal(got, []string{"1", "2"}) {
		t.Errorf("header %q", got)
	}
	if want := map[string]string{"inspect": "ok", "entity": "a/b:c", "reason": ""}; !cmp.Equal(c.want, want) {
		t.Errorf("want %q", c.want)
	}
	if c.request.ReceiveTime.IsZero() {
		t.Error("no time of receipt")
	}
}

func TestReadCaseRefuses(t *testing.T) {
	for why, file := range map[string]string{
		"no reason to be there": "-- body --\n{}\n-- want --\ninspect: ok\n",
		"an unknown section":    "why\n-- bdoy --\n{}\n-- want --\ninspect: ok\n",
		"a section twice":       "why\n-- body --\n-- body --\n-- want --\ninspect: ok\n",
		"an unknown word":       "why\n-- body --\n{}\n-- want --\ninspekt: ok\n",
		"nothing wanted":        "why\n-- body --\n{}\n",
		"a bad time":            "why\n-- body --\n{}\n-- receive_time --\nnoon\n-- want --\ninspect: ok\n",
		"a bad header":          "why\n-- header --\nno colon\n-- body --\n{}\n-- want --\ninspect: ok\n",
	} {
		if _, err := parse(t, file); err == nil {
			t.Errorf("%s: read", why)
		}
	}
}

func parse(t *testing.T, content string) (*testCase, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.txtar")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return readCase(file)
}
