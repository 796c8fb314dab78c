package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/nats-io/nats.go"
)

// Bus carries questions between the gateways that share an engine. Nothing on it
// is kept: who is not there does not hear it.
type Bus struct {
	nc      *nats.Conn
	gateway string

	// mu guards subs.
	mu   sync.Mutex
	subs []*nats.Subscription
}

// ErrNoGateway says that the gateway that was asked is not there.
var ErrNoGateway = errors.New("eventlog: the gateway is not there")

// Bus opens the bus for the gateway of that name: letters, digits and hyphens.
func (e *Engine) Bus(gateway string) (*Bus, error) {
	// The connection of the queues: who does not hear a question about what it was
	// handed does not talk to its queues either. See Connection.
	nc, err := e.Deliveries()
	if err != nil {
		return nil, err
	}
	return &Bus{nc: nc, gateway: gateway}, nil
}

// Serve answers the questions to this gateway, and those to all, with fn, each
// on a goroutine of its own. A nil answer is none.
func (b *Bus) Serve(question string, fn func(data []byte) []byte) error {
	answer := func(m *nats.Msg) {
		go func() {
			if data := fn(m.Data); data != nil && m.Reply != "" {
				_ = m.Respond(data) // who asked may be gone
			}
		}()
	}
	for _, subject := range []string{jetstream.Tokens(jetstream.SubjectGateway, b.gateway, question), jetstream.Tokens(jetstream.SubjectGateways, question)} {
		sub, err := b.nc.Subscribe(subject, answer)
		if err != nil {
			return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
		}
		b.mu.Lock()
		b.subs = append(b.subs, sub)
		b.mu.Unlock()
	}
	if err := b.nc.Flush(); err != nil && b.nc.IsClosed() {
		return jetstream.Unavailable("bus", err)
	}
	return nil // or cut off: then it listens when it is back, as after each time
}

// Ask asks one gateway. The error wraps ErrNoGateway when it is not there.
func (b *Bus) Ask(ctx context.Context, gateway, question string, data []byte) ([]byte, error) {
	m, err := b.nc.RequestWithContext(ctx, jetstream.Tokens(jetstream.SubjectGateway, gateway, question), data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: %s", ErrNoGateway, gateway)
	case err != nil:
		return nil, jetstream.Unavailable("bus", err)
	}
	return m.Data, nil
}

// AskAll asks all gateways, this one too, and answers what came within wait, or
// until enough says that nobody is missing.
func (b *Bus) AskAll(ctx context.Context, question string, data []byte, wait time.Duration, enough func(answers [][]byte) bool) ([][]byte, error) {
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, jetstream.Unavailable("bus", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := b.nc.PublishRequest(jetstream.Tokens(jetstream.SubjectGateways, question), inbox, data); err != nil {
		return nil, jetstream.Unavailable("bus", err)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var out [][]byte
	for !enough(out) {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return out, nil // nobody else
		}
		if m.Header.Get("Status") == "" {
			out = append(out, m.Data)
		}
	}
	return out, nil
}

// Tell tells all gateways and does not wait.
func (b *Bus) Tell(question string, data []byte) {
	_ = b.nc.Publish(jetstream.Tokens(jetstream.SubjectGateways, question), data)
}

// Close ends answering.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, sub := range b.subs {
		_ = sub.Unsubscribe()
	}
	b.subs = nil
}
