package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// The file with the beginning of the log is lost, here all of it: streams from the
// earliest and subscriptions are told how many events are missing, in each form, and
// not that retention dropped them.
func TestTheBeginningOfTheLogIsLost(t *testing.T) {
	const lost = 21
	o := options(t)
	g := start(t, o)
	path := g.createSource("billing", yousignSource()).GetIngressPath()
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=before&earliest=true", `{}`)
	for n := range lost {
		g.webhook(path, n)
	}
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	blocks, _ := filepath.Glob(filepath.Join(o.DataDir, "jetstream/[$]G/streams/HOOKSTREAM_EVENTS/msgs/*.blk"))
	if len(blocks) != 1 {
		t.Fatalf("the log has the blocks %v, want one", blocks)
	}
	if err := os.Remove(blocks[0]); err != nil {
		t.Fatal(err)
	}
	g = start(t, o)
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=after&earliest=true", `{}`)
	check := func(when string, events int) {
		t.Helper()
		for form, stream := range map[string]func(*testing.T, *gateway) (gaps, events int){"gRPC": overGRPC, "NDJSON": overNDJSON, "SSE": overSSE} {
			if missed, got := stream(t, g); missed != lost || got != events {
				t.Errorf("%s, %s: told of %d missing events and shown %d, want %d and %d", form, when, missed, got, lost, events)
			}
		}
		for _, sub := range []string{"before", "after"} {
			g.missed(sub, lost)
		}
	}
	check("nothing is left", 0)
	g.webhook(path, 1000)
	check("with an event behind it", 1)
	if m := g.metrics(); !strings.Contains(m, "hookstream_log_missing_events "+strconv.Itoa(lost)+"\n") {
		t.Error("the metric says something else")
	}
}

// missed waits until a subscription has missed so many events, and has no more.
func (g *gateway) missed(sub string, want int) {
	g.t.Helper()
	var got any
	for begun := time.Now(); time.Since(begun) < 30*time.Second; time.Sleep(100 * time.Millisecond) {
		got = g.mustREST("GET", "/v1/subscriptions/"+sub+"/state", "")["missedEvents"]
		if got == strconv.Itoa(want) {
			return
		}
	}
	g.t.Errorf("%s missed %v events, want %d", sub, got, want)
}

func overGRPC(t *testing.T, g *gateway) (missed, events int) {
	t.Helper()
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{
		Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}, Stop: &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
	})
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return missed, events
		}
		if err != nil {
			t.Fatal(err)
		}
		missed += int(r.GetGap().GetMissedEvents())
		events += len(r.GetBatch().GetDeliveries())
	}
}

func overNDJSON(t *testing.T, g *gateway) (missed, events int) {
	return overHTTP(t, g, "application/x-ndjson")
}

func overSSE(t *testing.T, g *gateway) (missed, events int) {
	return overHTTP(t, g, "text/event-stream")
}

func overHTTP(t *testing.T, g *gateway, accept string) (missed, events int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+g.Addrs().HTTP+"/v1/events:subscribe?earliest=true&atHead=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	type frame struct {
		Gap struct {
			MissedEvents string `json:"missedEvents"`
		} `json:"gap"`
		Batch struct {
			Deliveries []json.RawMessage `json:"deliveries"`
		} `json:"batch"`
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := strings.TrimPrefix(lines.Text(), "data: ")
		var f struct {
			frame         // of SSE
			Result *frame `json:"result"` // of NDJSON
		}
		if !strings.HasPrefix(line, "{") {
			continue
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if f.Result != nil {
			f.frame = *f.Result
		}
		n, _ := strconv.Atoi(f.Gap.MissedEvents)
		missed, events = missed+n, events+len(f.Batch.Deliveries)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return missed, events
}
