package server

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
)

// What a stream has been shown is listed at once, and what is not is told.
func TestListKnowsWhatStreamsKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEventWorld(t)
		store, err := history.Open(t.TempDir(), 7, 0, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		w.service.history = store
		w.put(t, "open", `{}`)
		w.put(t, "open", `{}`)
		synctest.Wait()
		page, err := w.service.ListEvents(t.Context(), &hookstreamv1.ListEventsRequest{})
		if err != nil || page.UnindexedEvents != 2 || len(page.Events) != 0 {
			t.Errorf("nobody follows the log: %v, %v", page, err)
		}
		recs, err := w.log.Read(t.Context(), 1, 2, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(catchUpTime / 2)
			_ = store.Apply(1, recs, 2)
		}()
		page, err = w.service.ListEvents(t.Context(), &hookstreamv1.ListEventsRequest{})
		if err != nil || page.UnindexedEvents != 0 || len(page.Events) != 2 {
			t.Errorf("it comes a moment later: %v, %v", page, err)
		}
	})
}

// historyOf follows a log until the test ends.
func historyOf(t *testing.T, log history.Log, inc event.Incarnation) *history.Store {
	t.Helper()
	s, err := history.Open(t.TempDir(), inc, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Follow(ctx, log) }()
	t.Cleanup(func() { cancel(); <-ended; s.Close() })
	return s
}

// listedWorld is a world whose events can be listed.
func listedWorld(t *testing.T) *eventWorld {
	t.Helper()
	w := newEventWorld(t)
	w.service.history = historyOf(t, w.log, w.log.Incarnation())
	return w
}

// known waits until the history knows what was put.
func (w *eventWorld) known(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); w.service.history.Applied() < uint64(w.appends); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the history knows %d of %d", w.service.history.Applied(), w.appends)
		}
	}
}

// putAs appends an event with a type, an entity and an id.
func (w *eventWorld) putAs(t testing.TB, e *hookstreamv1.Event) {
	t.Helper()
	e.Provider, e.Type = "yousign", event.JoinType(e.Topic, e.Action)
	data, err := event.Encode(e, &hookstreamv1.RawRequest{Body: []byte(`{"eventId": "1"}`), ContentType: "application/json"})
	if err != nil {
		t.Fatal(err)
	}
	w.appends++
	if _, err := w.log.Append(context.Background(), eventlog.Entry{Source: "x", DedupKey: fmt.Sprint(w.appends), Data: data}); err != nil {
		t.Fatal(err)
	}
}

func (w *eventWorld) putRandom(t testing.TB, r *rand.Rand) {
	state := hookstreamv1.Verification_STATE_VERIFIED
	if r.IntN(5) == 0 {
		state = hookstreamv1.Verification_STATE_FAILED
	}
	w.putAs(t, &hookstreamv1.Event{
		Source: []string{"sources/open", "sources/closed"}[r.IntN(2)], Topic: []string{"signer", "approver"}[r.IntN(2)], Action: []string{"done", "notified"}[r.IntN(2)],
		Entity: fmt.Sprintf("signature_requests/%d", r.IntN(20)), ProviderEventId: fmt.Sprintf("id-%d", w.appends), Verification: &hookstreamv1.Verification{State: state},
	})
}

// Pages in either order hold each event that is as asked once, whatever arrives
// between them, and the same over REST.
func TestListEventsUnderWrites(t *testing.T) {
	w := listedWorld(t)
	g := start(t, func(o *Options, _ *HTTPOptions) { o.Events = w.service })
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		w.putRandom(t, r)
	}
	for _, filter := range []string{"", "source:open", "type:signer.*,approver.done -action:done", "status:failed entity:signature_requests/3,signature_requests/4", "entity:7", "-entity:signature_requests/1*", "id:id-17"} {
		for _, order := range []string{"", "publish_time"} {
			w.known(t)
			all, last := w.matching(t, filter), w.appends
			req := &hookstreamv1.ListEventsRequest{Filter: filter, OrderBy: order, PageSize: int32(r.IntN(20) + 1), View: hookstreamv1.EventView_EVENT_VIEW_METADATA}
			var got []string
			for first := true; first || req.PageToken != ""; first = false {
				page, err := g.events.ListEvents(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(page, listOverREST(t, g, req), protocmp.Transform(), protocmp.IgnoreFields(page, "unindexed_events", "next_page_token")); diff != "" {
					t.Errorf("over REST: %s", diff)
				}
				if len(page.Events) > int(req.PageSize) {
					t.Errorf("a page of %d holds %d", req.PageSize, len(page.Events))
				}
				for _, e := range page.Events {
					got = append(got, e.GetName())
				}
				req.PageToken = page.NextPageToken
				w.putRandom(t, r)
				w.known(t)
			}
			want := slices.Clone(all)
			if order == "" {
				slices.Reverse(want)
			} else { // the end moves
				w.known(t)
				want = w.matching(t, filter)
				got, want = upToEvent(got, last), upToEvent(want, last)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q ordered %q: %s", filter, order, diff)
			}
		}
	}
}

