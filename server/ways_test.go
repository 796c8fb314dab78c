package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A way to read from the gateway over the network. What is opened by it has
// connections of its own.
type way struct {
	name string
	pull bool
	open func(ctx context.Context, at addrs, req *hookstreamv1.SubscribeRequest) (caller, error)
}

// addrs are where a gateway is, or a link to it.
type addrs struct{ grpc, http string }

func (w *subscriptionWorld) addrs() addrs {
	return addrs{grpc: w.conn.Target(), http: strings.TrimPrefix(w.http.URL, "http://")}
}

// A caller is one stream, or one call of Pull after the other.
type caller interface {
	// next answers the next frame; of a Pull, what would have been one.
	next() (*hookstreamv1.SubscribeResponse, error)
	// die ends all connections without a word.
	die()
}

// ways are all there are.
var ways = []way{
	{"gRPC", false, openGRPC},
	{"NDJSON", false, func(ctx context.Context, at addrs, req *hookstreamv1.SubscribeRequest) (caller, error) {
		return openREST(ctx, at, req, "application/json")
	}},
	{"SSE", false, func(ctx context.Context, at addrs, req *hookstreamv1.SubscribeRequest) (caller, error) {
		return openREST(ctx, at, req, "text/event-stream")
	}},
	{"Pull", true, openPull},
	{"Pull over REST", true, openRESTPull},
}

// sockets are the connections of a caller.
type sockets struct {
	mu   sync.Mutex
	all  []net.Conn
	dead bool
}

func (s *sockets) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.dead {
		err = errors.Join(net.ErrClosed, conn.Close())
	}
	if err != nil {
		return nil, err
	}
	s.all = append(s.all, conn)
	return conn, nil
}

// die resets them, as when a process is killed with something unread.
func (s *sockets) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	for _, conn := range s.all {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

func (s *sockets) grpc(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(s.dial))
}

func (s *sockets) http() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return s.dial(ctx, addr) }}}
}

type grpcPeer struct {
	sockets
	conn   *grpc.ClientConn
	stream grpc.ServerStreamingClient[hookstreamv1.SubscribeResponse]
}

func openGRPC(ctx context.Context, at addrs, req *hookstreamv1.SubscribeRequest) (caller, error) {
	p := new(grpcPeer)
	var err error
	if p.conn, err = p.grpc(at.grpc); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, p.die)
	p.stream, err = hookstreamv1.NewEventServiceClient(p.conn).Subscribe(ctx, req)
	return p, err
}

func (p *grpcPeer) next() (*hookstreamv1.SubscribeResponse, error) { return p.stream.Recv() }

func (p *grpcPeer) die() {
	p.sockets.die()
	_ = p.conn.Close()
}

type restPeer struct {
	sockets
	body  io.ReadCloser
	lines *bufio.Reader
}

// openREST streams by GET, the way of curl and of browsers.
func openREST(ctx context.Context, at addrs, req *hookstreamv1.SubscribeRequest, accept string) (caller, error) {
	p := new(restPeer)
	httpReq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.http+"/v1/events:subscribe?"+query(req).Encode(), nil)
	if err != nil {
		return nil, err
	}
	httpReq.Header.Set("Accept", accept)
	resp, err := p.http().Do(httpReq)
	if err != nil {
		p.die()
		return nil, err
	}
	p.body, p.lines = resp.Body, bufio.NewReader(resp.Body)
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		p.die()
		return nil, fmt.Errorf("%s: %s", resp.Status, b)
	}
	return p, nil
}

// query is a request as parameters.
func query(req *hookstreamv1.SubscribeRequest) url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"subscription": req.GetSubscription(), "clientId": req.GetClientId(), "afterCursor": req.GetAfterCursor(),
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if n := req.GetFlowControl().GetMaxOutstandingEvents(); n > 0 {
		v.Set("flowControl.maxOutstandingEvents", fmt.Sprint(n))
	}
	if req.GetView() != 0 {
		v.Set("view", req.GetView().String())
	}
	if req.GetAtHead() {
		v.Set("atHead", "true")
	}
	if req.GetOnCursorExpired() != 0 {
		v.Set("onCursorExpired", req.GetOnCursorExpired().String())
	}
	return v
}

