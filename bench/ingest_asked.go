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
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/simulator"
)

// lenderProcess is the process that plays the API of a sender that is asked. It is no
// baseline.
const lenderProcess = "lender"

// tokenPlace is where a body has its token.
const tokenPlace = "the-place-of-the-token"

// A lenderReady is what the process says on one line: the source that takes what is
// posted, the body, with tokenPlace in it, and where tokens can be had.
type lenderReady struct {
	Source []byte `json:"source"`
	Body   []byte `json:"body"`
	Tokens string `json:"tokens"`
}

// serveLender plays a sender's API until ctx ends. Tokens are made by the
// thousand: to make one costs as much as to post it.
func serveLender(ctx context.Context, senders []simulator.Played, id string, out io.Writer) error {
	i := slices.IndexFunc(asked(senders), func(s simulator.Asked) bool { return s.Repertoire().Provider == id })
	if i < 0 {
		return errNoSender
	}
	lender, err := asked(senders)[i].Lend(simulator.PartOptions{AnyPort: true})
	if err != nil {
		return err
	}
	defer func() { _ = lender.Close() }()
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready := lenderReady{Tokens: "http://" + lis.Addr().String()}
	var failed error
	ready.Source, err = proto.Marshal(lender.Source())
	ready.Body, failed = lender.Body(tokenPlace)
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(ready); err != nil {
		return err
	}
	srv := &http.Server{Handler: mint(lender), ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(lis); ctx.Err() == nil {
		return err
	}
	return nil
}

// mint answers as many tokens as are asked for, a line each.
func mint(lender simulator.Lender) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil || n < 1 {
			http.Error(w, "n says how many", http.StatusBadRequest)
			return
		}
		var lines bytes.Buffer
		for range n {
			lines.WriteString(lender.Token() + "\n")
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

// askedPosts are posts of one event, each with a token of its own.
// Without tokens all have the same.
func askedPosts(addr, path string, body []byte, connections int, t *tokens) load.Posts {
	var texts func() []byte
	if t != nil {
		texts = t.next
	}
	return load.Posts{Addr: addr, Connections: connections, Requests: func() (load.Requests, error) {
		var compact bytes.Buffer // as it is sent
		if err := json.Compact(&compact, body); err != nil {
			return nil, err
		}
		return load.NewTemplate(addr, path, compact.Bytes(), []byte(tokenPlace), texts)
	}}
}

// asked are the senders whose API is asked about each event.
func asked(senders []simulator.Played) (all []simulator.Asked) {
	for _, s := range senders {
		if s, ok := s.(simulator.Asked); ok {
			all = append(all, s)
		}
	}
	return all
}

// askedScenarios are theirs.
func askedScenarios(senders []simulator.Played) []Scenario {
	var all []Scenario
	for _, s := range asked(senders) {
		id := s.Repertoire().Provider
		for _, connections := range []int{1, 16, 64, 256} {
			all = append(all, Scenario{
				Name:    fmt.Sprintf("ingest/%s/c%d", id, connections),
				About:   fmt.Sprintf("%d connections post events of %s, whose API is asked about each", connections, nameOf(s)),
				Measure: func(ctx context.Context, b *Bench) (Result, error) { return ingestAsked(ctx, b, id, connections) },
			})
		}
	}
	return all
}

func ingestAsked(ctx context.Context, b *Bench, id string, connections int) (Result, error) {
	var at lenderReady
	api, err := b.Start(ctx, func(line []byte) bool { return json.Unmarshal(line, &at) == nil && at.Tokens != "" }, "bench", "baseline", lenderProcess, id)
	if err != nil {
		return Result{}, err
	}
	src := &hookstreamv1.Source{}
	if err := proto.Unmarshal(at.Source, src); err != nil {
		return Result{}, err
	}
	g, err := b.StartGateway(ctx, "")
	if err != nil {
		return Result{}, err
	}
	path, err := g.create(ctx, "bench", src)
	if err != nil {
		return Result{}, err
	}
	t := &tokens{from: at.Tokens}
	bare, bareAt, err := b.StartBaseline(ctx, bareHTTP)
	if err != nil {
		return Result{}, err
	}
	return b.Hold(ctx, Contest{
		Subject: askedSubject(g, api, t, askedPosts(g.Ingress, path, at.Body, connections, t)),
		Baselines: []Contender{{Name: bareHTTP, Process: bare, Round: func(ctx context.Context, span time.Duration) (Sample, error) {
			// The same requests but for the token, which nobody looks at there.
			posts := askedPosts(bareAt.HTTP, path, at.Body, connections, nil)
			return AllAccepted(ctx, bare, posts, span)
		}}},
	})
}

// tokenRate is more than a gateway can have asked about in a second.
const tokenRate = 20_000

func askedSubject(g *Gateway, api *Process, t *tokens, posts load.Posts) Contender {
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
