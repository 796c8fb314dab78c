package app_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
)

// readerVariable has the test's own program be a consumer over REST, as curl is: it
// reads what it is told to and prints it.
const readerVariable = "HOOKSTREAM_TEST_READER"

// readStream is that consumer, told the kind of stream and where it is. It answers
// an exit code.
func readStream(what string) int {
	accept, url, _ := strings.Cut(what, " ")
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 1
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 1
	}
	if _, err = io.Copy(os.Stdout, resp.Body); err != nil {
		return 1
	}
	return 0
}

// A reader is a process that reads a stream and settles nothing.
type reader struct {
	cmd   *exec.Cmd
	ended chan struct{} // its output is over
	mu    sync.Mutex
	lines []string
}

func startReader(t *testing.T, accept, url string) *reader {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{cmd: exec.Command(self), ended: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), readerVariable+"="+accept+" "+url)
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		for in := bufio.NewScanner(out); in.Scan(); {
			r.mu.Lock()
			r.lines = append(r.lines, in.Text())
			r.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.ended
		_ = r.cmd.Wait()
	})
	return r
}

// read is what it has printed.
func (r *reader) read() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func (r *reader) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// inAMinute waits for something.
func inAMinute(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

var servingLine = regexp.MustCompile(`msg=serving ingress=(\S+) grpc=(\S+) http=(\S+)`)

// startAnywhere starts the program on ports that it chooses.
func startAnywhere(t *testing.T, env ...string) *process {
	t.Helper()
	heavy.Test(t)
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: t.TempDir(), ingress: "127.0.0.1:0", grpc: "127.0.0.1:0", http: "127.0.0.1:0", log: new(bytes.Buffer)}
	p.launch(env...)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Log(p.tail())
		}
	})
	inAMinute(t, "the program to serve", func() bool { return servingLine.MatchString(p.tail()) })
	at := servingLine.FindStringSubmatch(p.tail())
	p.ingress, p.grpc, p.http = at[1], at[2], at[3]
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p.conn = conn
	return p
}

// A consumer over REST whose process is stopped, and whose connection stands, costs
// a healthy one nothing but one delivery at a time: no event is parked, every one
// is handled, and its stream is ended when its deliveries have expired and
// --peer-timeout is over. When it goes on, it is told why.
func TestStoppedProcessOverREST(t *testing.T) {
	p := startAnywhere(t, "HOOKSTREAM_PEER_TIMEOUT=2s")
	src := p.createSource("billing", yousignSource())
	post, posted := newSender("http://"+p.ingress+src.GetIngressPath(), 2), 0
	send := func(n int) {
		t.Helper()
		for range n {
			posted++
			if err := post.send(posted); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, accept := range []string{"application/x-ndjson", "text/event-stream"} {
		for _, ordering := range []hookstreamv1.Ordering{hookstreamv1.Ordering_ORDERING_UNORDERED, hookstreamv1.Ordering_ORDERING_BY_ENTITY} {
			t.Run(accept+" "+ordering.String(), func(t *testing.T) {
				testStoppedProcess(t, p, send, accept, ordering)
			})
		}
	}
}

func testStoppedProcess(t *testing.T, p *process, send func(int), accept string, ordering hookstreamv1.Ordering) {
	subs := hookstreamv1.NewSubscriptionServiceClient(p.conn)
	id := "crm-" + strings.ToLower(strings.ReplaceAll(accept[strings.LastIndexAny(accept, "/-")+1:]+ordering.String()[len("ORDERING"):], "_", "-"))
	name := "subscriptions/" + id
	if _, err := subs.CreateSubscription(t.Context(), &hookstreamv1.CreateSubscriptionRequest{SubscriptionId: id, Subscription: &hookstreamv1.Subscription{
		AckDeadline: durationpb.New(time.Second), MaxAttempts: 3, Ordering: ordering,
	}}); err != nil {
		t.Fatal(err)
	}
	state := func() *hookstreamv1.SubscriptionState {
		t.Helper()
		st, err := subs.GetSubscriptionState(t.Context(), &hookstreamv1.GetSubscriptionStateRequest{Name: name + "/state"})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	stopped := startReader(t, accept, "http://"+p.http+"/v1/events:subscribe?clientId=stopped&subscription="+name)
	inAMinute(t, "the stream", func() bool { return len(state().GetConsumers()) == 1 })
	send(20)
	inAMinute(t, "a delivery", func() bool { return strings.Contains(stopped.read(), "ackToken") })
	stopped.signal(t, syscall.SIGSTOP)

	handled := make(map[string]bool)
	var mu sync.Mutex
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		over <- client.Run(ctx, p.conn, id, func(_ context.Context, d *hookstreamv1.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			handled[d.GetEvent().GetName()] = true
			return nil
		}, client.RunOptions{ClientID: "healthy"})
	}()
	all := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == 40
	}
	there := func() *hookstreamv1.SubscriptionConsumer {
		for _, c := range state().GetConsumers() {
			if c.GetClientId() == "stopped" {
				return c
			}
		}
		return nil
	}
	inAMinute(t, "the stopped one to be unresponsive", func() bool { c := there(); return c == nil || c.GetUnresponsive() })
	send(20)
	rest := int32(20) // of what it was handed before
	inAMinute(t, "its stream to end", func() bool {
		c := there()
		if n := c.GetOutstandingEvents(); c != nil {
			if n > max(rest, 1) {
				t.Errorf("unresponsive, and handed %d events after %d", n, rest)
			}
			rest = n
		}
		return c == nil
	})
	inAMinute(t, "all events", all)
	if n := state().GetParkedEvents(); n != 0 {
		t.Errorf("%d were parked", n)
	}
	stop()
	if err := <-over; err != nil {
		t.Errorf("the healthy one: %v", err)
	}
	stopped.signal(t, syscall.SIGCONT)
	select {
	case <-stopped.ended:
	case <-time.After(time.Minute):
		t.Fatal("it is not told that its stream has ended")
	}
	if last := stopped.read(); !strings.Contains(last[max(0, len(last)-600):], "CONSUMER_UNRESPONSIVE") {
		t.Errorf("it was told %s", last[max(0, len(last)-600):])
	}
}
