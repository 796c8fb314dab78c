package server

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// A caller of one resource, over gRPC or REST, who makes one change while another
// makes another.
type changer struct {
	g    *gateway
	rest bool
	tag  string // what nobody else writes
	etag string
}

// A change is one that both may make. What it made is seen until it is written over.
type change[T any] struct {
	kind string
	do   func(ctx context.Context, c changer) error
	seen func(c changer, now T) bool
}

func (c changer) call(ctx context.Context, method, path string, body proto.Message, grpc func() error) error {
	if !c.rest {
		return grpc()
	}
	var b []byte
	if body != nil {
		var err error
		if b, err = protojson.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.g.http.URL+"/v1/"+path, strings.NewReader(string(b)))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	var told struct {
		Code    codes.Code `json:"code"`
		Message string     `json:"message"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil {
		return err
	}
	return status.Error(told.Code, told.Message)
}

// atOnce has two callers make their changes at the same time, and answers the codes.
func atOnce[T any](t *testing.T, callers [2]changer, changes [2]change[T]) (out [2]codes.Code) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	begin := make(chan struct{})
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			<-begin
			out[i] = status.Code(changes[i].do(ctx, callers[i]))
		})
	}
	close(begin)
	both.Wait()
	return out
}

// checkAtOnce holds what two callers were told, and what there is now, to each other.
// With an etag one of them wins; without, nothing that was answered OK is gone, but for
// what the other wrote over.
func checkAtOnce[T any](t *testing.T, callers [2]changer, changes [2]change[T], got [2]codes.Code, now T, there bool) {
	t.Helper()
	deleted := changes[0].kind == "delete" || changes[1].kind == "delete"
	for i, c := range changes {
		other := changes[1-i]
		lost := callers[i].etag != "" && got[1-i] == codes.OK && other.kind != "ensure"
		ok := got[i] == codes.OK
		switch {
		case c.kind == "ensure":
			ok = ok && deleted || got[i] == codes.FailedPrecondition
		case lost:
			ok = got[i] == codes.Aborted || got[i] == codes.NotFound && deleted
		case deleted && c.kind != "delete", c.kind == "delete" && other.kind == "delete":
			ok = ok || got[i] == codes.NotFound
		}
		if !ok {
			t.Errorf("%s is told %v", c.kind, got[i])
		}
		if got[i] == codes.OK && !deleted && (!there || !c.seen(callers[i], now) && !(got[1-i] == codes.OK && other.kind == c.kind)) {
			t.Errorf("%s was told OK, and is lost", c.kind)
		}
	}
	if deleted && there && changes[0].kind != "ensure" && changes[1].kind != "ensure" && (got[0] == codes.OK && changes[0].kind == "delete" || got[1] == codes.OK && changes[1].kind == "delete") {
		t.Error("deleted, and there")
	}
}

// twoGateways run over one log, and know its sources each for themselves.
func twoGateways(t *testing.T) (g [2]*gateway, stores [2]*source.Store) {
	o := jetstream.DefaultOptions()
	o.Dir = t.TempDir()
	engine, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	key := source.NewKey()
	for i := range g {
		bucket, err := engine.Bucket(t.Context(), "SOURCES")
		if err != nil {
			t.Fatal(err)
		}
		if stores[i], err = source.Open(t.Context(), bucket, key, providers(t), nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stores[i].Close)
		g[i] = start(t, func(o *Options, _ *HTTPOptions) { o.Sources = stores[i] })
	}
	return g, stores
}

const atOnceName = "sources/one"

func updateOne(path string, fill func(src *hookstreamv1.Source, tag string)) func(context.Context, changer) error {
	return func(ctx context.Context, c changer) error {
		src := &hookstreamv1.Source{Name: atOnceName, Etag: c.etag}
		fill(src, c.tag)
		return c.call(ctx, "PATCH", atOnceName+"?updateMask="+path, src, func() error {
			_, err := c.g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: src, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}}})
			return err
		})
	}
}

func secretOf(tag string) string { return "secret-" + tag }

func overlapAtOnce() *durationpb.Duration { return durationpb.New(time.Hour) }

// sourceChangesAtOnce are all that change a source.
func sourceChangesAtOnce() []change[*hookstreamv1.Source] {
	hasSecret := func(c changer, src *hookstreamv1.Source) bool {
		return slices.Contains(src.GetYousign().GetSecrets(), secretOf(c.tag))
	}
	return []change[*hookstreamv1.Source]{
		{
			"description",
			updateOne("description", func(src *hookstreamv1.Source, tag string) { src.Description = tag }),
			func(c changer, src *hookstreamv1.Source) bool { return src.GetDescription() == c.tag },
		},
		{
			"labels",
			updateOne("labels", func(src *hookstreamv1.Source, tag string) { src.Labels = map[string]string{"k": tag} }),
			func(c changer, src *hookstreamv1.Source) bool { return src.GetLabels()["k"] == c.tag },
		},
		{
			"secrets",
			updateOne("yousign.secrets", func(src *hookstreamv1.Source, tag string) { src.Config = yousignSource(secretOf(tag)).GetConfig() }),
			hasSecret,
		},
		{"rotate", func(ctx context.Context, c changer) error {
			req := &hookstreamv1.RotateSourceSecretRequest{Name: atOnceName, Etag: c.etag, Secret: secretOf(c.tag), Overlap: overlapAtOnce()}
			body := proto.CloneOf(req)
			body.Name = ""
			return c.call(ctx, "POST", atOnceName+":rotateSecret", body, func() error {
				_, err := c.g.sources.RotateSourceSecret(ctx, req)
				return err
			})
		}, hasSecret},
		{"ensure", func(ctx context.Context, c changer) error {
			src := yousignSource(secretOf(c.tag))
			src.Description = c.tag
			req := &hookstreamv1.EnsureSourceRequest{SourceId: "one", Source: src}
			return c.call(ctx, "POST", "sources:ensure", req, func() error {
				_, err := c.g.sources.EnsureSource(ctx, req)
				return err
			})
		}, hasSecret},
		{"delete", func(ctx context.Context, c changer) error {
			return c.call(ctx, "DELETE", atOnceName+"?etag="+c.etag, nil, func() error {
				_, err := c.g.sources.DeleteSource(ctx, &hookstreamv1.DeleteSourceRequest{Name: atOnceName, Etag: c.etag})
				return err
			})
		}, func(changer, *hookstreamv1.Source) bool { return true }},
	}
}

// Two who change a source in the same moment, at one gateway or at two, over gRPC or
// REST: none is told OK of what is lost, one of two with the same etag is told to try
// again, and what was said of secrets holds.
func TestTwoChangesOfASourceAtOnce(t *testing.T) {
	g, stores := twoGateways(t)
	kinds := sourceChangesAtOnce()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	promised := new(promises)
	var now *hookstreamv1.Source
	for round := range 150 {
		if now == nil || len(promised.until) > 3 {
			if now != nil {
				if _, err := g[0].sources.DeleteSource(t.Context(), &hookstreamv1.DeleteSourceRequest{Name: atOnceName}); err != nil {
					t.Fatal(err)
				}
			}
			first := fmt.Sprint("first-secret-", round)
			now = g[0].create(t, "one", yousignSource(first))
			promised.set(first)
		}
		settled(t, stores, "one")
		var callers [2]changer
		var changes [2]change[*hookstreamv1.Source]
		withEtag := random.IntN(2) == 0
		for i := range callers {
			callers[i] = changer{g: g[random.IntN(2)], rest: random.IntN(2) == 0, tag: fmt.Sprintf("%d-%d", round, i)}
			changes[i] = kinds[random.IntN(len(kinds))]
			if withEtag {
				callers[i].etag = now.GetEtag()
			}
		}
		until := time.Now().Add(overlapAtOnce().AsDuration())
		got := atOnce(t, callers, changes)
		now = settled(t, stores, "one")
		// Of secrets that one sets and another rotates, or two set, the last set counts.
		both := got == [2]codes.Code{} && changes[0].kind != changes[1].kind
		for i, c := range changes {
			if c.kind == "rotate" && both && changes[1-i].kind == "secrets" {
				changes[i].seen = func(changer, *hookstreamv1.Source) bool { return true }
			}
		}
		checkAtOnce(t, callers, changes, got, now, now != nil)
		if now != nil {
			promised.after(callers, changes, got, until, now.GetYousign().GetSecrets())
			promised.held(t, now.GetYousign())
			if n := len(now.GetYousign().GetSecrets()); n != len(promised.until) {
				t.Errorf("%d secrets, promised are %d", n, len(promised.until))
			}
		}
		if t.Failed() {
			t.Fatalf("round %d: %s and %s with etag %v, told %v, now %v", round, changes[0].kind, changes[1].kind, withEtag, got, now)
		}
	}
}

// after notes what two changes of secrets promise, in the order in which they came: what
// came last is first of the secrets.
func (p *promises) after(callers [2]changer, changes [2]change[*hookstreamv1.Source], got [2]codes.Code, until time.Time, secrets []string) {
	order := []int{0, 1}
	if slices.Contains(secrets, secretOf(callers[0].tag)) && secrets[0] == secretOf(callers[0].tag) {
		order = []int{1, 0}
	}
	for _, i := range order {
		secret := secretOf(callers[i].tag)
		switch {
		case got[i] != codes.OK:
		case changes[i].kind == "rotate":
			p.rotate(secret, until)
		case changes[i].kind == "secrets", changes[i].kind == "ensure":
			p.set(secret)
		}
	}
}

// settled waits until both stores know of the same, and answers it as it is kept, nil
// for nothing.
func settled(t *testing.T, stores [2]*source.Store, id string) (now *hookstreamv1.Source) {
	t.Helper()
	eventually(t, "both gateways know of the same", func() bool {
		a, _ := stores[0].Get(id)
		b, _ := stores[1].Get(id)
		now = a
		return a.GetEtag() == b.GetEtag()
	})
	return now
}
