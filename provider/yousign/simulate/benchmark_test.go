package simulate

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/yousign"
)

// What is posted is what Yousign would post: whole requests, each signed over its
// own body, each with an id of its own, of exactly the size it is named for.
func TestRequests(t *testing.T) {
	sizes := map[string]int{"1KB": 1024, "5KB": 5120}
	for size, want := range sizes {
		body, err := benchmarkBody(usualType, size)
		if err != nil {
			t.Fatal(err)
		}
		requests, err := newRequests("127.0.0.1:1", "/webhooks/x", "a-secret-of-the-test", body)
		if err != nil {
			t.Fatal(err)
		}
		ids := make(map[string]bool)
		for range 3 {
			raw, id := requests.Next()
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(raw))))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r.Body)
			if err != nil || len(got) != want || r.URL.Path != "/webhooks/x" {
				t.Errorf("%s: %d bytes to %s, %v", size, len(got), r.URL.Path, err)
			}
			if sign := r.Header.Get(yousign.DefaultSignatureHeader); sign != yousign.Sign("a-secret-of-the-test", got) {
				t.Errorf("%s: signature %s", size, sign)
			}
			if e := gjson.GetBytes(got, "event_id").Str; !gjson.ValidBytes(got) || e != string(id) || ids[e] {
				t.Errorf("%s: event id %s, told %s", size, e, id)
			}
			ids[string(id)] = true
		}
	}
}

func TestRequestsNeedAnEventID(t *testing.T) {
	if _, err := newRequests("h", "/", "a-secret-of-the-test", []byte(`{"event_id":"short"}`)); err == nil {
		t.Error("no error")
	}
}
