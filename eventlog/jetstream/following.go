package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// followBatch is how many messages are on their way to a follower at once.
	followBatch = 4096
	// signEvery is how often a follower is told that there is nothing. After two that
	// did not come it follows anew.
	signEvery = 2 * time.Second
	// unfollowed is how long a server keeps the consumer of a follower that has gone.
	unfollowed = time.Minute
)

var errMissed = errors.New("messages were lost on their way")

// Follow calls take with the messages of a stream from a sequence on, in order, each
// once and none left out but those that are gone, until ctx ends or something goes
// wrong: then it returns, and whoever wants more follows anew from where it was.
//
// The client's ordered consumer goes on by itself, but keeps a lock while it asks and
// pauses, and looks whether it was stopped only afterwards. This one ends with ctx,
// whatever it waits for.
func Follow(ctx context.Context, js jetstream.JetStream, stream string, from uint64, take func(jetstream.Msg, *jetstream.MsgMetadata)) error {
	asking, answered := context.WithTimeout(ctx, RequestTimeout)
	defer answered()
	cons, err := js.CreateConsumer(asking, stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: unfollowed,
	})
	if err != nil {
		return fmt.Errorf("follow %s: %w", stream, err)
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(followBatch), jetstream.PullHeartbeat(signEvery), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("follow %s: %w", stream, err)
	}
	defer it.Stop()
	for n := uint64(1); ; n++ {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("follow %s: %w", stream, err)
		}
		md, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("follow %s: %w", stream, err)
		}
		if md.Sequence.Consumer != n {
			return fmt.Errorf("follow %s: %w", stream, errMissed)
		}
		take(m, md)
	}
}