// upToEvent leaves out what came after an event.
func upToEvent(names []string, last int) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		_, seq, err := event.ParseName(name)
		return err != nil || seq > uint64(last)
	})
}

// matching looks at every event.
func (w *eventWorld) matching(t *testing.T, line string) (names []string) {
	t.Helper()
	f, err := history.ParseFilter(line, time.Now(), w.log.Incarnation())
	if err != nil {
		t.Fatal(err)
	}
	recs, err := w.log.Read(t.Context(), 1, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		if row, ok := history.RowOf(rec); ok && f.Match(row) {
			names = append(names, event.Name(w.log.Incarnation(), rec.Seq))
		}
	}
	return names
}

func listOverREST(t *testing.T, g *gateway, req *hookstreamv1.ListEventsRequest) *hookstreamv1.ListEventsResponse {
	t.Helper()
	q := url.Values{"filter": {req.Filter}, "pageSize": {fmt.Sprint(req.PageSize)}, "pageToken": {req.PageToken}, "orderBy": {req.OrderBy}, "view": {req.View.String()}}
	status, _, body := g.do(t, http.MethodGet, "/v1/events?"+q.Encode(), "")
	out := new(hookstreamv1.ListEventsResponse)
	if err := protojson.Unmarshal([]byte(body), out); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %s, %v", status, body, err)
	}
	return out
}

func TestListEventsRefuses(t *testing.T) {
	w := listedWorld(t)
	for range 5 {
		w.put(t, "open", `{}`)
	}
	w.put(t, "closed", `{}`)
	w.known(t)
	g := start(t, func(o *Options, _ *HTTPOptions) { o.Events = w.service })
	page, err := g.events.ListEvents(t.Context(), &hookstreamv1.ListEventsRequest{PageSize: 2})
	if err != nil || page.NextPageToken == "" || len(page.Events) != 2 || page.Events[1].GetYousign() == nil {
		t.Fatalf("%v, %v", page, err)
	}
	for _, c := range []struct {
		req    *hookstreamv1.ListEventsRequest
		code   codes.Code
		reason string
		part   string
	}{
		{&hookstreamv1.ListEventsRequest{Filter: "sorce:a"}, codes.InvalidArgument, "REQUEST_INVALID", `column 1: there is no key "sorce"; did you mean "source"?`},
		{&hookstreamv1.ListEventsRequest{Filter: strings.Repeat("a", 5000)}, codes.InvalidArgument, "REQUEST_INVALID", "filter"},
		{&hookstreamv1.ListEventsRequest{OrderBy: "name"}, codes.InvalidArgument, "REQUEST_INVALID", "order_by"},
		{&hookstreamv1.ListEventsRequest{PageToken: page.NextPageToken, Filter: "source:open"}, codes.InvalidArgument, "REQUEST_INVALID", "page_token"},
		{&hookstreamv1.ListEventsRequest{PageToken: page.NextPageToken, OrderBy: "publish_time"}, codes.InvalidArgument, "REQUEST_INVALID", "page_token"},
		{&hookstreamv1.ListEventsRequest{PageToken: page.NextPageToken[1:]}, codes.InvalidArgument, "REQUEST_INVALID", "page_token"},
		{&hookstreamv1.ListEventsRequest{View: hookstreamv1.EventView_EVENT_VIEW_RAW}, codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD", "sources/closed"},
	} {
		_, err := g.events.ListEvents(t.Context(), c.req)
		if st := wantStatus(t, err, c.code, c.reason); !strings.Contains(fmt.Sprint(st.Message(), st.Details()), c.part) {
			t.Errorf("%v: %v", c.req, st)
		}
	}
	raw, err := g.events.ListEvents(t.Context(), &hookstreamv1.ListEventsRequest{View: hookstreamv1.EventView_EVENT_VIEW_RAW, Filter: "source:open"})
	if err != nil || len(raw.Events) != 5 || len(raw.Events[0].GetRaw().GetBody()) == 0 {
		t.Errorf("RAW of a source that shows it: %v, %v", raw, err)
	}
}

// A time that was said as how long ago is the same on every page.
func TestPagesKeepTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := listedWorld(t)
		w.put(t, "open", `{}`)
		time.Sleep(30 * time.Minute)
		w.put(t, "open", `{}`)
		synctest.Wait()
		req := &hookstreamv1.ListEventsRequest{Filter: "after:1h", PageSize: 1}
		page, err := w.service.ListEvents(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(45 * time.Minute)
		req.PageToken = page.NextPageToken
		page, err = w.service.ListEvents(t.Context(), req)
		if err != nil || len(page.Events) != 1 || page.NextPageToken != "" {
			t.Errorf("the second page: %v, %v", page, err)
		}
	})
}

