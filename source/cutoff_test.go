package source_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/source"
)

// onCluster opens a store on a cluster, over the way to one node or all.
func onCluster(t *testing.T, url string, key source.Key) *source.Store {
	t.Helper()
	o := jetstream.DefaultOptions()
	o.Dir, o.URL, o.Replicas, o.Logger = t.TempDir(), url, 3, slog.New(slog.DiscardHandler)
	b, err := logtest.Open(t, o).Bucket(t.Context(), "SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	return openStore(t, b, key)
}

// leaderOfSources answers the node that leads the bucket.
func leaderOfSources(t *testing.T, url string) int {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), "KV_HOOKSTREAM_SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimPrefix(st.CachedInfo().Cluster.Leader, "n"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A leader of the bucket that is cut off from the other nodes goes on answering for some
// seconds, and has heard of nothing: nothing is refused for good on its word, neither as
// not there, nor as there, nor for its etag. With the others there again all of it is.
func TestALeaderThatIsCutOffRefusesNothing(t *testing.T) {
	t.Parallel()
	c, key := natstest.StartCuttable(t), source.NewKey()
	first := onCluster(t, c.URL(), key)
	create(t, first, "billing", yousign(yousignSecret))
	leader := leaderOfSources(t, c.URL())
	s := onCluster(t, c.Link(leader).URL(), key)
	if _, err := s.Get("billing"); err != nil {
		t.Fatal(err)
	}
	refusals := []struct {
		what string
		ask  func(context.Context) error
		want error
	}{
		{"found", func(ctx context.Context) error { return second(s.Find(ctx, "none")) }, source.ErrNotFound},
		{"changed", func(ctx context.Context) error { return second(s.Update(ctx, "none", "", disable)) }, source.ErrNotFound},
		{"deleted", func(ctx context.Context) error { return s.Delete(ctx, "none", "") }, source.ErrNotFound},
		{"previewed", func(ctx context.Context) error { return second(s.Preview(ctx, "billing", "zz", disable)) }, source.ErrEtagMismatch},
		{"changed with an etag", func(ctx context.Context) error { return second(s.Update(ctx, "billing", "zz", disable)) }, source.ErrEtagMismatch},
		{"deleted with an etag", func(ctx context.Context) error { return s.Delete(ctx, "billing", "zz") }, source.ErrEtagMismatch},
		{"made", func(ctx context.Context) error { return second(s.Create(ctx, "billing", ignisign())) }, source.ErrExists},
	}
	together := func(check func(what string, err, want error)) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		told := make(chan func(), len(refusals))
		for _, r := range refusals {
			go func() { err := r.ask(ctx); told <- func() { check(r.what, err, r.want) } }()
		}
		for range refusals {
			(<-told)()
		}
	}
	c.Isolate(leader)
	together(func(what string, err, _ error) {
		if !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("%s on the word of a node that is cut off: %v", what, err)
		}
	})
	c.Rejoin(leader)
	for begun := time.Now(); ; {
		var last error
		together(func(_ string, err, want error) {
			if !errors.Is(err, want) {
				last = err
			}
		})
		if last == nil {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("the nodes are together again, and it is not refused: %v", last)
		}
	}
}

func second[T any](_ T, err error) error { return err }
