package queue

import (
	"encoding/json"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/nats-io/nats.go"
)

// reasonLimits is what JetStream says of a message that the bounds of its stream
// took while it was handed out, or waited to be again.
const reasonLimits = "Unacknowledged message was deleted"

// WatchDropped calls fn with every event that the log dropped after a queue had
// handed it out and before it was settled: it is not handed out again, and nothing
// else says so. It is not told of what happened while nobody listened.
func (e *Engine) WatchDropped(fn func(queue string, seq uint64)) (stop func(), err error) {
	nc, err := e.Deliveries()
	if err != nil {
		return nil, err
	}
	sub, err := nc.Subscribe(jetstream.AdvisoryDropped+">", func(m *nats.Msg) {
		var told struct {
			Consumer string `json:"consumer"`
			Seq      uint64 `json:"stream_seq"`
			Reason   string `json:"reason"`
		}
		if json.Unmarshal(m.Data, &told) == nil && told.Reason == reasonLimits {
			fn(told.Consumer, told.Seq)
		}
	})
	if err != nil {
		return nil, jetstream.Unavailable("queue", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // gone with its connection at the latest
}
