package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// example is a path of a rule. Nothing of that name exists.
func (r *restRule) example() string {
	return pathVariable.ReplaceAllStringFunc(r.pattern, func(variable string) string {
		return strings.ReplaceAll(pathVariable.FindStringSubmatch(variable)[2], "*", "none")
	})
}

// exampleBody is one that the decoder takes, where a body is.
func (r *restRule) exampleBody() string {
	if r.body == "" {
		return ""
	}
	return "{}"
}

// fields are the top fields of the request.
func (r *restRule) fields() (names []string) {
	for i := range r.request.Fields().Len() {
		names = append(names, string(r.request.Fields().Get(i).Name()))
	}
	return names
}

// Every way to say something where its method does not look is refused, on every
// route there is, and the parameter is named: `:purge?validateOnly=true` would
// purge.
func TestNoRoutePassesOverWhatItIsTold(t *testing.T) {
	g := startSubscriptions(t)
	refused := func(r *restRule, query, body, says string) {
		t.Helper()
		code, _, answer := g.do(t, r.httpMethod, r.example()+query, body)
		if code != 400 || !strings.Contains(answer, says) || !strings.Contains(answer, "REQUEST_INVALID") {
			t.Errorf("%s %s%s %s: %d %s", r.httpMethod, r.example(), query, body, code, answer)
		}
	}
	for _, r := range restRules() {
		body := r.exampleBody()
		refused(&r, "?noSuchSwitch=true", body, "noSuchSwitch")
		refused(&r, "?noSuchSwitch", body, "noSuchSwitch")
		refused(&r, "?a=1;b=2", body, "query")
		refused(&r, "?%zz=1", body, "query")
		for _, bound := range r.inPath {
			refused(&r, "?"+bound+"=other", body, bound)
		}
		switch r.body {
		case "":
			refused(&r, "", `{"etag":"x"}`, "no body")
		case "*":
			for _, field := range r.fields() {
				refused(&r, "?"+field+"=1", body, field)
			}
		default:
			refused(&r, "?"+r.body+".description=x", body, r.body+".description")
			refused(&r, "?"+r.body+"=x", body, r.body)
		}
		if r.body != "" {
			refused(&r, "", `{"noSuchSwitch":true}`, "noSuchSwitch")
			refused(&r, "", `{} {}`, "JSON")
			for _, bound := range r.inPath {
				refused(&r, "", `{"`+strings.TrimPrefix(bound, r.body+".")+`":"sources/other"}`, "path")
			}
			continue
		}
		for _, field := range r.fields() {
			if !slices.Contains(r.inPath, field) {
				refused(&r, "?"+field+"=%00%ff", body, "")
			}
		}
	}
}

// Without a mask an update changes what its body has: one that has nothing in a
// message takes nothing away, and a selector that says nothing would select all.
func TestNothingIsEmptiedUnlessItIsNamed(t *testing.T) {
	g := startSubscriptions(t)
	for _, c := range []struct{ path, body string }{
		{"/v1/sources?sourceId=m", `{"labels": {"a": "1"}, "yousign": {"secrets": ["0123456789abcdef"], "signatureHeader": "X-Other"}}`},
		{"/v1/subscriptions?subscriptionId=m", `{"labels": {"a": "1"}, "selector": {"types": ["a.*"], "sources": ["m"]}}`},
	} {
		if code, _, answer := g.do(t, "POST", c.path, c.body); code != 200 {
			t.Fatal(code, answer)
		}
	}
	for _, c := range []struct {
		path, body string
		code       int
		keeps      string
	}{
		{"/v1/sources/m", `{"yousign": {}}`, 400, `"X-Other"`},
		{"/v1/sources/m", `{"yousign": null}`, 400, `"X-Other"`},
		{"/v1/sources/m?updateMask=yousign", `{}`, 400, `"X-Other"`},
		{"/v1/sources/m", `{"description": "d"}`, 200, `"X-Other"`},
		{"/v1/sources/m?updateMask=labels.x.y", `{"labels": {"x.y": "2"}}`, 200, `"a":"1"`},
		{"/v1/subscriptions/m", `{"selector": {}}`, 400, `"a.*"`},
		{"/v1/subscriptions/m", `{"selector": null}`, 400, `"a.*"`},
		{"/v1/subscriptions/m", `{"selector": {"types": ["b.*"]}}`, 200, `"sources":["m"]`},
		{"/v1/subscriptions/m", `{"description": ""}`, 200, `"b.*"`},
	} {
		code, _, answer := g.do(t, "PATCH", c.path, c.body)
		path, _, _ := strings.Cut(c.path, "?")
		_, _, is := g.do(t, "GET", path, "")
		if is = strings.ReplaceAll(is, " ", ""); code != c.code || !strings.Contains(is, c.keeps) {
			t.Errorf("%s %s: %d %s, is %s", c.path, c.body, code, answer, is)
		}
	}
	code, _, answer := g.do(t, "PATCH", "/v1/subscriptions/m?updateMask=selector", `{"selector": {}}`)
	if code != 200 || strings.Contains(answer, "sources") && strings.Contains(answer, `"m"]`) {
		t.Errorf("a selector that is named: %d %s", code, answer)
	}
}

