package bench

import (
	"errors"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/simulator"
)

// benchSecret is the credential of the benchmark's sources.
const benchSecret = "a-secret-of-the-benchmark"

// errNoSender says that nothing can be posted.
var errNoSender = errors.New("bench: there is no sender whose requests can be signed here")

// A sender is one whose requests are signed here, as fast as they can be.
type sender struct {
	played    simulator.Played // nil: there is none
	benchmark simulator.Benchmark
}

// signing answers the first of the senders that is one.
func signing(senders []simulator.Played) sender {
	for _, s := range senders {
		if fast, ok := s.(simulator.Benchmarked); ok {
			return sender{fast, fast.Benchmark()}
		}
	}
	return sender{}
}

func (o Options) sender() sender { return signing(o.Senders) }

// id is the provider's; empty for none.
func (s sender) id() string {
	if s.played == nil {
		return ""
	}
	return s.played.Repertoire().Provider
}

// nameOf answers what people call a sender.
func nameOf(s simulator.Played) string {
	if s, ok := s.(interface{ Info() *hookstreamv1.Provider }); ok {
		return s.Info().GetDisplayName()
	}
	return s.Repertoire().Provider
}

// source is one that takes what the sender posts.
func (s sender) source() (*hookstreamv1.Source, error) {
	if s.played == nil {
		return nil, errNoSender
	}
	player, err := s.played.Part().Start(simulator.PartOptions{Credential: benchSecret, AnyPort: true})
	if err != nil {
		return nil, err
	}
	return player.Source(), player.Close()
}

// requests are those of one connection, all of the same event but for its id.
func (s sender) requests(addr, path, typ, size string) (load.Requests, error) {
	if s.played == nil {
		return nil, errNoSender
	}
	body, err := s.benchmark.Body(typ, size)
	if err != nil {
		return nil, err
	}
	return s.benchmark.Requests(addr, path, benchSecret, body)
}

// posts are posts of the body of a size to a path of a server.
func (s sender) posts(addr, path, size string, connections int) load.Posts {
	return load.Posts{Addr: addr, Connections: connections, Requests: func() (load.Requests, error) {
		return s.requests(addr, path, s.benchmark.Types[typeOften], size)
	}}
}
