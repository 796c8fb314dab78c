package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hookstream/hookstream/bench/load"
	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
)

// ignisignAPI is the process that plays Ignisign's API. It is no baseline.
const ignisignAPI = "ignisign-api"

// ignisignKey opens that API. It is of the new generation, which needs no
// exchange.
const ignisignKey = "skv2_development_of_the_benchmark"

// ignisignType is what is posted: the event that matters most, and the largest.
const ignisignType = "SIGNATURE_PROOF.GENERATED"

// The API says on one line where it is, and where tokens can be had.
type ignisignReady struct {
	API    string `json:"api"`
	Tokens string `json:"tokens"`
}

// serveIgnisign plays Ignisign's API until ctx ends. Tokens are made by the
// thousand: to make one costs as much as to post it.
func serveIgnisign(ctx context.Context, out io.Writer) error {
	api, err := simulate.Start("127.0.0.1:0", simulate.Options{
		Apps: []simulate.App{{Keys: []string{ignisignKey}}},
	})
	if err != nil {
		return err
	}
	defer func() { _ = api.Close() }()
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(ignisignReady{API: api.URL(), Tokens: "http://" + lis.Addr().String()}); err != nil {
		return err
	}
	srv := &http.Server{Handler: mint(api), ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(lis); ctx.Err() == nil {
		return err
	}
	return nil
}

// mint answers as many tokens as are asked for, a line each.
func mint(api *simulate.API) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil || n < 1 {
			http.Error(w, "n says how many", http.StatusBadRequest)
			return
		}
		var lines bytes.Buffer
		for range n {
			lines.WriteString(api.MintToken(simulate.DefaultAppID, simulate.DefaultAppEnv) + "\n")
		}
		_, _ = lines.WriteTo(w)
	})
}

// tokens are made ready before a round, and handed out.
type tokens struct {
	from string

	mu    sync.Mutex
	ready [][]byte
}

// fill makes at least n ready.
func (t *tokens) fill(ctx context.Context, n int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n -= len(t.ready); n <= 0 {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/?n=%d", t.from, n), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	t.ready = append(t.ready, bytes.Fields(b)...)
	return nil
}

// next answers nil when none is left.
func (t *tokens) next() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ready) == 0 {
		return nil
	}
	token := t.ready[len(t.ready)-1]
	t.ready = t.ready[:len(t.ready)-1]
	return token
}

// ignisignPosts are posts of one event, each with a token of its own.
// Without tokens all have the same.
func ignisignPosts(addr, path string, connections int, t *tokens) load.Posts {
	var texts func() []byte
	if t != nil {
		texts = t.next
	}
	return load.Posts{Addr: addr, Connections: connections, Requests: func() (load.Requests, error) {
		const place = "the-place-of-the-token"
		body, err := ignisign.Sample(ignisignType, simulate.DefaultAppID, simulate.DefaultAppEnv, place)
		if err != nil {
			return nil, err
		}
		var compact bytes.Buffer // as it is sent
		if err := json.Compact(&compact, body); err != nil {
			return nil, err
		}
		return load.NewTemplate(addr, path, compact.Bytes(), []byte(place), texts)
	}}
}

func ignisignScenarios() []Scenario {
	var all []Scenario
	for _, connections := range []int{1, 16, 64, 256} {
		all = append(all, Scenario{
			Name:    fmt.Sprintf("ingest/ignisign/c%d", connections),
			About:   fmt.Sprintf("%d connections post events of Ignisign, whose API is asked about each", connections),
			Measure: func(ctx context.Context, b *Bench) (Result, error) { return ingestIgnisign(ctx, b, connections) },
		})
	}
	return all
}

func ingestIgnisign(ctx context.Context, b *Bench, connections int) (Result, error) {
	var at ignisignReady
	api, err := b.Start(ctx, func(line []byte) bool { return json.Unmarshal(line, &at) == nil && at.API != "" }, "bench", "baseline", ignisignAPI)
	if err != nil {
		return Result{}, err
	}
	g, err := b.StartGateway(ctx, "")
	if err != nil {
		return Result{}, err
	}
	path, err := g.create(ctx, "bench", &hookstreamv1.Source{Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{
		AppId: simulate.DefaultAppID, AppEnv: simulate.DefaultAppEnv, ApiKey: ignisignKey, ApiBaseUrl: at.API,
	}}})
	if err != nil {
		return Result{}, err
	}
	t := &tokens{from: at.Tokens}
	bare, bareAt, err := b.StartBaseline(ctx, bareHTTP)
	if err != nil {
		return Result{}, err
	}
	return b.Hold(ctx, Contest{
		Subject: ignisignSubject(g, api, t, ignisignPosts(g.Ingress, path, connections, t)),
		Baselines: []Contender{{Name: bareHTTP, Process: bare, Round: func(ctx context.Context, span time.Duration) (Sample, error) {
			// The same requests but for the token, which nobody looks at there.
			posts := ignisignPosts(bareAt.HTTP, path, connections, nil)
			return AllAccepted(ctx, bare, posts, span)
		}}},
	})
}

// tokenRate is more than a gateway can have asked about in a second.
const tokenRate = 20_000

func ignisignSubject(g *Gateway, api *Process, t *tokens, posts load.Posts) Contender {
	return Contender{Name: "gateway", Process: g.Process, Round: func(ctx context.Context, span time.Duration) (Sample, error) {
		if err := t.fill(ctx, int(tokenRate*(span+span/10+time.Second).Seconds())); err != nil {
			return Sample{}, err
		}
		before, err := g.published(ctx)
		if err != nil {
			return Sample{}, err
		}
		begin, cpu := time.Now(), stopCPU(api)
		s, answers, err := post(ctx, g.Process, posts, span)
		if err == nil {
			err = answers.Unexpected(http.StatusOK)
		}
		after, failed := g.published(ctx)
		took := time.Since(begin)
		s.Figures = []Figure{
			{Name: "published", Value: perSecond(after-before, took), Unit: "/s, warm-up included"},
			{Name: "CPU of the simulated API", Value: perDelivery(cpu(), after-before), Unit: "us/event"},
		}
		return s, errors.Join(err, failed)
	}}
}

// published answers how many events the gateway's log has.
func (g *Gateway) published(ctx context.Context) (int64, error) {
	m, err := scrape(ctx, g.HTTP)
	if err != nil {
		return 0, err
	}
	v, err := m.need("hookstream_log_last_sequence")
	if err != nil {
		return 0, err
	}
	return int64(v[0]), nil
}
