package baseline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A Replay is what reading a log took.
type Replay struct {
	// Events read, and the bytes of their data.
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"`
	// Took is the time from asking for the consumer to the last event, or until
	// that is acknowledged.
	Took time.Duration `json:"took_ns"`
}

// eventsStream is where a gateway keeps its events, and eventsSubject what their
// subjects begin with; after it come source, topic and action.
const (
	eventsStream  = "HOOKSTREAM_EVENTS"
	eventsSubject = "hookstream.events"
)

// ReplayJetStream reads the log of a gateway that does not run with JetStream's
// own ordered consumer, in this process and without any network: all of it, or
// what matches a filter of subjects after the prefix, such as "*.signer.*". It is
// what a reader of events has when there is no hub.
func ReplayJetStream(ctx context.Context, dir, filter string) (Replay, error) {
	stream, done, err := openLog(ctx, dir)
	if err != nil {
		return Replay{}, err
	}
	defer done()
	return replay(ctx, stream, filter)
}

// openLog opens the log of a gateway that does not run, until done is called.
func openLog(ctx context.Context, dir string) (_ jetstream.Stream, done func(), err error) {
	srv, conn, err := openJetStream(dir)
	if err != nil {
		return nil, nil, err
	}
	done = func() {
		conn.Close()
		srv.Shutdown()
		srv.WaitForShutdown()
	}
	js, err := jetstream.New(conn)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("baseline: %w", err)
	}
	stream, err := js.Stream(ctx, eventsStream)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("baseline: stream %s: %w", eventsStream, err)
	}
	return stream, done, nil
}

func openJetStream(dir string) (*server.Server, *nats.Conn, error) {
	srv, err := server.NewServer(&server.Options{
		ServerName: "baseline", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 60,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("baseline: %w", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(time.Minute) || !srv.JetStreamEnabled() {
		srv.Shutdown()
		return nil, nil, errors.New("baseline: JetStream did not come up")
	}
	conn, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		srv.Shutdown()
		return nil, nil, fmt.Errorf("baseline: %w", err)
	}
	return srv, conn, nil
}

func replay(ctx context.Context, stream jetstream.Stream, filter string) (Replay, error) {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
	if filter != "" {
		cfg.FilterSubjects = []string{eventsSubject + "." + filter}
	}
	begun := time.Now()
	consumer, err := stream.OrderedConsumer(ctx, cfg)
	if err != nil {
		return Replay{}, fmt.Errorf("baseline: consumer: %w", err)
	}
	want := int64(consumer.CachedInfo().NumPending)
	// As many on the way as its own documentation advises for throughput.
	messages, err := consumer.Messages(jetstream.PullMaxMessages(4096))
	if err != nil {
		return Replay{}, fmt.Errorf("baseline: consumer: %w", err)
	}
	defer messages.Stop()
	var r Replay
	for r.Events < want {
		m, err := messages.Next()
		if err != nil {
			return Replay{}, fmt.Errorf("baseline: after %d of %d events: %w", r.Events, want, err)
		}
		r.Events++
		r.Bytes += int64(len(m.Data()))
	}
	r.Took = time.Since(begun)
	return r, nil
}