// The rules are those that grpc-gateway was made from.
func TestEveryMethodHasARule(t *testing.T) {
	rules := restRules()
	if len(rules) < 25 {
		t.Errorf("%d rules", len(rules))
	}
	g := startSubscriptions(t)
	for _, r := range rules {
		if r.path.FindString(r.example()) == "" || strings.Contains(r.example(), "{") {
			t.Errorf("%s does not match %s", r.path, r.example())
		}
		if r.example() == subscribePath {
			continue
		}
		code, _, body := g.do(t, r.httpMethod, r.example(), r.exampleBody())
		if code >= 500 || code == 405 || strings.Contains(body, "no such path") {
			t.Errorf("%s %s: %d %s", r.httpMethod, r.example(), code, body)
		}
	}
}

// A method that a path does not have is 405 and says which there are, whatever is
// served there; HEAD is GET without the body.
func TestMethodsOfEveryPath(t *testing.T) {
	g := start(t, func(_ *Options, web *HTTPOptions) {
		web.Metrics = http.NotFoundHandler()
		web.Healthy = func(context.Context) error { return nil }
		web.Ready = web.Healthy
	})
	allowed := map[string][]string{"/docs/": {"GET", "HEAD"}, "/metrics": {"GET", "HEAD"}, "/healthz": {"GET", "HEAD"}, "/readyz": {"GET", "HEAD"}}
	for _, a := range assets() {
		allowed[a.path] = []string{"GET", "HEAD"}
	}
	for _, r := range restRules() {
		path := r.example()
		allowed[path] = append(allowed[path], r.httpMethod)
		if r.httpMethod == "GET" {
			allowed[path] = append(allowed[path], "HEAD")
		}
	}
	for path, want := range allowed {
		slices.Sort(want)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"} {
			if method == "GET" && path == subscribePath {
				continue // has no end
			}
			code, header, body := g.do(t, method, path, "")
			if slices.Contains(want, method) {
				if code == 405 {
					t.Errorf("%s %s: 405", method, path)
				}
				if method != "HEAD" || path == subscribePath {
					continue
				}
				got, gotHeader, _ := g.do(t, "GET", path, "")
				if code != got || body != "" || header.Get("Content-Type") != gotHeader.Get("Content-Type") {
					t.Errorf("HEAD %s: %d %s, GET: %d %s", path, code, header.Get("Content-Type"), got, gotHeader.Get("Content-Type"))
				}
				continue
			}
			if got := header.Get("Allow"); code != 405 || got != strings.Join(want, ", ") {
				t.Errorf("%s %s: %d, Allow %q, want 405 and %q", method, path, code, got, strings.Join(want, ", "))
			}
		}
	}
}

