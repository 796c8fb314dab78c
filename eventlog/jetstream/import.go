package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/index"
)

// Imported is an event of another log.
type Imported struct {
	// Source, Topic, Action and Data are those of eventlog.Entry.
	Source, Topic, Action string
	Data                  []byte
	// Time is when the other log stored it, and this one will say the same.
	Time time.Time
	// Marks are those of event.Record; without them Key tells repetitions.
	Marks []byte
	Key   string
}

// ErrMarks says that marks are not those of a log of ours.
var ErrMarks = errors.New("eventlog: marks of another form")

// Import puts events of another log behind what is there, in their order and
// whatever their keys, and returns when they are durable. Nothing else may be
// appending, and the log must be embedded.
func (e *Engine) Import(ctx context.Context, all []Imported) error {
	if e.node == nil {
		return errors.New("eventlog: only an embedded log takes the events of another")
	}
	waiting := make([]*pending, 0, len(all))
	for _, a := range all {
		r, err := e.imported(a)
		if err == nil {
			err = e.events.commit.enqueue(r)
		}
		if err != nil {
			return errors.Join(err, await(ctx, waiting))
		}
		waiting = append(waiting, r)
	}
	return await(ctx, waiting)
}

func await(ctx context.Context, all []*pending) error {
	for _, r := range all {
		if _, err := r.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) imported(a Imported) (*pending, error) {
	if len(a.Data) > e.opts.MaxEntryBytes {
		return nil, fmt.Errorf("%w: %d bytes", eventlog.ErrTooLarge, len(a.Data))
	}
	r := &pending{imported: a.Time.UnixNano(), done: make(chan struct{})}
	switch {
	case len(a.Marks) == 2*len(index.Hash{}):
		r.key, r.content = index.Hash(a.Marks[:len(index.Hash{})]), index.Hash(a.Marks[len(index.Hash{}):])
	case len(a.Marks) > 0:
		return nil, ErrMarks
	default:
		r.key = keyHash(a.Source, a.Key)
	}
	r.msg = &nats.Msg{Subject: EventSubject(a.Source, a.Topic, a.Action), Data: keep(r.key, r.content, a.Data)}
	return r, nil
}
