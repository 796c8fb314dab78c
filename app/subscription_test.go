package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/yousign"
)

// rest calls the HTTP face and answers the status and the object in the body.
func (g *gateway) rest(method, path, body string) (int, map[string]any) {
	g.t.Helper()
	req, err := http.NewRequest(method, "http://"+g.Addrs().HTTP+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	b, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(b, &out); err != nil {
		g.t.Fatalf("%s %s: %v in %s", method, path, err, b)
	}
	return resp.StatusCode, out
}

// mustREST is rest for what has to be answered 200.
func (g *gateway) mustREST(method, path, body string) map[string]any {
	g.t.Helper()
	status, out := g.rest(method, path, body)
	if status != http.StatusOK {
		g.t.Fatalf("%s %s: %d %v", method, path, status, out)
	}
	return out
}

// webhook posts a genuine event of Yousign whose id is n.
func (g *gateway) webhook(path string, n int) {
	g.t.Helper()
	body := fmt.Sprintf(`{"event_id":%q,"event_name":"signer.done","event_time":"1772439061","sandbox":true,"data":{"signer":{"id":%q}}}`, eventID(n), eventID(n))
	if status := g.post(path, yousign.Sign(secret, []byte(body)), body); status != http.StatusOK {
		g.t.Fatalf("webhook %d was answered %d", n, status)
	}
}

// The whole life of a subscription by nothing but curl, webhook to park.
func TestSubscriptionsOverREST(t *testing.T) {
	g := start(t, options(t))
	src := g.createSource("billing", yousignSource())
	sub := g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm&earliest=true", `{"maxAttempts": 1, "selector": {"types": ["signer.*"]}}`)
	if sub["name"] != "subscriptions/crm" || sub["ackDeadline"] != "60s" {
		t.Errorf("created %v", sub)
	}
	g.webhook(src.GetIngressPath(), 1)
	pull := func() map[string]any {
		t.Helper()
		got := g.mustREST("POST", "/v1/subscriptions/crm:pull", `{"wait": "10s", "clientId": "curl"}`)
		ds, _ := got["deliveries"].([]any)
		if len(ds) != 1 {
			t.Fatalf("pulled %v", got)
		}
		return ds[0].(map[string]any)
	}
	d := pull()
	if d["attempt"] != 1.0 || d["event"].(map[string]any)["providerEventId"] != eventID(1) {
		t.Errorf("delivery %v", d)
	}
	state := g.mustREST("GET", "/v1/subscriptions/crm/state", "")
	if state["outstandingEvents"] != "1" {
		t.Errorf("state %v", state)
	}
	answer := g.mustREST("POST", "/v1/subscriptions/crm:acknowledge", fmt.Sprintf(`{"settlements": [{"ackToken": %q, "verdict": "VERDICT_PARK", "reason": "by hand"}]}`, d["ackToken"]))
	if fmt.Sprint(answer) != fmt.Sprintf("map[results:[map[ackToken:%s outcome:ACK_OUTCOME_PARKED]]]", d["ackToken"]) {
		t.Errorf("answer %v", answer)
	}
	parked := g.mustREST("GET", "/v1/subscriptions/crm/parkedDeliveries", "")["parkedDeliveries"].([]any)
	if len(parked) != 1 || parked[0].(map[string]any)["reason"] != "by hand" {
		t.Fatalf("parked %v", parked)
	}
	name := parked[0].(map[string]any)["name"]
	if n := g.mustREST("POST", "/v1/subscriptions/crm/parkedDeliveries:purge", `{"all": true, "validateOnly": true}`)["purgedCount"]; n != "1" {
		t.Errorf("a purge would forget %v", n)
	}
	if n := g.mustREST("POST", "/v1/subscriptions/crm/parkedDeliveries:replay", fmt.Sprintf(`{"names": [%q]}`, name))["replayedCount"]; n != "1" {
		t.Errorf("replayed %v", n)
	}
	d = pull()
	answer = g.mustREST("POST", "/v1/subscriptions/crm:acknowledge", fmt.Sprintf(`{"settlements": [{"ackToken": %q, "verdict": "VERDICT_ACK"}]}`, d["ackToken"]))
	if d["replayed"] != true || fmt.Sprint(answer) != fmt.Sprintf("map[results:[map[ackToken:%s outcome:ACK_OUTCOME_DONE]]]", d["ackToken"]) {
		t.Errorf("replayed %v, answer %v", d, answer)
	}
	g.manageOverREST(t)
	g.streamOverREST(t, src.GetIngressPath())
}

// manageOverREST calls what else there is.
func (g *gateway) manageOverREST(t *testing.T) {
	t.Helper()
	if got := g.mustREST("PATCH", "/v1/subscriptions/crm?updateMask=maxAttempts", `{"maxAttempts": 5}`); got["maxAttempts"] != 5.0 {
		t.Errorf("updated %v", got)
	}
	if got := g.mustREST("POST", "/v1/subscriptions/crm:pause", "{}"); got["paused"] != true {
		t.Errorf("paused %v", got)
	}
	if status, out := g.rest("POST", "/v1/subscriptions/crm:pull", "{}"); status != http.StatusBadRequest || !strings.Contains(fmt.Sprint(out), "SUBSCRIPTION_PAUSED") {
		t.Errorf("a pull of a paused one: %d %v", status, out)
	}
	g.mustREST("POST", "/v1/subscriptions/crm:resume", "{}")
	g.mustREST("POST", "/v1/subscriptions/crm:seek", `{"earliest": true}`)
	g.mustREST("POST", "/v1/subscriptions/crm:seek", `{"latest": true}`)
	if got := g.mustREST("POST", "/v1/subscriptions:ensure", `{"subscriptionId": "second", "subscription": {}}`); got["created"] != true {
		t.Errorf("ensured %v", got)
	}
	if status, out := g.rest("POST", "/v1/subscriptions:ensure", `{"subscriptionId": "second", "subscription": {"maxAttempts": 3}}`); status != http.StatusBadRequest || !strings.Contains(fmt.Sprint(out), "fields:max_attempts") {
		t.Errorf("a conflict: %d %v", status, out)
	}
	if got := g.mustREST("GET", "/v1/subscriptions", "")["subscriptions"].([]any); len(got) != 2 {
		t.Errorf("list %v", got)
	}
	g.mustREST("DELETE", "/v1/subscriptions/second", "")
	if status, _ := g.rest("GET", "/v1/subscriptions/second", ""); status != http.StatusNotFound {
		t.Errorf("after the deletion: %d", status)
	}
}

// streamOverREST is a consumer that is curl -N.
func (g *gateway) streamOverREST(t *testing.T, ingress string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+g.Addrs().HTTP+"/v1/events:subscribe?subscription=subscriptions/crm", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.Contains(lines.Text(), `"opened"`) {
		t.Fatalf("first line %s", lines.Text())
	}
	g.webhook(ingress, 2)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte(`"ackToken"`)) && bytes.Contains(lines.Bytes(), []byte(eventID(2))) {
			return
		}
	}
	t.Errorf("the stream ended without the delivery: %v", lines.Err())
}