// HEAD of a stream answers what it would begin with, and opens none.
func TestHeadOfAStreamOpensNone(t *testing.T) {
	g := start(t, withEvents(&fakeEvents{subscribe: func(*hookstreamv1.SubscribeRequest, frames) error {
		t.Error("opened")
		return nil
	}}))
	code, header, _ := g.do(t, "HEAD", subscribePath+"?subscription=subscriptions/crm", "")
	if code != 200 || header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d %v", code, header)
	}
	if code, _, _ = g.do(t, "HEAD", subscribePath+"?atHeed=true", ""); code != 400 {
		t.Errorf("what is not understood: %d", code)
	}
}

// A page of another origin can neither write nor spend a subscription, by whatever
// its browser says of where it is; our own pages and programs can.
func TestAForeignPageHasNoEffects(t *testing.T) {
	g := start(t, withEvents(script(nil, opened())))
	g.create(t, "none", yousignSource("secret-one"))
	const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	own := g.http.URL
	for name, tt := range map[string]struct {
		header  []string
		foreign bool
		reads   bool // says nothing of a write
	}{
		"a program":                         {header: nil},
		"curl":                              {header: []string{"User-Agent", "curl/8.5.0"}},
		"our page":                          {header: []string{"Sec-Fetch-Site", "same-origin", "User-Agent", firefox}},
		"somebody at the keyboard":          {header: []string{"Sec-Fetch-Site", "none", "User-Agent", firefox}},
		"our page over plain http":          {header: []string{"Referer", own + "/docs", "User-Agent", firefox}, reads: true},
		"our page by origin":                {header: []string{"Origin", own, "User-Agent", firefox}},
		"another site":                      {header: []string{"Sec-Fetch-Site", "cross-site"}, foreign: true},
		"another port of this machine":      {header: []string{"Sec-Fetch-Site", "same-site"}, foreign: true},
		"an EventSource elsewhere":          {header: []string{"Origin", "https://evil.example", "Accept", "text/event-stream"}, foreign: true},
		"a sandboxed frame":                 {header: []string{"Origin", "null"}, foreign: true},
		"an image over plain http":          {header: []string{"Referer", "http://evil.example/", "User-Agent", firefox}, foreign: true, reads: true},
		"an image that hides where it is":   {header: []string{"User-Agent", firefox, "Accept", "image/*"}, foreign: true, reads: true},
		"our host on another port, by page": {header: []string{"Referer", "http://127.0.0.1:1/", "User-Agent", firefox}, foreign: true, reads: true},
	} {
		for _, r := range restRules() {
			if r.httpMethod == "GET" && r.pattern != subscribePath || tt.reads && r.httpMethod != "GET" {
				continue
			}
			path := r.example()
			if r.httpMethod == "GET" {
				path += "?subscription=subscriptions/crm"
			}
			for _, form := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded"} {
				header := append(slices.Clone(tt.header), "Content-Type", form)
				code, answered, body := g.do(t, r.httpMethod, path, r.exampleBody(), header...)
				if (code == 403) != tt.foreign || answered.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s: %s %s as %q: %d %s", name, r.httpMethod, path, form, code, body)
				}
			}
		}
	}
}

// A list method answers 400 to a token that it did not make, and coerces a page
// that is too large, over gRPC and REST.
func TestPagesOfEveryList(t *testing.T) {
	w := startSubscriptions(t)
	w.create("none", &hookstreamv1.Subscription{})
	w.put(1)
	lists := 0
	for _, r := range restRules() {
		if r.request.Fields().ByName("page_token") == nil || r.httpMethod != "GET" {
			continue
		}
		lists++
		path := strings.Replace(r.example(), "events/none", w.firstEvent(), 1)
		for _, token := range []string{"%00%ff", "%ff", "%00", "nonsense", "!", "%20", "AAAA", "%F0%9F%98%80", pageToken("others", "x"), pageToken("", ""), strings.Repeat("A", 4097)} {
			code, _, body := w.do(t, "GET", path+"?pageToken="+token, "")
			if code != 400 || !strings.Contains(body, "REQUEST_INVALID") {
				t.Errorf("%s with the token %q: %d %s", path, token, code, body)
			}
		}
		for size, want := range map[string]int{"-1": 400, "-2147483648": 400, "0": 200, "1": 200, "1000": 200, "1001": 200, "2147483647": 200, "2147483648": 400, "x": 400} {
			code, _, body := w.do(t, "GET", path+"?pageSize="+size, "")
			if code != want {
				t.Errorf("%s with the size %s: %d %s", path, size, code, body)
			}
		}
	}
	if lists < 7 {
		t.Errorf("%d lists", lists)
	}
}

