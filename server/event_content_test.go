package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// found are the numbers of the events that are as a line says, in the order in which
// they were put.
func (w *eventWorld) found(t *testing.T, line string) (out string) {
	t.Helper()
	req := &hookstreamv1.ListEventsRequest{Filter: line, OrderBy: "publish_time"}
	for first := true; first || req.PageToken != ""; first = false {
		page, err := w.service.ListEvents(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, e := range page.Events {
			_, n, _ := strings.Cut(e.GetName(), "-")
			out += n + " "
		}
		req.PageToken = page.NextPageToken
	}
	return strings.TrimSpace(out)
}

// Words are found wherever a text of the event holds them, as a caller is shown it and
// however the sender wrote it, and nowhere else.
func TestWordsOfTheContent(t *testing.T) {
	w := listedWorld(t)
	for _, e := range []struct{ source, body string }{
		{"open", `{"eventId": "Lease 0012", "subscriptionId": "left"}`},
		{"open", `{"eventId": "lease 0013", "extra": "only in the body"}`},
		{"closed", `{"eventId": "Bail\u0020d'habitation \u00c9t\u00e9"}`},
		{"closed", `{"eventId": "bail d'habitation été"}`},
		{"closed", `{"eventId": "x", "extra": "only in the body"}`},
		{"closed", `not JSON at all`},
	} {
		w.put(t, e.source, e.body)
	}
	w.known(t)
	for line, want := range map[string]string{
		`lease`:                              "1 2",
		`LEASE -0013`:                        "1",
		`"lease 001"`:                        "1 2",
		`"12 lease"`:                         "",
		`text:0012,0013`:                     "1 2",
		`text:le*12`:                         "1",
		`lease left`:                         "1",
		`body:left`:                          "1",
		`été`:                                "3 4",
		`"D'HABITATION ÉTÉ"`:                 "3 4",
		`"bail d"`:                           "3 4",
		`-lease`:                             "3 4 5 6",
		`"only in the body"`:                 "2", // what is not shown of the other is not found
		`NOT "only in the body"`:             "1 3 4 5 6",
		`"not JSON"`:                         "",
		`signature_request.done source:open`: "1 2",
		`nowhere`:                            "",
		`lease source:closed`:                "",
		`source:open cel:event.yousign.event_id.startsWith("Lease")`:                     "1",
		`cel:event.yousign.event_id.contains("bail")`:                                    "4",
		`lease cel:event.source == "sources/open" && event.topic == "signature_request"`: "1 2",
	} {
		if got := w.found(t, line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for _, line := range []string{`cel:event.nothing == 1`, `cel:event.`, `cel:`, `cel:"x"`, "text:a" + strings.Repeat(",a", 64)} {
		_, err := w.service.ListEvents(t.Context(), &hookstreamv1.ListEventsRequest{Filter: line})
		wantStatus(t, statusOf(t.Context(), slog.New(slog.DiscardHandler), err), codes.InvalidArgument, "REQUEST_INVALID")
	}
}

// What is looked for in the content, and is hardly anywhere, is looked for in several
// pages, in either order: each says how far it has come.
func TestWordsAreLookedForInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := listedWorld(t)
		w.service.searchTime = -time.Second // one event a page
		for n := range 40 {
			w.put(t, "open", fmt.Sprintf(`{"eventId": "word %d"}`, n%20))
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		for _, order := range []string{"publish_time", "publish_time desc"} {
			req := &hookstreamv1.ListEventsRequest{Filter: `"word 7"`, OrderBy: order}
			var last time.Time
			events, pages := 0, 0
			for first := true; first || req.PageToken != ""; first = false {
				page, err := w.service.ListEvents(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				events += len(page.Events)
				pages++
				if req.PageToken = page.NextPageToken; req.PageToken == "" {
					break
				}
				at := page.GetSearchTime().AsTime()
				if !last.IsZero() && at.After(last) != (order == "publish_time") {
					t.Errorf("%s: looked to %s after %s", order, at, last)
				}
				last = at
			}
			if events != 2 || pages < 40 {
				t.Errorf("%s: %d events in %d pages", order, events, pages)
			}
		}
	})
}

// Searches of the content take turns, and who gives up waiting is told. Lists that look
// into no event do not wait.
func TestSearchesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := listedWorld(t)
		w.put(t, "open", `{"eventId": "word"}`)
		synctest.Wait()
		for range maxSearches {
			w.service.searches <- struct{}{}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.service.ListEvents(ctx, &hookstreamv1.ListEventsRequest{Filter: "word"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if page, err := w.service.ListEvents(t.Context(), &hookstreamv1.ListEventsRequest{Filter: "source:open"}); err != nil || len(page.Events) != 1 {
			t.Error(page, err)
		}
		<-w.service.searches
		if got := w.found(t, "word"); got != "1" || len(w.service.searches) != maxSearches-1 {
			t.Errorf("%q, %d run", got, len(w.service.searches))
		}
	})
}
