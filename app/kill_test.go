package app_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/internal/linktest"
	"github.com/hookstream/hookstream/provider/yousign"
)

// binDir holds what the tests build.
var binDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if what := os.Getenv(readerVariable); what != "" {
			return readStream(what)
		}
		dir, err := os.MkdirTemp("", "hookstream-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binDir = dir
		return m.Run()
	}())
}

// binary builds the real program, once, with the hook that lets it die.
var binary = sync.OnceValues(func() (string, error) {
	return heavy.Program(binDir, "killtest")
})

// process is the real program, which a test kills and starts again in the same
// place.
type process struct {
	t                   testing.TB
	dir                 string
	under               string // what a shell does before it becomes the program
	ingress, grpc, http string
	cmd                 *exec.Cmd
	conn                *grpc.ClientConn
	exited              chan struct{}
	log                 *bytes.Buffer
	logMu               sync.Mutex
}

func newProcess(t testing.TB) *process {
	t.Helper()
	heavy.Test(t)
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: t.TempDir(), ingress: linktest.Addr(t), grpc: linktest.Addr(t), http: linktest.Addr(t), log: new(bytes.Buffer)}
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	p.conn = conn
	t.Cleanup(func() {
		p.kill()
		_ = conn.Close()
		if t.Failed() {
			t.Log(p.tail())
		}
	})
	return p
}

// Write takes the program's log.
func (p *process) Write(b []byte) (int, error) {
	p.logMu.Lock()
	defer p.logMu.Unlock()
	return p.log.Write(b)
}

func (p *process) tail() string {
	p.logMu.Lock()
	defer p.logMu.Unlock()
	s := p.log.String()
	return s[max(0, len(s)-4000):]
}

// start starts the program and returns when it is ready.
func (p *process) start(env ...string) {
	p.t.Helper()
	p.launch(env...)
	if !p.await(func(status int, _ string) bool { return status == http.StatusOK }) {
		p.t.Fatalf("the program ended: %s", p.tail())
	}
}

// launch starts the program.
func (p *process) launch(env ...string) {
	p.t.Helper()
	path, _ := binary()
	p.cmd = exec.Command("sh", "-c", cmp.Or(p.under, ":")+` && exec "$0" "$@"`, path, "serve", "--data-dir", p.dir,
		"--ingress-addr", p.ingress, "--grpc-addr", p.grpc, "--http-addr", p.http)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = diesWithUs()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	exited := make(chan struct{})
	p.exited = exited
	go func() { _ = p.cmd.Wait(); close(exited) }()
}

// await returns when what the program says of its readiness is as wanted; false
// when the program has ended.
func (p *process) await(wanted func(status int, reason string) bool) bool {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !wanted(p.readiness()) {
		select {
		case <-p.exited:
			return false
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the program did not get ready: %s", p.tail())
		}
	}
	return true
}

// readiness is what the program answers who asks for it, 0 for nothing.
func (p *process) readiness() (status int, reason string) {
	resp, err := http.Get("http://" + p.http + "/readyz")
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// kill ends the program as kill -9 does.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// waitDeath returns when the program has killed itself.
func (p *process) waitDeath() {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.t.Fatal("the program did not reach the step at which it was to die")
	}
}

const secret = "0123456789abcdef0123456789abcdef"

func (p *process) createSource(id string, src *hookstreamv1.Source) *hookstreamv1.Source {
	p.t.Helper()
	src, err := hookstreamv1.NewSourceServiceClient(p.conn).CreateSource(p.t.Context(),
		&hookstreamv1.CreateSourceRequest{SourceId: id, Source: src}, grpc.WaitForReady(true))
	if err != nil {
		p.t.Fatal(err)
	}
	return src
}

func yousignSource() *hookstreamv1.Source {
	return &hookstreamv1.Source{
		MaxRequestsPerSecond: 1e6,
		Config:               &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{Secrets: []string{secret}}},
	}
}

// events reads the whole log without payloads, typedEvents with.
func (p *process) events() []*hookstreamv1.Event {
	return p.read(hookstreamv1.EventView_EVENT_VIEW_METADATA)
}

func (p *process) typedEvents() []*hookstreamv1.Event {
	return p.read(hookstreamv1.EventView_EVENT_VIEW_TYPED)
}

func (p *process) read(view hookstreamv1.EventView) []*hookstreamv1.Event {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	stream, err := hookstreamv1.NewEventServiceClient(p.conn).Subscribe(ctx, &hookstreamv1.SubscribeRequest{
		Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true},
		Stop:  &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
		View:  view,
	}, grpc.WaitForReady(true))
	if err != nil {
		p.t.Fatal(err)
	}
	var events []*hookstreamv1.Event
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil {
			p.t.Fatal(err)
		}
		for _, d := range resp.GetBatch().GetDeliveries() {
			events = append(events, d.GetEvent())
		}
	}
}

// sender posts what a Yousign would, and goes on until it is told 200.
type sender struct {
	url    string
	client *http.Client
	note   string // in each body
	mu     sync.Mutex
	acked  map[string]bool
	count  atomic.Int64
}

func newSender(url string, connections int) *sender {
	return &sender{url: url, acked: make(map[string]bool), client: &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections},
	}}
}

func (s *sender) send(n int) error {
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if s.try(n) == http.StatusOK {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("webhook %d was not accepted in a minute", n)
}

// try posts once, and answers the status, 0 for none.
func (s *sender) try(n int) int {
	id := eventID(n)
	body := fmt.Appendf(nil, `{"event_id":%q,"event_name":"signer.done","event_time":"1772439061","subscription_id":"f4a23698-c3d5-44b7-86a9-829304152637","subscription_description":"load","sandbox":true,"data":{"signer":{"id":%q,"note":%q}}}`, id, id, s.note)
	status := s.post(body)
	if status == http.StatusOK {
		s.mu.Lock()
		s.acked[id] = true
		s.mu.Unlock()
		s.count.Add(1)
	}
	return status
}

func (s *sender) post(body []byte) int {
	req, err := http.NewRequest(http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Yousign-Signature-256", yousign.Sign(secret, body))
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// 20,000 webhooks, at full size 50,000, come over 64 connections, and the program is killed twice in
// the middle: every one that was answered 200 is in the log after the restart,
// and none is there twice although senders repeat what was not answered.
func TestKillUnderLoad(t *testing.T) {
	total, connections := 20_000, 64
	if heavy.Full() {
		total = 50_000
	}
	if testing.Short() {
		total = 5_000
	}
	p := newProcess(t)
	p.start()
	src := p.createSource("load", yousignSource())
	s := newSender("http://"+p.ingress+src.GetIngressPath(), connections)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(total); n = next.Add(1) {
				if err := s.send(int(n)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, at := range []int{total / 3, 2 * total / 3} {
		for s.count.Load() < int64(at) && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		p.kill()
		p.start()
	}
	wg.Wait()
	found := make(map[string]int)
	for _, e := range p.events() {
		found[e.GetProviderEventId()]++
	}
	for id := range s.acked {
		if found[id] != 1 {
			t.Errorf("event %s was acknowledged and is in the log %d times", id, found[id])
		}
	}
	if len(s.acked) != total || len(found) != total {
		t.Errorf("%d were acknowledged, %d are in the log, %d were sent", len(s.acked), len(found), total)
	}
}