// The same over gRPC, of every method that has pages.
func TestPagesOfEveryListOverGRPC(t *testing.T) {
	w := startSubscriptions(t)
	w.create("none", &hookstreamv1.Subscription{})
	w.put(1)
	lists := 0
	protoregistry.GlobalFiles.RangeFilesByPackage("hookstream.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if methods.Get(j).Input().Fields().ByName("page_token") != nil {
					lists++
					checkPages(t, w, methods.Get(j))
				}
			}
		}
		return true
	})
	if lists < 9 {
		t.Errorf("%d lists", lists)
	}
}

func checkPages(t *testing.T, w *subscriptionWorld, method protoreflect.MethodDescriptor) {
	t.Helper()
	fields := method.Input().Fields()
	list := func(token string, size int32) error {
		req := dynamicpb.NewMessage(method.Input())
		req.Set(fields.ByName("page_token"), protoreflect.ValueOfString(token))
		req.Set(fields.ByName("page_size"), protoreflect.ValueOfInt32(size))
		if parent := fields.ByName("parent"); parent != nil {
			of := "subscriptions/none"
			if method.Name() == "ListEventDeliveries" {
				of = w.firstEvent()
			}
			req.Set(parent, protoreflect.ValueOfString(of))
		}
		name := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
		return w.conn.Invoke(t.Context(), name, req, dynamicpb.NewMessage(method.Output()))
	}
	for _, token := range []string{"\x00", "\x00\u00ff", "nonsense", "!", " ", "AAAA", "\U0001f600", "a\u2028b", pageToken("others", "x"), pageToken("", ""), strings.Repeat("A", 4097)} {
		err := list(token, 0)
		if st := status.Convert(err); st.Code() != codes.InvalidArgument || !strings.Contains(fmt.Sprint(st.Details()), "REQUEST_INVALID") {
			t.Errorf("%s with the token %q: %v", method.FullName(), token, err)
		}
	}
	for size, want := range map[int32]codes.Code{
		-1: codes.InvalidArgument, math.MinInt32: codes.InvalidArgument, 0: codes.OK, 1: codes.OK, 1000: codes.OK, 1001: codes.OK, math.MaxInt32: codes.OK,
	} {
		if err := list("", size); status.Code(err) != want {
			t.Errorf("%s with the size %d: %v", method.FullName(), size, err)
		}
	}
}

func TestALargePageIsTheLargest(t *testing.T) {
	var all []*hookstreamv1.EventType
	for i := range maxPageSize + 5 {
		all = append(all, &hookstreamv1.EventType{Provider: "p", Type: fmt.Sprintf("t%05d", i)})
	}
	g := start(t, func(o *Options, _ *HTTPOptions) { o.EventTypes = all })
	resp, err := g.catalog.ListEventTypes(t.Context(), &hookstreamv1.ListEventTypesRequest{PageSize: 5000})
	if err != nil || len(resp.GetEventTypes()) != maxPageSize || resp.GetNextPageToken() == "" {
		t.Errorf("%d types, token %q, %v", len(resp.GetEventTypes()), resp.GetNextPageToken(), err)
	}
}

// A body over the limit is refused by its Content-Length, on every route that
// takes one: before a byte of it is read, and before it is asked for.
func TestALargeBodyIsRefusedBeforeItComes(t *testing.T) {
	g := start(t)
	for _, r := range restRules() {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.http.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", r.httpMethod, r.example(), maxBodyBytes+1)
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 413 ") {
			t.Errorf("%s %s: %q, %v", r.httpMethod, r.example(), answer, err)
		}
		conn.Close()
	}
}