// What a subscription does is on /metrics, and goes with it.
func TestMetricsOfSubscriptions(t *testing.T) {
	g := start(t, options(t))
	src := g.createSource("billing", yousignSource())
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm&earliest=true", `{}`)
	g.webhook(src.GetIngressPath(), 1)
	g.webhook(src.GetIngressPath(), 2)
	var tokens []any
	for len(tokens) < 2 {
		got := g.mustREST("POST", "/v1/subscriptions/crm:pull", `{"wait": "10s"}`)
		for _, d := range got["deliveries"].([]any) {
			tokens = append(tokens, d.(map[string]any)["ackToken"])
		}
	}
	g.mustREST("POST", "/v1/subscriptions/crm:acknowledge", fmt.Sprintf(`{"settlements": [{"ackToken": %q, "verdict": "VERDICT_ACK"}, {"ackToken": %q, "verdict": "VERDICT_RETRY", "delay": "600s"}]}`, tokens[0], tokens[1]))
	metrics := g.metrics()
	for _, want := range []string{
		`hookstream_subscription_delivered_total{subscription="crm"} 2`,
		`hookstream_subscription_acked_total{subscription="crm"} 1`,
		`hookstream_subscription_nacked_total{subscription="crm"} 1`,
		`hookstream_subscription_parked_total{subscription="crm"} 0`,
		`hookstream_subscription_expired_total{subscription="crm"} 0`,
		`hookstream_subscription_outstanding_events{subscription="crm"} `,
		`hookstream_subscription_pulls_total{subscription="crm"} `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, grep(metrics, "hookstream_subscription_"))
		}
	}
	g.mustREST("DELETE", "/v1/subscriptions/crm", "")
	wait(t, "the figures of a deleted subscription are gone", func() bool { return !strings.Contains(g.metrics(), `"crm"`) })
}

