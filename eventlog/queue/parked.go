package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	engine "github.com/hookstream/hookstream/eventlog/jetstream"
)

// Parked keeps events that subscriptions gave up, each with its record: it
// outlives what the log drops. Entries that are replayed lie beside them until
// they are settled.
type Parked struct {
	e      *Engine
	js     jetstream.Stream
	writer *engine.Writer

	// counting is held by the one that looks at bytes, also while it asks the cluster:
	// who waits for it goes with its context.
	counting *semaphore.Weighted
	bytes    int64     // that the entries have, as of seenAt and what was put here since
	seenAt   time.Time // zero: never
}

// ParkedEntry is one event that a subscription gave up.
type ParkedEntry struct {
	// ID is its number, from 1; entries are numbered in the order they came.
	ID uint64
	// Record is the event as the log kept it.
	Record event.Record
	// Attempts that were made, and what the last one ended with.
	Attempts int
	Reason   string
	ClientID string
	// HandOut is the number of its last delivery.
	HandOut int64
	// Replay is the id of the replay that hands it out; empty when it had been parked.
	Replay string
	// Time is when it was kept here.
	Time time.Time
}

const (
	headerParkedSeq  = "Hookstream-Seq"
	headerParkedTime = "Hookstream-Time"
	headerAttempts   = "Hookstream-Attempts"
	headerReason     = "Hookstream-Reason"
	headerClient     = "Hookstream-Client"
	headerHandOut    = "Hookstream-Hand-Out"
	headerReplay     = "Hookstream-Replay"
)

// OpenParked opens what was parked.
func (e *Engine) OpenParked(ctx context.Context) (*Parked, error) {
	js, err := e.EnsureStream(ctx, jetstream.StreamConfig{
		Name:        engine.StreamParked,
		Description: "Hookstream: deliveries that were given up, and those that are replayed",
		Subjects:    []string{engine.SubjectParked + ".>", engine.SubjectReplays + ".>"},
		MaxBytes:    -1,
		// What was purged a moment ago must not be listed.
		AllowDirect: false,
	})
	if err != nil {
		return nil, err
	}
	p := &Parked{e: e, js: js, counting: semaphore.NewWeighted(1)}
	if p.writer, err = e.Writer(ctx, engine.StreamParked, js.CachedInfo().State.LastSeq); err != nil {
		return nil, err
	}
	e.AtClose(p.writer.Close)
	return p, nil
}

func (p *Parked) message(prefix, uid string, in ParkedEntry) *nats.Msg {
	h := nats.Header{}
	set := func(key, value string) { h[key] = []string{value} }
	set(headerParkedSeq, strconv.FormatUint(in.Record.Seq, 10))
	set(headerParkedTime, strconv.FormatInt(in.Record.Time.UnixNano(), 10))
	set(headerAttempts, strconv.Itoa(in.Attempts))
	set(headerReason, strconv.Quote(in.Reason)) // a header ends with a line
	set(headerHandOut, strconv.FormatInt(in.HandOut, 10))
	set(headerClient, strconv.Quote(in.ClientID))
	last := strconv.FormatUint(in.Record.Seq, 10)
	if in.Replay != "" {
		set(headerReplay, in.Replay)
		last += replayMark + in.Replay
	}
	return &nats.Msg{Subject: engine.Tokens(prefix, uid, last), Header: h, Data: in.Record.Data}
}

// replayMark stands between the number of an event and the id of its replay in a
// subject. An id begins with a letter.
const replayMark = "-"

// Put keeps an entry of the subscription with the uid, and returns when it is
// durable. once names it: putting it again within some minutes keeps one. When the
// entries have Options.ParkedMaxBytes the error wraps ErrFull: nothing that was
// parked is dropped for it.
func (p *Parked) Put(ctx context.Context, uid, once string, in ParkedEntry) error {
	if err := p.room(ctx, int64(len(in.Record.Data))); err != nil {
		return err
	}
	return p.put(ctx, engine.SubjectParked, uid, once, in)
}

