package load

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/provider/yousign/simulate"
)

const testSecret = "a-secret-of-the-test"

// signed are requests as a sender signs them.
func signed(addr string) (Requests, error) {
	measured := simulate.Provider{}.Benchmark()
	body, err := measured.Body(measured.Types[0], "1KB")
	if err != nil {
		return nil, err
	}
	return measured.Requests(addr, "/", testSecret, body)
}

func TestTemplateEnds(t *testing.T) {
	texts := []string{"a", "long one"}
	requests, err := NewTemplate("h", "/p", []byte(`{"token":"HERE"}`), []byte("HERE"), func() []byte {
		if len(texts) == 0 {
			return nil
		}
		next := texts[0]
		texts = texts[1:]
		return []byte(next)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"token":"a"}`, `{"token":"long one"}`} {
		raw, _ := requests.Next()
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(raw))))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); string(got) != want || err != nil {
			t.Errorf("%s, %v", got, err)
		}
	}
	if raw, _ := requests.Next(); raw != nil {
		t.Errorf("one more: %s", raw)
	}
}

func TestReadAnswer(t *testing.T) {
	for text, want := range map[string]answer{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":                                  {status: 200, length: 2},
		"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n": {status: 503, retryAfter: true},
		"HTTP/1.1 429 X\r\nContent-Length:0\r\nConnection: close\r\n\r\n":                 {status: 429, closes: true},
	} {
		r := bufio.NewReader(strings.NewReader(text + "HTTP/1.1 204"))
		got, err := readAnswer(r)
		if got != want || err != nil {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "HTTP/1.1 204" {
			t.Errorf("%q: %q is left", text, rest)
		}
	}
	for _, text := range []string{
		"", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent",
	} {
		if got, err := readAnswer(bufio.NewReader(strings.NewReader(text))); err == nil || got != (answer{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// ask posts to a handler until n requests were answered, and answers what was
// recorded: all of them, but for one a connection that was under way at first.
func ask(t *testing.T, p Posts, n int64, handler http.Handler) (*Answers, error) {
	t.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	var recording atomic.Bool
	var mu sync.Mutex
	answered, enough := int64(0), make(chan struct{})
	p.Addr = srv.Listener.Addr().String()
	p.Requests = func() (Requests, error) { return signed(p.Addr) }
	p.OnAnswer = func([]byte, int, time.Time) {
		mu.Lock()
		defer mu.Unlock()
		if !recording.Load() {
			return
		}
		if answered++; answered == n {
			close(enough)
		}
	}
	run, err := p.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run.Record(true)
	recording.Store(true)
	<-enough
	return run.Stop()
}

func TestAnswersAreCounted(t *testing.T) {
	var mu sync.Mutex
	n := 0
	got, err := ask(t, Posts{Connections: 4}, 400, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		turn := n % 4
		mu.Unlock()
		switch turn {
		case 0:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Connection", "close") // which opens another
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got.All() < 400-4 || got.Only(200) < 0.4 || got.Statuses[503] == 0 || got.Statuses[0] != 0 {
		t.Errorf("%v", got.Statuses)
	}
	if got.WithoutRetryAfter != got.Statuses[429] || got.Accepted.Count() != got.Statuses[200] {
		t.Errorf("%d without Retry-After, %d accepted of %v", got.WithoutRetryAfter, got.Accepted.Count(), got.Statuses)
	}
	if got.Unexpected(200) == nil || got.Unexpected(200, 429, 503) != nil {
		t.Error("unexpected answers are not told")
	}
}

// In an open loop the time counts from when a request was due: a server that
// stands still for a while makes all wait that were due meanwhile. A closed loop
// would hide it.
func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	var once sync.Once
	got, err := ask(t, Posts{Connections: 1, Rate: 1000}, 300, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { time.Sleep(200 * time.Millisecond) })
	}))
	if err != nil {
		t.Fatal(err)
	}
	// 200 were due meanwhile, 150 of them 50 ms or more before its end. A slow
	// machine only makes that more.
	const late = 150
	q := 1 - float64(late-1)/float64(got.Accepted.Count())
	if due := got.Accepted.Quantile(q); due < 45*time.Millisecond {
		t.Errorf("%d of %d waited %v or longer", late, got.Accepted.Count(), due)
	}
}

func TestAServerThatIsGoneIsAnError(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	addr := srv.Listener.Addr().String()
	p := Posts{Addr: addr, Connections: 2, Requests: func() (Requests, error) {
		return signed(addr)
	}}
	run, err := p.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv.CloseClientConnections()
	srv.Close()
	run.Wait()
	if _, err := run.Stop(); err == nil {
		t.Error("no error")
	}
	if _, err := p.Start(t.Context()); err == nil {
		t.Error("it starts without a server")
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := make(chan struct{}, 8)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		// A server notices that its client has gone once it has read the body.
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer srv.Close()
	addr := srv.Listener.Addr().String()
	p := Posts{Addr: addr, Connections: 2, Requests: func() (Requests, error) {
		return NewTemplate(addr, "/", []byte("x"), []byte("x"), nil)
	}}
	run, err := p.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	cancel(errors.New("enough"))
	if _, err := run.Stop(); err != nil {
		t.Error(err)
	}
}
