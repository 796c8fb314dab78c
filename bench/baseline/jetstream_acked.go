package baseline

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// How a log is consumed: in batches as large as those of a gateway, and with as
// many events outstanding as its subscription allows.
const (
	fetchEvents = 256
	ackPending  = 10_000
	// acksInFlight is of each consumer. With 64 one consumer is slower, with 1,024
	// ten are.
	acksInFlight = 256
)

// settleLimit is how long the last acks may take.
const settleLimit = 30 * time.Second

// Settle acknowledges a message, at once or as part of work, and calls done when
// that is as sure as it will be, or has failed.
type Settle func(ctx context.Context, work *errgroup.Group, m jetstream.Msg, done func()) error

// Acked sends an ack that nobody confirms.
func Acked(_ context.Context, _ *errgroup.Group, m jetstream.Msg, done func()) error {
	defer done()
	return m.Ack()
}

// DoubleAcked waits until the server confirms the ack, for many messages at the
// same time.
func DoubleAcked(ctx context.Context, work *errgroup.Group, m jetstream.Msg, done func()) error {
	work.Go(func() error {
		defer done()
		return m.DoubleAck(ctx)
	})
	return nil
}

// ConsumeJetStream has consumers share a durable consumer of JetStream's on the
// log of a gateway that does not run, each fetching batches and acknowledging
// every message, in this process and without any network, until all of the log is
// acknowledged. It is what a durable subscription is made of.
func ConsumeJetStream(ctx context.Context, dir string, consumers int, settle Settle) (Replay, error) {
	stream, done, err := openLog(ctx, dir)
	if err != nil {
		return Replay{}, err
	}
	defer done()
	begun := time.Now()
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "baseline", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxAckPending: ackPending,
	})
	if err != nil {
		return Replay{}, fmt.Errorf("baseline: consumer: %w", err)
	}
	r, err := consumeAll(ctx, consumer, consumers, settle)
	r.Took = time.Since(begun)
	// The log is left as it was found.
	return r, errors.Join(err, stream.DeleteConsumer(ctx, "baseline"))
}

// A consumption is what consumers do together.
type consumption struct {
	consumer    jetstream.Consumer
	settle      Settle
	want        int64
	done, bytes atomic.Int64
	stop        func() // when all is done
}

func consumeAll(ctx context.Context, consumer jetstream.Consumer, consumers int, settle Settle) (Replay, error) {
	fetching, stop := context.WithCancel(ctx)
	defer stop()
	c := &consumption{consumer: consumer, settle: settle, want: int64(consumer.CachedInfo().NumPending), stop: stop}
	if c.want == 0 {
		return Replay{}, nil
	}
	var work errgroup.Group
	for range consumers {
		work.Go(func() error {
			defer stop() // when this one fails, all do
			return c.consume(ctx, fetching)
		})
	}
	if err := work.Wait(); err != nil {
		return Replay{}, fmt.Errorf("baseline: after %d of %d events: %w", c.done.Load(), c.want, err)
	}
	events, err := c.acknowledged(ctx)
	return Replay{Events: events, Bytes: c.bytes.Load()}, err
}

// consume is one consumer, until fetching ends.
func (c *consumption) consume(ctx, fetching context.Context) error {
	var acks errgroup.Group
	acks.SetLimit(acksInFlight)
	var err error
	for err == nil && fetching.Err() == nil {
		err = c.fetch(ctx, fetching, &acks)
	}
	return errors.Join(acks.Wait(), err)
}

func (c *consumption) fetch(ctx, fetching context.Context, acks *errgroup.Group) error {
	batch, err := c.consumer.Fetch(fetchEvents, jetstream.FetchContext(fetching))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		c.bytes.Add(int64(len(m.Data())))
		if err := c.settle(ctx, acks, m, c.count); err != nil {
			return err
		}
	}
	if fetching.Err() == nil {
		err = batch.Error()
	}
	return err
}

func (c *consumption) count() {
	if c.done.Add(1) == c.want {
		c.stop()
	}
}

// acknowledged waits until the server has no unacknowledged message left, and
// answers how many it has handed out and knows to be acknowledged.
func (c *consumption) acknowledged(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for {
		info, err := c.consumer.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("baseline: consumer: %w", err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			return int64(info.AckFloor.Consumer), nil
		}
		time.Sleep(time.Millisecond)
	}
}