// What the alert of docs/operating.md looks at is there from 0 on, so that it can be
// seen to grow, also where nobody is connected; and it counts what the log has lost.
func TestTheAlertOnMissedEventsSeesThemGrow(t *testing.T) {
	docs, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	alert := regexp.MustCompile(`increase\((hookstream_subscription_missed\w+)\[10m\]\) > 0`).FindSubmatch(docs)
	if alert == nil {
		t.Fatal("docs/operating.md names no alert on missed events")
	}
	figure := func(g *gateway, id string, n int) bool {
		return strings.Contains(g.metrics(), fmt.Sprintf("%s{subscription=%q} %d\n", alert[1], id, n))
	}
	o := options(t)
	g := start(t, o)
	src := g.createSource("billing", yousignSource())
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=all&earliest=true", `{}`)
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=other&earliest=true", `{"selector": {"types": ["signature_request.done"]}}`)
	for n := range 3 {
		g.webhook(src.GetIngressPath(), n)
	}
	for _, id := range []string{"all", "other"} {
		if !figure(g, id, 0) {
			t.Errorf("%s is not at 0 in\n%s", id, grep(g.metrics(), string(alert[1])))
		}
	}
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	damage(t, o.DataDir, fmt.Sprintf(`{"event_id":%q`, eventID(1)))
	g = start(t, o)
	for _, id := range []string{"all", "other"} {
		wait(t, "the figure of "+id, func() bool { return figure(g, id, 1) })
	}
}

// damage changes a byte of the log, which nobody has open.
func damage(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, "HOOKSTREAM_EVENTS") {
			return err
		}
		b, err := os.ReadFile(path)
		at := bytes.Index(b, []byte(text))
		if err != nil || at < 0 {
			return fmt.Errorf("no %s in %s: %w", text, path, err)
		}
		b[at+1] ^= 1
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) metrics() string {
	g.t.Helper()
	resp, err := http.Get("http://" + g.Addrs().HTTP + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

func grep(text, word string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

// wait polls until ok, for a minute at most.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about: %s", what)
		}
	}
}

// Streams come and go, half of them by cutting the connection under them while
// they hold a delivery. Nothing stays behind: no goroutine, no memory, no
// delivery.
func TestStreamsComeAndGo(t *testing.T) {
	streams := 1000
	if testing.Short() {
		streams = 200
	}
	g := start(t, options(t))
	src := g.createSource("billing", yousignSource())
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm&earliest=true", `{"maxAttempts": 1000, "backoffMin": "0s", "ackDeadline": "3600s"}`)
	for n := range 20 {
		g.webhook(src.GetIngressPath(), n)
	}
	comeAndGo := func(n int) {
		var wg sync.WaitGroup
		next := make(chan int)
		for range 20 {
			wg.Go(func() {
				for i := range next {
					visit(t, g.Addrs().GRPC, i%2 == 0)
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		wg.Wait()
	}
	comeAndGo(40) // what is made once is made now
	http.DefaultClient.CloseIdleConnections()
	goroutines, heap := settledRuntime(t, 0, 0)
	comeAndGo(streams)
	// A few goroutines come and go with timers; a stream that stayed would be
	// several, a thousand times.
	after, heapAfter := settledRuntime(t, goroutines+20, heap+8<<20)
	t.Logf("%d streams: goroutines %d then %d, heap %d KiB then %d KiB", streams, goroutines, after, heap>>10, heapAfter>>10)
	wait(t, "all deliveries are free again", func() bool {
		got := g.mustREST("GET", "/v1/subscriptions/crm/state", "")
		consumers, _ := got["consumers"].([]any)
		return len(consumers) == 0
	})
	if !strings.Contains(g.metrics(), `hookstream_subscription_outstanding_events{subscription="crm"} 0`) {
		t.Errorf("still held:\n%s", grep(g.metrics(), "hookstream_subscription_"))
	}
}

// visit opens a stream of the subscription over a connection of its own, takes a
// frame and leaves: by hanging up, or by cutting the connection.
func visit(t *testing.T, addr string, cut bool) {
	var raw net.Conn
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			var err error
			raw, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
			return raw, err
		}))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := hookstreamv1.NewEventServiceClient(conn).Subscribe(ctx, &hookstreamv1.SubscribeRequest{
		Subscription: "subscriptions/crm", FlowControl: &hookstreamv1.FlowControl{MaxOutstandingEvents: 1},
	})
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := stream.Recv(); err != nil {
		t.Error(err)
		return
	}
	if cut {
		_ = raw.(*net.TCPConn).SetLinger(0) // a reset, as when a machine is gone
		_ = raw.Close()
	}
}

// settledRuntime waits until goroutines and heap are no more than the bounds, or,
// without bounds, until they do not change any more.
func settledRuntime(t *testing.T, maxGoroutines int, maxHeap uint64) (goroutines int, heap uint64) {
	t.Helper()
	look := func() (int, uint64) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	calm := 0
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		n, h := look()
		switch {
		case maxGoroutines > 0 && n <= maxGoroutines && h <= maxHeap:
			return n, h
		case maxGoroutines == 0 && n == goroutines:
			if calm++; calm == 10 {
				return n, h
			}
		default:
			calm = 0
		}
		goroutines, heap = n, h
	}
	if maxGoroutines > 0 {
		b := make([]byte, 1<<20)
		t.Fatalf("%d goroutines of %d, heap %d of %d\n%s", goroutines, maxGoroutines, heap, maxHeap, b[:runtime.Stack(b, true)])
	}
	return goroutines, heap
}
