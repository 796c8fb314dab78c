package queue

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	engine "github.com/hookstream/hookstream/eventlog/jetstream"
)

// QueueConfig says what a queue hands out, and how.
type Config struct {
	// Name is unique among queues: letters, digits and hyphens.
	Name string
	// Replays: the queue hands out what was replayed for this subscription, its
	// uid. Empty: it hands out events.
	Replays string
	// From is the sequence of the first event. It cannot be changed.
	From uint64
	// Subjects narrow the events; nil: all. See EventSubjects.
	Subjects []string
	// Hold is how long what was handed out stays with a gateway that says nothing
	// more about it. At least a second.
	Hold time.Duration
	// MaxHeld bounds what is handed out and not settled, on all gateways
	// together.
	MaxHeld int
	// Pinned: one gateway at a time is handed something; another when it has not
	// pulled for PinTime. It cannot be changed.
	Pinned bool
}

// PinTime is how long a pinned queue stays with a gateway that does not pull.
const PinTime = 10 * time.Second

// pinGroup is the one group of a pinned queue.
const pinGroup = "gateway"

// stream answers where the queue lies.
func (c Config) stream() string {
	if c.Replays != "" {
		return engine.StreamParked
	}
	return engine.StreamEvents
}

func (c Config) consumer() jetstream.ConsumerConfig {
	out := jetstream.ConsumerConfig{
		Durable:       c.Name,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       c.Hold,
		MaxDeliver:    -1, // when to give up is not JetStream's to decide
		MaxAckPending: c.MaxHeld,
		MaxWaiting:    4096,
	}
	switch {
	case c.Replays != "":
		out.DeliverPolicy = jetstream.DeliverAllPolicy
		out.FilterSubject = engine.Tokens(engine.SubjectReplays, c.Replays) + ".*"
	default:
		out.DeliverPolicy, out.OptStartSeq = jetstream.DeliverByStartSequencePolicy, max(c.From, 1)
		out.HeadersOnly = true // who pulls has the event already
		out.FilterSubjects = c.Subjects
	}
	if c.Pinned {
		out.PriorityPolicy, out.PriorityGroups, out.PinnedTTL = jetstream.PriorityPolicyPinned, []string{pinGroup}, PinTime
	}
	return out
}

// maxSubjects bounds the filters of a queue: each costs time with every event.
const maxSubjects = 64