// slowLog takes a second to read.
type slowLog struct{ *memlog.Log }

func (l slowLog) Read(ctx context.Context, seq uint64, n, maxBytes int) ([]event.Record, error) {
	time.Sleep(time.Second)
	return l.Log.Read(ctx, seq, n, maxBytes)
}

// A search that finds little ends in time, says how far it has come, and goes on from
// there to its end.
func TestSearchEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &eventWorld{log: memlog.New(memlog.Options{Incarnation: 7})}
		for n := range 12 {
			w.putAs(t, &hookstreamv1.Event{Source: "sources/open", Topic: "a", Entity: fmt.Sprintf("k/%d", n)})
			time.Sleep(time.Minute)
		}
		h, err := hub.New(hub.Options{Log: slowLog{w.log}, Sensitive: func(string) event.Kinds { return event.AllKinds }, Sources: func() []string { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = h.Run(ctx) }()
		w.service, err = NewEventService(EventServiceOptions{Hub: h, History: historyOf(t, w.log, 7)})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for order, want := range map[string][]string{"publish_time desc": {"k/11", "k/10", "k/1"}, "publish_time": {"k/1", "k/10", "k/11"}} {
			req := &hookstreamv1.ListEventsRequest{Filter: "entity:k/*1*", OrderBy: order} // 1, 10 and 11
			var got []string
			pages := 0
			for first := true; first || req.PageToken != ""; first = false {
				pages++
				began := time.Now()
				page, err := w.service.ListEvents(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > searchTime+time.Second {
					t.Errorf("a page took %s", took)
				}
				if (page.SearchTime != nil) != (page.NextPageToken != "") {
					t.Errorf("the search has come to %v, and goes on at %q", page.SearchTime, page.NextPageToken)
				}
				for _, e := range page.Events {
					got = append(got, e.GetEntity())
				}
				req.PageToken = page.NextPageToken
			}
			if diff := cmp.Diff(want, got); diff != "" || pages < 3 {
				t.Errorf("%s: %d pages: %s", order, pages, diff)
			}
		}
		cancel()
		<-ended
	})
}

func TestCountEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := listedWorld(t)
		r := rand.New(rand.NewPCG(3, 4))
		for range 200 {
			w.putRandom(t, r)
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		for _, line := range []string{"", "source:open", "entity:3", "status:failed", "after:1h"} {
			out, err := w.service.CountEvents(t.Context(), &hookstreamv1.CountEventsRequest{Filter: line})
			if err != nil {
				t.Fatal(err)
			}
			want := int64(len(w.matching(t, line)))
			var hours int64
			for _, h := range out.Hours {
				hours += h.VerifiedEvents + h.FailedEvents + h.OtherEvents
			}
			if out.TotalEvents != want || hours != want {
				t.Errorf("%q: %d, by hours %d, want %d", line, out.TotalEvents, hours, want)
			}
		}
		for _, line := range []string{"entity:a/*", "entity:signature_requests/3", "-entity:3", "id:a*", "lease", "text:lease", `cel:event.topic == "signer"`} {
			_, err := w.service.CountEvents(t.Context(), &hookstreamv1.CountEventsRequest{Filter: line})
			wantStatus(t, statusOf(t.Context(), slog.New(slog.DiscardHandler), err), codes.InvalidArgument, "REQUEST_INVALID")
		}
	})
}
