package eventlog

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/event"
)

// directGet is the request for a run of messages. Any replica answers it, so
// its end is the replica's, which may lag behind the cluster's.
type directGet struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	Batch     int        `json:"batch"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
}

// readTimeout bounds the wait for the next message of a run.
const readTimeout = 5 * time.Second

func (s *stream) Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error) {
	if last := s.durable(^uint64(0)); seq > last {
		return nil, nil
	}
	recs, err := s.get(ctx, directGet{Seq: seq, Batch: max, MaxBytes: maxBytes, NextFor: ">"})
	if err != nil {
		return nil, err
	}
	for n := len(recs); n > 0; n-- {
		if recs[n-1].Seq <= s.durable(recs[n-1].Seq) {
			return recs[:n], nil
		}
	}
	return nil, nil
}

func (s *stream) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	recs, err := s.get(ctx, directGet{StartTime: &t, Batch: 1, NextFor: ">"})
	if err != nil {
		return 0, err
	}
	if len(recs) > 0 && recs[0].Seq <= s.durable(recs[0].Seq) {
		return recs[0].Seq, nil
	}
	b, err := s.Bounds(ctx)
	return b.Last + 1, err
}

// get sends the request and collects the run that answers it, on a subscription
// of its own.
func (s *stream) get(ctx context.Context, req directGet) ([]event.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	query, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	inbox := nats.NewInbox()
	answers := make(chan *nats.Msg, req.Batch+1)
	sub, err := s.reads.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.reads.PublishRequest("$JS.API.DIRECT.GET."+streamEvents, inbox, query); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	recs := make([]event.Record, 0, req.Batch)
	for {
		select {
		case m := <-answers:
			end, err := endOfRun(m)
			if end || err != nil {
				return recs, err
			}
			r, err := storedRecord(m)
			if err != nil {
				return nil, err
			}
			recs = append(recs, r)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: read: %w", ErrUnavailable, context.Cause(ctx))
		}
	}
}

// endOfRun tells the last message of a run: it has a status and no data.
func endOfRun(m *nats.Msg) (bool, error) {
	switch status := m.Header.Get("Status"); status {
	case "":
		return false, nil
	case "204", "404": // the run is complete; there is nothing there
		return true, nil
	default:
		return true, fmt.Errorf("%w: read: %s %s", ErrUnavailable, status, m.Header.Get("Description"))
	}
}

func storedRecord(m *nats.Msg) (event.Record, error) {
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return event.Record{}, fmt.Errorf("%w: read: sequence: %w", ErrUnavailable, err)
	}
	t, err := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return event.Record{}, fmt.Errorf("%w: read: time: %w", ErrUnavailable, err)
	}
	return event.Record{Seq: seq, Time: t, Data: m.Data}, nil
}