// bytesAge is how old the count of bytes may be: other gateways park as well.
const bytesAge = time.Minute

// room takes n more bytes into account, if there is room for them.
func (p *Parked) room(ctx context.Context, n int64) error {
	limit := p.e.Options().ParkedMaxBytes
	if limit == 0 {
		return nil
	}
	if err := p.counting.Acquire(ctx, 1); err != nil {
		return engine.Unavailable("parked", context.Cause(ctx))
	}
	defer p.counting.Release(1)
	if p.bytes+n > limit || time.Since(p.seenAt) > bytesAge {
		info, err := p.js.Info(ctx)
		if err != nil {
			return engine.Unavailable("parked", err)
		}
		p.bytes, p.seenAt = int64(info.State.Bytes), time.Now()
	}
	if p.bytes+n > limit {
		return fmt.Errorf("%w: parked events have %d bytes of %d: replay or purge some", eventlog.ErrFull, p.bytes, limit)
	}
	p.bytes += n
	return nil
}

// Replay puts an entry where the subscription's replay queue hands it out, and
// returns when it is durable.
func (p *Parked) Replay(ctx context.Context, uid string, in ParkedEntry) error {
	return p.put(ctx, engine.SubjectReplays, uid, fmt.Sprintf("replay-%s-%d", uid, in.ID), in)
}

// Feed puts an event of the log where the subscription's replay queue hands it out, for
// the replay with the id, and returns when it is durable. Feeding it again within some
// minutes keeps one. The error is that of Put: what is fed takes room, too.
func (p *Parked) Feed(ctx context.Context, uid, replay string, rec event.Record) error {
	if err := p.room(ctx, int64(len(rec.Data))); err != nil {
		return err
	}
	return p.put(ctx, engine.SubjectReplays, uid, fmt.Sprintf("feed-%s-%s-%d", uid, replay, rec.Seq), ParkedEntry{Record: rec, Replay: replay})
}

// Fed answers how many entries of each replay lie here, by its id: those that are not
// settled, and some that are.
func (p *Parked) Fed(ctx context.Context, uid string) (map[string]int, error) {
	info, err := p.js.Info(ctx, jetstream.WithSubjectFilter(engine.Tokens(engine.SubjectReplays, uid)+".*"))
	if err != nil {
		return nil, engine.Unavailable("parked", err)
	}
	out := make(map[string]int)
	for subject, n := range info.State.Subjects {
		last := subject[strings.LastIndexByte(subject, '.')+1:]
		if _, replay, ok := strings.Cut(last, replayMark); ok {
			out[replay] += int(n)
		}
	}
	return out, nil
}

// NextFed answers the first entry that lies at the subscription's replay queue and whose
// number is at least from, or ErrNotFound.
func (p *Parked) NextFed(ctx context.Context, uid string, from uint64) (ParkedEntry, error) {
	return p.next(ctx, engine.Tokens(engine.SubjectReplays, uid)+".*", from)
}

func (p *Parked) put(ctx context.Context, prefix, uid, once string, in ParkedEntry) error {
	if err := p.e.HasRoom(); err != nil {
		return err
	}
	m := p.message(prefix, uid, in)
	m.Header[engine.HeaderID] = []string{once}
	_, err := p.writer.Write(ctx, m)
	return err
}

// Next answers the first entry of the subscription whose number is at least from,
// or ErrNotFound.
func (p *Parked) Next(ctx context.Context, uid string, from uint64) (ParkedEntry, error) {
	return p.next(ctx, engine.Tokens(engine.SubjectParked, uid)+".*", from)
}

func (p *Parked) next(ctx context.Context, filter string, from uint64) (ParkedEntry, error) {
	m, err := p.js.GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(filter))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return ParkedEntry{}, eventlog.ErrNotFound
	}
	if err != nil {
		return ParkedEntry{}, engine.Unavailable("parked", err)
	}
	return parkedEntry(m.Sequence, m.Time, m.Header, m.Data)
}