// EventSubjects answers subjects that cover all events of the sources (ids)
// with the types, and as few others as subjects can tell. No sources and no
// types stand for all; nil means that nothing can be told apart.
func EventSubjects(sources, types []string) []string {
	if len(sources) > maxSubjects {
		return nil
	}
	froms := []string{engine.SubjectEvents + ".*"}
	if len(sources) > 0 {
		froms = froms[:0]
		for _, source := range sources {
			froms = append(froms, engine.Tokens(engine.SubjectEvents, source))
		}
	}
	exact := exactTypes(types)
	if exact == nil || len(exact)*len(froms) > maxSubjects {
		if len(sources) == 0 {
			return nil
		}
		exact = []string{">"}
	}
	seen := make(map[string]bool)
	var out []string
	for _, from := range froms {
		for _, rest := range exact {
			if s := from + "." + rest; !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return out
}

// SubjectOf answers the subject of an event of the log; none of one that cannot be
// read.
func SubjectOf(rec event.Record) string {
	e, err := event.Decode(0, rec)
	if err != nil {
		return ""
	}
	return engine.EventSubject(strings.TrimPrefix(e.GetSource(), "sources/"), e.GetTopic(), e.GetAction())
}

// exactTypes answers the last tokens of the types' subjects, nil when one of
// them is a pattern, or says nothing of an action: a topic may hold dots, so
// that what a pattern covers is no subtree.
func exactTypes(types []string) (out []string) {
	for _, typ := range types {
		if strings.Contains(typ, "*") {
			return nil
		}
		for _, name := range event.TypeNames(typ) {
			topic, action := event.SplitType(name)
			if action == "" {
				return nil
			}
			out = append(out, engine.Tokens("", topic, action)[1:])
		}
	}
	return out
}

// QueueState is what JetStream knows of a queue.
type State struct {
	// Waiting have never been handed out, Held are and are not settled,
	// Redelivered of them more than once.
	Waiting, Held, Redelivered int64
	// Floor: everything up to this sequence is settled. Last is the last that was
	// handed out.
	Floor, Last uint64
	// Turn is that of the last hand-out.
	Turn uint64
	// Pin of the gateway that is handed what there is; empty when it is nobody's,
	// or the queue is not pinned.
	Pin string
	// AsAsked: what can be changed of the queue is as the Config says that it was
	// asked about with. Then UpdateQueue has nothing to do.
	AsAsked bool
}

// ErrNoQueue says that a queue does not exist (any more).
var ErrNoQueue = fmt.Errorf("%w: no such queue", eventlog.ErrNotFound)

// UpdateQueue brings the queue up to date, or answers ErrNoQueue: it makes none, also
// when the queue is deleted meanwhile.
func (e *Engine) UpdateQueue(ctx context.Context, c Config) error {
	old, err := e.JS().Consumer(ctx, c.stream(), c.Name)
	if err == nil && !c.describes(old.CachedInfo().Config) {
		c.From = old.CachedInfo().Config.OptStartSeq // what cannot be changed stays
		_, err = e.JS().UpdateConsumer(ctx, c.stream(), c.consumer())
	}
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDoesNotExist) {
		return ErrNoQueue
	}
	return engine.Unavailable("queue", err)
}

// MakeQueue makes the queue.
func (e *Engine) MakeQueue(ctx context.Context, c Config) error {
	_, _, err := e.Consumer(ctx, c.stream(), c.consumer())
	return engine.Unavailable("queue", err)
}

// describes reports whether a consumer of JetStream is as the queue is to be, but
// for what cannot be changed. To say so once more would have JetStream write it down,
// one consumer after the other, and on a cluster agree about it.
func (c Config) describes(is jetstream.ConsumerConfig) bool {
	want := c.consumer()
	want.Name, want.OptStartSeq, want.PriorityPolicy, want.PriorityGroups = is.Name, is.OptStartSeq, is.PriorityPolicy, is.PriorityGroups
	is.Metadata = nil // what the server notes of itself
	return reflect.DeepEqual(is, want)
}

// DeleteQueue forgets the queue. None is fine.
func (e *Engine) DeleteQueue(ctx context.Context, c Config) error {
	err := e.JS().DeleteConsumer(ctx, c.stream(), c.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return engine.Unavailable("queue", err)
}

// QueueState answers the state of a queue, or ErrNoQueue.
func (e *Engine) QueueState(ctx context.Context, c Config) (State, error) {
	cons, err := e.JS().Consumer(ctx, c.stream(), c.Name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return State{}, ErrNoQueue
	}
	if err != nil {
		return State{}, engine.Unavailable("queue", err)
	}
	info := cons.CachedInfo() // as of a moment ago: Consumer asked
	s := State{
		Waiting: int64(info.NumPending), Held: int64(info.NumAckPending), Redelivered: int64(info.NumRedelivered),
		Floor: info.AckFloor.Stream, Last: info.Delivered.Stream, Turn: info.Delivered.Consumer,
		AsAsked: c.describes(info.Config),
	}
	for _, g := range info.PriorityGroups {
		s.Pin = g.PinnedClientID
	}
	return s, nil
}

// QueueNames answers the names of all queues of events that begin with prefix.
func (e *Engine) QueueNames(ctx context.Context, prefix string) ([]string, error) {
	st, err := e.JS().Stream(ctx, engine.StreamEvents)
	if err != nil {
		return nil, engine.Unavailable("queues", err)
	}
	var out []string
	names := st.ConsumerNames(ctx)
	for name := range names.Name() {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	return out, engine.Unavailable("queues", names.Err())
}

// header of a message that says whose pull it answers.
const headerPin = "Nats-Pin-Id"

// A Hand is one message that a queue handed out.
type Hand struct {
	// Seq is the sequence of the event, or of the replayed entry.
	Seq uint64
	// Turn grows with every hand-out of the queue.
	Turn uint64
	// Attempt counts the hand-outs of this message, from 1.
	Attempt int
	// Asked is when the pull was sent that it answers: it is held from then on, at
	// least, for the queue's Hold.
	Asked time.Time
	// Published is when what is handed out was, by the clock of whoever led the log then.
	// A queue's next leader holds it for the queue's Hold from then on, and no longer,
	// unless its hold was renewed: no leader tells the others when it handed it out.
	Published time.Time
	// Pin that it came with.
	Pin string
	// Entry that was replayed; nil for an event.
	Entry *ParkedEntry
}

func parseHand(m *nats.Msg, asked time.Time) (Hand, error) {
	md, err := (&nats.Msg{Sub: m.Sub, Reply: m.Reply}).Metadata()
	if err != nil {
		return Hand{}, err
	}
	h := Hand{
		Seq: md.Sequence.Stream, Turn: md.Sequence.Consumer, Attempt: int(md.NumDelivered),
		Asked: asked, Published: md.Timestamp, Pin: m.Header.Get(headerPin),
	}
	if m.Header.Get(headerParkedSeq) != "" {
		entry, err := parkedEntry(md.Sequence.Stream, md.Timestamp, m.Header, m.Data)
		if err != nil {
			return Hand{}, err
		}
		h.Entry = &entry
	}
	return h, nil
}
