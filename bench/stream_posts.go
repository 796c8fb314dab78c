package bench

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/bench/load"
)

// Types of the events that the stream scenarios post, by how often they occur.
const (
	typeOften  = "signature_request.done"
	typeTenth  = "signature_request.activated" // one in ten
	typeRarely = "signature_request.expired"   // one in a thousand
)

func typeOf(i int64) string {
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
func (b *batchOfPosts) requests(addr, path string) (load.Requests, error) {
	m := &mixedRequests{batch: b, byType: make(map[string]load.Requests)}
	for _, typ := range []string{typeOften, typeTenth, typeRarely} {
		body := bytes.Replace(load.YousignBodies()["1KB"], []byte(typeOften), []byte(typ), 1)
		requests, err := load.NewYousign(addr, path, benchSecret, body)
		if err != nil {
			return nil, err
		}
		m.byType[typ] = requests
	}
	return m, nil
}

type mixedRequests struct {
	batch  *batchOfPosts
	byType map[string]load.Requests
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

// posts of n events of 1 KB to a path of a server.
func posts(addr, path string, n int64) load.Posts {
	batch := &batchOfPosts{n: n}
	return load.Posts{Addr: addr, Connections: int(min(fillConnections, n)), Requests: func() (load.Requests, error) {
		return batch.requests(addr, path)
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

// A streamFilter picks one of the types that typeOf makes.
type streamFilter struct {
	name    string
	types   []string
	subject string // the same to JetStream
}

var streamFilters = []streamFilter{
	{"all", nil, ""},
	{"tenth", []string{typeTenth}, "*." + typeTenth},
	{"thousandth", []string{typeRarely}, "*." + typeRarely},
}

// matches is how many of the first n events the filter lets pass.
func (f streamFilter) matches(n int64) (matches int64) {
	for i := range n {
		if len(f.types) == 0 || slices.Contains(f.types, typeOf(i)) {
			matches++
		}
	}
	return matches
}