// A method that takes no body asks for none, and the schema has none that takes one
// by another method of HTTP.
func TestABodyThatIsNotTakenIsNotAskedFor(t *testing.T) {
	g := start(t)
	for _, r := range restRules() {
		if r.body != "" != mayHaveBody(r.httpMethod) {
			t.Errorf("%s %s has the body %q", r.httpMethod, r.pattern, r.body)
		}
		if r.body != "" {
			continue
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.http.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", r.httpMethod, r.example())
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); answer.StatusCode != http.StatusBadRequest || err != nil || !strings.Contains(string(body), "takes no body") {
			t.Errorf("%s %s: %s %q, %v", r.httpMethod, r.example(), answer.Status, body, err)
		}
		conn.Close()
	}
}

// Whoever announces a body to who does not read it, and keeps it, keeps the
// connection for no longer than a body may take.
func TestABodyThatNobodyReadsIsNotWaitedFor(t *testing.T) {
	srv := httptest.NewServer(bodyDeadline(10*time.Millisecond, http.NotFoundHandler()))
	defer srv.Close()
	for _, size := range []string{"Content-Length: 2", "Transfer-Encoding: chunked"} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /nothing HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", size)
		answer, err := io.ReadAll(conn) // until the server closes it
		if !strings.HasPrefix(string(answer), "HTTP/1.1 404 ") {
			t.Errorf("%s: %q, %v", size, answer, err)
		}
		conn.Close()
	}
}

// A token that lost its end names another place of its list.
func TestAPageTokenIsWholeOrRefused(t *testing.T) {
	for _, last := range []string{"", "a", "billing-yousign", "signature_request.done"} {
		token := pageToken("sources", last)
		if got, ok := parsePageToken("sources", token); !ok || got != last {
			t.Errorf("%q: %q, %v", last, got, ok)
		}
		for n := range token {
			other := token[:n] + string(token[n]^1) + token[n+1:]
			for _, bad := range []string{token[:n], token[n:] + "A", other, token + token[:n], token[:n] + "\n" + token[n:]} {
				if got, ok := parsePageToken("sources", bad); ok && bad != token {
					t.Errorf("%q: %q is taken for %q", last, bad, got)
				}
			}
		}
	}
}

// Whatever a reader takes for the end of a line, a frame, a key in it, and the
// error at the end are one.
func TestNothingInAFrameEndsALine(t *testing.T) {
	const odd = "a\u2028b\u2029c\u0085d\u000be\u000cf\u001cg\u001dh\u001ei\rj\nk"
	e := &hookstreamv1.Event{Type: odd, Source: odd}
	frame := &hookstreamv1.SubscribeResponse{Cursor: "c1", Frame: &hookstreamv1.SubscribeResponse_Opened{
		Opened: &hookstreamv1.Opened{
			StreamId:     odd,
			Subscription: &hookstreamv1.Subscription{Name: odd, Labels: map[string]string{odd: odd}},
		},
	}}
	delivery := &hookstreamv1.SubscribeResponse{Cursor: "c2", Frame: &hookstreamv1.SubscribeResponse_Batch{
		Batch: &hookstreamv1.DeliveryBatch{Deliveries: []*hookstreamv1.Delivery{{Cursor: "c2", Event: e}}},
	}}
	failure := statusError(codes.OutOfRange, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED, odd)
	for accept, lines := range map[string]int{"application/json": 3, "text/event-stream": 2 + 4 + 4 + 3} {
		g := start(t, withEvents(script(failure, frame, delivery)))
		_, _, body := g.do(t, "GET", subscribePath, "", "Accept", accept)
		got := strings.FieldsFunc(body, func(r rune) bool { return strings.ContainsRune("\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029", r) })
		if ends := strings.Count(body, "\n"); ends != lines || len(got) > lines {
			t.Errorf("%s: %d line feeds and %d lines, want %d: %q", accept, ends, len(got), lines, body)
		}
		if n := strings.Count(body, `\u2028`); n != 7 {
			t.Errorf("%s: %d separators are escaped: %s", accept, n, body)
		}
	}
	// An error instead of a stream, too.
	g := start(t, withEvents(script(failure)))
	if _, _, body := g.do(t, "GET", subscribePath, ""); strings.ContainsAny(body, "\u0085\u2028\u2029") {
		t.Errorf("%q", body)
	}
}