func (p *restPeer) next() (*hookstreamv1.SubscribeResponse, error) {
	for {
		line, err := p.lines.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSpace(line)
		if bytes.Equal(line, []byte("event: end")) {
			return nil, io.EOF
		}
		data, sse := bytes.CutPrefix(line, []byte("data: "))
		if !sse {
			data, _ = bytes.CutPrefix(data, []byte(`{"result":`))
			if len(data) == len(line) && !bytes.HasPrefix(line, []byte(`{"error"`)) {
				continue // a name, an id or an empty line
			}
			data = bytes.TrimSuffix(data, []byte("}"))
		}
		f := new(hookstreamv1.SubscribeResponse)
		if err := protojson.Unmarshal(data, f); err != nil || f.GetFrame() == nil {
			return nil, fmt.Errorf("the stream ended: %s", line)
		}
		return f, nil
	}
}

func (p *restPeer) die() {
	p.sockets.die()
	if p.body != nil {
		_ = p.body.Close()
	}
}

// pullRequest asks for as much as a stream would be handed.
func pullRequest(req *hookstreamv1.SubscribeRequest) *hookstreamv1.PullRequest {
	return &hookstreamv1.PullRequest{
		Name: req.GetSubscription(), ClientId: req.GetClientId(), MaxEvents: req.GetFlowControl().GetMaxOutstandingEvents(),
	}
}

// pulledFrames are the frames of a stream that say the same.
func pulledFrames(resp *hookstreamv1.PullResponse) (frames []*hookstreamv1.SubscribeResponse) {
	if resp.GetGap() != nil {
		frames = append(frames, &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Gap{Gap: resp.GetGap()}})
	}
	return append(frames, &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Batch{
		Batch: &hookstreamv1.DeliveryBatch{Deliveries: resp.GetDeliveries()},
	}})
}

// puller calls again when what it has is used up.
type puller struct {
	sockets
	call  func() (*hookstreamv1.PullResponse, error)
	ready []*hookstreamv1.SubscribeResponse
}

func (p *puller) next() (*hookstreamv1.SubscribeResponse, error) {
	if len(p.ready) == 0 {
		resp, err := p.call()
		if err != nil {
			return nil, err
		}
		p.ready = pulledFrames(resp)
	}
	f := p.ready[0]
	p.ready = p.ready[1:]
	return f, nil
}

func openPull(ctx context.Context, at addrs, req *hookstreamv1.SubscribeRequest) (caller, error) {
	p := new(puller)
	conn, err := p.grpc(at.grpc)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	p.call = func() (*hookstreamv1.PullResponse, error) {
		return hookstreamv1.NewSubscriptionServiceClient(conn).Pull(ctx, pullRequest(req))
	}
	return p, nil
}

func openRESTPull(ctx context.Context, at addrs, req *hookstreamv1.SubscribeRequest) (caller, error) {
	p := new(puller)
	client := p.http()
	context.AfterFunc(ctx, p.die)
	p.call = func() (*hookstreamv1.PullResponse, error) {
		pull := pullRequest(req)
		pull.Name = ""
		body, err := protojson.Marshal(pull)
		if err != nil {
			return nil, err
		}
		httpReq, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+at.http+"/v1/"+req.GetSubscription()+":pull", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(httpReq)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		out := new(hookstreamv1.PullResponse)
		return out, errors.Join(err, protojson.Unmarshal(b, out))
	}
	return p, nil
}

// open opens a caller that ends with the test.
func (w *subscriptionWorld) open(t *testing.T, by way, at addrs, req *hookstreamv1.SubscribeRequest) caller {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	p, err := by.open(ctx, at, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.die)
	return p
}
