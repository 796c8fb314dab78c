package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Gateway is a real one, a process of its own on free ports of loopback.
type Gateway struct {
	*Process
	// Ingress, GRPC, HTTP and PProf are its addresses, as host:port.
	Ingress, GRPC, HTTP, PProf string
	// DataDir is what it keeps everything in.
	DataDir string

	api    *grpc.ClientConn // for what a scenario sets up
	sender sender
}

// StartGateway runs a gateway on a data directory, a fresh one when dir is empty,
// with further flags of `hookstream serve`, until the scenario is done.
func (b *Bench) StartGateway(ctx context.Context, dir string, flags ...string) (*Gateway, error) {
	if dir == "" {
		dir = b.Path("data")
	}
	g := &Gateway{DataDir: dir, sender: b.sender()}
	args := append([]string{
		"serve", "--data-dir", dir, "--log-format", "json", "--drain-grace", "0s", "--min-free-bytes", "0",
		"--ingress-addr", anyPort, "--grpc-addr", anyPort, "--http-addr", anyPort,
	}, flags...)
	if b.ProfileDir != "" {
		args = append(args, "--pprof-addr", anyPort)
	}
	var err error
	g.Process, err = b.Start(ctx, g.serves, args...)
	if err != nil {
		return nil, err
	}
	g.api, err = grpc.NewClient(g.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	b.OnClose(g.api.Close)
	b.mu.Lock()
	b.gateways = append(b.gateways, g)
	b.mu.Unlock()
	return g, nil
}

const anyPort = "127.0.0.1:0"

// serves reads the line by which a gateway says where it listens.
func (g *Gateway) serves(line []byte) bool {
	var said struct{ Msg, Ingress, GRPC, HTTP, PProf string }
	if json.Unmarshal(line, &said) != nil || said.Msg != "serving" {
		return false
	}
	g.Ingress, g.GRPC, g.HTTP, g.PProf = said.Ingress, said.GRPC, said.HTTP, said.PProf
	return true
}

// Create makes a source of the sender that is played, without a bound on its rate, and
// answers the path to post to.
func (g *Gateway) Create(ctx context.Context, id string) (path string, err error) {
	src, err := g.sender.source()
	if err != nil {
		return "", err
	}
	return g.create(ctx, id, src)
}

func (g *Gateway) create(ctx context.Context, id string, src *hookstreamv1.Source) (path string, err error) {
	src.MaxRequestsPerSecond, src.IncludeSensitiveFields = 1_000_000, true
	made, err := hookstreamv1.NewSourceServiceClient(g.api).CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: id, Source: src})
	if err != nil {
		return "", fmt.Errorf("bench: create a source: %w", err)
	}
	return made.GetIngressPath(), nil
}

// AwaitReady waits until the gateway says that it is ready.
func (g *Gateway) AwaitReady(ctx context.Context) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.HTTP+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := g.Died(); err != nil {
			return err
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}
