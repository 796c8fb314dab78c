package bench

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/bench/load"
)

// The types of the events that the stream scenarios post, by how often they occur: those
// of the sender.
const (
	typeOften  = iota
	typeTenth  // one in ten
	typeRarely // one in a thousand
)

func typeOf(i int64) int {
	switch {
	case i%1000 == 500:
		return typeRarely
	case i%10 == 1:
		return typeTenth
	}
	return typeOften
}

// A batchOfPosts is a number of events that several connections post between
// them.
type batchOfPosts struct {
	n    int64 // 0: without end
	next atomic.Int64
}

// requests makes the requests of one connection.
func (b *batchOfPosts) requests(s sender, addr, path string) (load.Requests, error) {
	m := &mixedRequests{batch: b}
	for i, typ := range s.benchmark.Types {
		requests, err := s.requests(addr, path, typ, "1KB")
		if err != nil {
			return nil, err
		}
		m.byType[i] = requests
	}
	return m, nil
}

type mixedRequests struct {
	batch  *batchOfPosts
	byType [3]load.Requests
}

func (m *mixedRequests) Next() (request, id []byte) {
	i := m.batch.next.Add(1) - 1
	if m.batch.n > 0 && i >= m.batch.n {
		return nil, nil
	}
	return m.byType[typeOf(i)].Next()
}

// fillConnections is how many senders post at once, wherever that is not what is
// measured.
const fillConnections = 64

// batch is posts of n events of 1 KB to a path of a server.
func (s sender) batch(addr, path string, n int64) load.Posts {
	batch := &batchOfPosts{n: n}
	return load.Posts{Addr: addr, Connections: int(min(fillConnections, n)), Requests: func() (load.Requests, error) {
		return batch.requests(s, addr, path)
	}}
}

// postAll posts until there are no more, and requires that all is answered with
// 200. It answers how long that took.
func postAll(ctx context.Context, p load.Posts) (time.Duration, error) {
	begin := time.Now()
	run, err := p.Start(ctx)
	if err != nil {
		return 0, err
	}
	run.Record(true)
	run.Wait()
	took := time.Since(begin)
	answers, err := run.Stop()
	if ctx.Err() != nil {
		return took, context.Cause(ctx)
	}
	return took, errors.Join(err, answers.Unexpected(http.StatusOK))
}

// A streamFilter picks one of the types that typeOf makes, or all.
type streamFilter struct {
	name string
	all  bool
	only int
}

var streamFilters = []streamFilter{
	{name: "all", all: true},
	{name: "tenth", only: typeTenth},
	{name: "thousandth", only: typeRarely},
}

// types are those of a sender that the filter lets pass; nil: all.
func (f streamFilter) types(s sender) []string {
	if f.all {
		return nil
	}
	return []string{s.benchmark.Types[f.only]}
}

// subject is the same to JetStream.
func (f streamFilter) subject(s sender) string {
	if f.all {
		return ""
	}
	return "*." + s.benchmark.Types[f.only]
}

// matches is how many of the first n events the filter lets pass.
func (f streamFilter) matches(n int64) (matches int64) {
	for i := range n {
		if f.all || typeOf(i) == f.only {
			matches++
		}
	}
	return matches
}
