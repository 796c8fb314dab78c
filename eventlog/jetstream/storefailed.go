package jetstream

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What an embedded JetStream does after a write that failed: it keeps the error and
// refuses everything, or ends its JetStream and answers nothing, until it is started
// again. So it is our end too, as a failed fsync is, and not something that passes.

// errStoreFailed says that JetStream could not write.
var errStoreFailed = errors.New("the store failed")

// maxSilent is how many groups in a row may be left without an answer.
const maxSilent = 12 // a minute: a disk may stall for a while and be well again

// judgedPublisher publishes to a stream of an embedded engine, and ends the engine
// when the answers say that nothing can be stored any more.
type judgedPublisher struct {
	publisher
	e      *Engine
	stream string
	silent int
}

// judged answers the publisher of a stream of this engine.
func (e *Engine) judged(stream string, p publisher) publisher {
	if e.node == nil {
		return p // another node may take over
	}
	return &judgedPublisher{publisher: p, e: e, stream: stream}
}

func (p *judgedPublisher) publish(group []*pending) {
	p.publisher.publish(group)
	var silence error
	for _, r := range group {
		switch {
		case r.msg == nil:
		case r.err == nil:
			p.silent = 0
			return
		case p.e.storeFailed(p.stream, r.err):
			return
		case errors.Is(r.err, ErrNoAck):
			silence = r.err
		}
	}
	if silence == nil {
		return
	}
	if p.silent++; p.silent >= maxSilent && p.e.ctx.Err() == nil {
		p.e.fatal(fmt.Errorf("stream %s: %d times in a row: %w", p.stream, p.silent, silence))
	}
}

// storeFailed ends an embedded engine when an error says that nothing can be stored
// any more, and reports whether it does.
func (e *Engine) storeFailed(stream string, err error) bool {
	if e.node == nil || err == nil || e.ctx.Err() != nil {
		return false
	}
	var api *jetstream.APIError
	failed := errors.Is(err, errStoreFailed) || errors.Is(err, errNoStream) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) ||
		errors.As(err, &api) && (api.ErrorCode == codeStoreFailed || api.ErrorCode == codeInsufficientResources)
	if failed {
		e.fatal(fmt.Errorf("stream %s: a write failed, and JetStream takes none any more: %w", stream, err))
	}
	return failed
}