// Every client has, when it has read an answer, what was sent: over gRPC nothing is
// escaped, and nothing of REST's escapes is kept for all.
func TestWhatEndsALineArrivesAsSent(t *testing.T) {
	const odd = "a\u2028b\u2029c\u0085d"
	w := startSubscriptions(t)
	w.putEvent("open", odd, "done", `{"eventId":"`+odd+`"}`)
	for i, by := range ways {
		name := fmt.Sprintf("odd-%d", i)
		code, _, body := w.do(t, "POST", "/v1/subscriptions?earliest=true&subscriptionId="+name, `{"description":"`+odd+`","labels":{"k":"`+odd+`"}}`) // REST is there first
		if code != http.StatusOK {
			t.Fatal(code, body)
		}
		sub, err := w.subs.GetSubscription(t.Context(), &hookstreamv1.GetSubscriptionRequest{Name: "subscriptions/" + name})
		if err != nil || sub.GetDescription() != odd || sub.GetLabels()["k"] != odd {
			t.Errorf("%v, %v", sub, err)
		}
		peer := w.open(t, by, w.addrs(), &hookstreamv1.SubscribeRequest{Subscription: "subscriptions/" + name})
		var e *hookstreamv1.Event
		for e == nil {
			frame, err := peer.next()
			if err != nil {
				t.Fatalf("%s: %v", by.name, err)
			}
			for _, d := range frame.GetBatch().GetDeliveries() {
				e = d.GetEvent()
			}
		}
		if e.GetTopic() != odd || e.GetYousign().GetEventId() != odd {
			t.Errorf("%s: %v", by.name, e)
		}
	}
}

// So is every answer that is no stream.
func TestNothingInAnAnswerEndsALine(t *testing.T) {
	const odd = "a\u2028b\u2029c\u0085d"
	w := startSubscriptions(t)
	w.putEvent("open", odd, "done", `{}`)
	name := "subscriptions/odd"
	for i, c := range []struct{ method, path, body string }{
		{"POST", "/v1/sources?sourceId=odd", `{"description":"` + odd + `","yousign":{"secrets":["secret-of-odd"]}}`},
		{"GET", "/v1/sources/odd", ""},
		{"GET", "/v1/sources", ""},
		{"PATCH", "/v1/sources/odd?updateMask=labels", `{"labels":{"k":"` + odd + `"}}`},
		{"POST", "/v1/sources:ensure", `{"sourceId":"odd2","source":{"description":"` + odd + `","yousign":{"secrets":["secret-of-odd"]}}}`},
		{"POST", "/v1/subscriptions?subscriptionId=odd&earliest=true", `{"description":"` + odd + `"}`},
		{"GET", "/v1/" + name, ""},
		{"GET", "/v1/events", ""},
		{"POST", "/v1/" + name + ":pull", `{"maxEvents":1}`},
		{"POST", "/v1/" + name + ":seek", `{"afterCursor":"` + odd + `"}`}, // an error quotes it or not
	} {
		code, _, body := w.do(t, c.method, c.path, c.body)
		if strings.ContainsAny(body, "\u0085\u2028\u2029") {
			t.Errorf("%s %s: %d %q", c.method, c.path, code, body)
		}
		if last := i == 9; !last && (code != http.StatusOK || !strings.Contains(body, `a\u2028b\u2029c\u0085d`)) {
			t.Errorf("%s %s: %d, and it is not there: %s", c.method, c.path, code, body)
		}
	}
}
