package jetstream

import (
	"context"
	"errors"
	"os"

	"github.com/nats-io/nats.go/jetstream"
)

// Consumer makes a consumer of JetStream, or brings it up to date. Embedded, one
// whose file cannot be read is begun anew: JetStream neither reads it nor makes
// another in its place, so that its events would wait for ever. What the consumer
// of a subscription had settled is known from the journal.
func (e *Engine) Consumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (c jetstream.Consumer, remade bool, err error) {
	c, err = e.js.CreateOrUpdateConsumer(ctx, stream, cfg)
	if e.node == nil || !unreadable(err) {
		return c, false, err
	}
	dir := consumerDir(e.opts.Dir, stream, cfg.Durable)
	e.logger.Error("what JetStream kept of a consumer cannot be read, and it begins anew", "stream", stream, "consumer", cfg.Durable, "err", err)
	if gone := os.RemoveAll(dir); gone != nil {
		return nil, false, errors.Join(err, gone)
	}
	c, err = e.js.CreateOrUpdateConsumer(ctx, stream, cfg)
	return c, err == nil, err
}

func unreadable(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeConsumerCreate
}
