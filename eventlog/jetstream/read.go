package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
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
	req := directGet{Seq: seq, Batch: max, MaxBytes: maxBytes, NextFor: ">"}
	recs, _, err := s.getCurrent(ctx, req, func(b eventlog.Bounds) (bool, error) {
		return seq > b.Last || b.First > b.Last, nil
	})
	if err != nil {
		return nil, err
	}
	recs, err = s.shown(recs)
	s.mindHoles(seq, recs)
	return recs, err
}

// shown answers those of the stored records that are durable, as they were
// given to Append.
func (s *stream) shown(recs []event.Record) ([]event.Record, error) {
	n := len(recs)
	for n > 0 && recs[n-1].Seq > s.durable(recs[n-1].Seq) {
		n--
	}
	for i, r := range recs[:n] {
		recs[i], _, _ = s.e.unkeepOrPass(r)
	}
	return recs[:n], nil
}

func (s *stream) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	req := directGet{StartTime: &t, Batch: 1, NextFor: ">"}
	recs, b, err := s.getCurrent(ctx, req, func(b eventlog.Bounds) (bool, error) {
		if b.First > b.Last {
			return true, nil
		}
		last, err := s.get(ctx, directGet{Seq: b.Last, Batch: 1, NextFor: ">"})
		return err == nil && len(last) > 0 && last[0].Time.Before(t), err
	})
	if err != nil {
		return 0, err
	}
	if len(recs) == 0 {
		return b.Last + 1, nil
	}
	return s.firstSince(ctx, recs[0].Seq, t)
}

// firstSince answers the first record from seq on that has a time of t or later.
// An embedded log notes the time just before JetStream does, so that the first
// one by JetStream's may be some records early.
func (s *stream) firstSince(ctx context.Context, seq uint64, t time.Time) (uint64, error) {
	for {
		recs, err := s.Read(ctx, seq, 64, 1<<20)
		if err != nil {
			return 0, err
		}
		if len(recs) == 0 {
			b, err := s.ends(ctx)
			return b.Last + 1, err
		}
		for _, r := range recs {
			if !r.Time.Before(t) {
				return r.Seq, nil
			}
		}
		seq = recs[len(recs)-1].Seq + 1
	}
}

// lagWait is how long a replica is given to catch up before it, or another, is
// asked again.
const lagWait = 10 * time.Millisecond

// getCurrent is get, but believes that nothing is there only when the bounds say
// so as well, which it answers then: the replica that answers may lag behind
// what the leader has acknowledged.
func (s *stream) getCurrent(ctx context.Context, req directGet, nothing func(eventlog.Bounds) (bool, error)) ([]event.Record, eventlog.Bounds, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for {
		recs, err := s.get(ctx, req)
		if len(recs) > 0 || err != nil {
			return recs, eventlog.Bounds{}, err
		}
		b, err := s.ends(ctx)
		if err != nil {
			return nil, b, err
		}
		// There is no replica to wait for where there is one log.
		if ok, err := nothing(b); ok || err != nil || s.e.node != nil {
			return nil, b, err
		}
		select {
		case <-time.After(lagWait):
		case <-ctx.Done():
			return nil, b, fmt.Errorf("%w: read: no replica has caught up: %w", eventlog.ErrUnavailable, context.Cause(ctx))
		}
	}
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
	inbox := s.reads.NewInbox()
	answers := make(chan *nats.Msg, req.Batch+1)
	sub, err := s.reads.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := s.reads.PublishRequest(s.e.API("DIRECT.GET."+StreamEvents), inbox, query); err != nil {
		return nil, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
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
			return nil, fmt.Errorf("%w: read: %w", eventlog.ErrUnavailable, context.Cause(ctx))
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
		return true, fmt.Errorf("%w: read: %s %s", eventlog.ErrUnavailable, status, m.Header.Get("Description"))
	}
}

func storedRecord(m *nats.Msg) (event.Record, error) {
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return event.Record{}, fmt.Errorf("%w: read: sequence: %w", eventlog.ErrUnavailable, err)
	}
	t, err := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return event.Record{}, fmt.Errorf("%w: read: time: %w", eventlog.ErrUnavailable, err)
	}
	return event.Record{Seq: seq, Time: t, Data: m.Data}, nil
}
