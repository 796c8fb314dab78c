package baseline

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// records reads a journal back: length, checksum, body.
func records(t *testing.T, name string) map[string]int {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for len(b) > 0 {
		n, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		body := b[8 : 8+n]
		if crc32.Checksum(body, castagnoli) != sum {
			t.Fatalf("checksum of %q", body)
		}
		found[string(body)]++
		b = b[8+n:]
	}
	return found
}

// What was appended is in the file, once, when append answers.
func TestJournalKeepsWhatItAcknowledged(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(name)
	if err != nil {
		t.Fatal(err)
	}
	const callers, each = 16, 50
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if err := j.append(fmt.Appendf(nil, "%d-%d", c, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	found := records(t, name) // before close: nothing may be pending
	if len(found) != callers*each {
		t.Errorf("%d records", len(found))
	}
	if err := j.close(); err != nil {
		t.Error(err)
	}
	if err := j.append([]byte("late")); !errors.Is(err, errClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestHTTPBaselines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "journal")
	for _, args := range [][]string{{"http"}, {"group-commit", file}} {
		t.Run(args[0], func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			out, in := io.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- RunHTTP(ctx, args, in) }()
			var at Ready
			if err := json.NewDecoder(out).Decode(&at); err != nil {
				t.Fatal(err)
			}
			resp, err := http.Post("http://"+at.HTTP+"/webhooks/x", "application/json", bytes.NewReader([]byte(`{"a":1}`)))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(body) != "{}" {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	if found := records(t, file); found[`{"a":1}`] != 1 {
		t.Errorf("journal: %v", found)
	}
}

func TestNoSuchBaseline(t *testing.T) {
	if err := RunHTTP(t.Context(), []string{"nonsense"}, io.Discard); err == nil {
		t.Error("no error")
	}
}