// Last answers the latest entry of the subscription for an event, among those that are
// parked or those that are replayed, or ErrNotFound.
func (p *Parked) Last(ctx context.Context, uid string, seq uint64, replayed bool) (ParkedEntry, error) {
	prefix := engine.SubjectParked
	if replayed {
		prefix = engine.SubjectReplays
	}
	m, err := p.js.GetLastMsgForSubject(ctx, engine.Tokens(prefix, uid, strconv.FormatUint(seq, 10)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return ParkedEntry{}, eventlog.ErrNotFound
	}
	if err != nil {
		return ParkedEntry{}, engine.Unavailable("parked", err)
	}
	return parkedEntry(m.Sequence, m.Time, m.Header, m.Data)
}

func parkedEntry(id uint64, at time.Time, h nats.Header, data []byte) (out ParkedEntry, err error) {
	out = ParkedEntry{ID: id, Time: at, Record: event.Record{Data: data}}
	seq, err1 := strconv.ParseUint(h.Get(headerParkedSeq), 10, 64)
	nanos, err2 := strconv.ParseInt(h.Get(headerParkedTime), 10, 64)
	attempts, err3 := strconv.Atoi(h.Get(headerAttempts))
	reason, err4 := strconv.Unquote(h.Get(headerReason))
	client, err5 := strconv.Unquote(h.Get(headerClient))
	out.Record.Seq, out.Record.Time = seq, time.Unix(0, nanos)
	out.HandOut, _ = strconv.ParseInt(h.Get(headerHandOut), 10, 64) // not there in what older versions kept
	out.Attempts, out.Reason, out.ClientID, out.Replay = attempts, reason, client, h.Get(headerReplay)
	return out, errors.Join(err1, err2, err3, err4, err5)
}

// Count answers how many entries the subscription has.
func (p *Parked) Count(ctx context.Context, uid string) (int, error) {
	filter := engine.Tokens(engine.SubjectParked, uid) + ".*"
	info, err := p.js.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return 0, engine.Unavailable("parked", err)
	}
	n := 0
	for _, msgs := range info.State.Subjects {
		n += int(msgs)
	}
	return n, nil
}

// QueueNames answers the names of all queues of replayed entries that begin with
// prefix.
func (p *Parked) QueueNames(ctx context.Context, prefix string) (out []string, err error) {
	names := p.js.ConsumerNames(ctx)
	for name := range names.Name() {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	return out, engine.Unavailable("parked", names.Err())
}

// Owners answers the uids of all subscriptions that have entries, parked or
// replayed.
func (p *Parked) Owners(ctx context.Context) ([]string, error) {
	info, err := p.js.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, engine.Unavailable("parked", err)
	}
	uids := make(map[string]bool)
	for subject := range info.State.Subjects {
		for _, prefix := range [...]string{engine.SubjectParked, engine.SubjectReplays} {
			if rest, ok := strings.CutPrefix(subject, prefix+"."); ok {
				uid, _, _ := strings.Cut(rest, ".")
				uids[uid] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(uids)), nil
}

// Forget removes an entry, parked or replayed. None is fine.
func (p *Parked) Forget(ctx context.Context, id uint64) error {
	err := p.js.DeleteMsg(ctx, id)
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.Code == 404 || strings.Contains(api.Description, "no message found")) || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	return engine.Unavailable("parked", err)
}

// ForgetAll removes all entries of the subscription, and with replays those
// that are replayed too.
func (p *Parked) ForgetAll(ctx context.Context, uid string, replays bool) error {
	err := p.js.Purge(ctx, jetstream.WithPurgeSubject(engine.Tokens(engine.SubjectParked, uid)+".*"))
	if err == nil && replays {
		err = p.js.Purge(ctx, jetstream.WithPurgeSubject(engine.Tokens(engine.SubjectReplays, uid)+".*"))
	}
	return engine.Unavailable("parked", err)
}

// Sync returns when what was forgotten stays forgotten, whatever happens.
func (p *Parked) Sync(ctx context.Context) error {
	if err := p.e.SyncStream(engine.StreamParked); err != nil {
		return err
	}
	return ctx.Err()
}
