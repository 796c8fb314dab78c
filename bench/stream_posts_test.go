package bench

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/yousign"
)

// Filters are measured by how many events they let pass.
func TestFiltersMatchWhatTheirNamesSay(t *testing.T) {
	for i, want := range []int64{300_000, 30_000, 300} {
		if got := streamFilters[i].matches(300_000); got != want {
			t.Errorf("%s: %d, want %d", streamFilters[i].name, got, want)
		}
	}
}

// Connections share the events of a batch: each is posted once, under an id and a
// type of its own, and correctly signed.
func TestPostsOfABatch(t *testing.T) {
	const n = 2000
	p := signing(senders()).batch("127.0.0.1:1", "/x", n)
	types, ids := make(map[string]int), make(map[string]bool)
	for range 3 {
		requests, err := p.Requests()
		if err != nil {
			t.Fatal(err)
		}
		for range n / 2 {
			request, id := requests.Next()
			if request == nil {
				break
			}
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			if r.Header.Get(yousign.DefaultSignatureHeader) != yousign.Sign(benchSecret, body) {
				t.Fatal("the signature is not of the body")
			}
			if gjson.GetBytes(body, "event_id").Str != string(id) || ids[string(id)] {
				t.Fatalf("id %s", id)
			}
			ids[string(id)] = true
			types[gjson.GetBytes(body, "event_name").Str]++
		}
	}
	of := signing(senders()).benchmark.Types
	if types[of[typeOften]] != 1798 || types[of[typeTenth]] != 200 || types[of[typeRarely]] != 2 {
		t.Errorf("%v", types)
	}
}
