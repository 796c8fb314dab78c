package subscription

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// An Engine is what a Manager needs of the log and of what lies beside it. On
// makes one of the real engine; a test that must own time has its own. All
// methods may be called from many goroutines at once. Errors wrap
// eventlog.ErrUnavailable or eventlog.ErrFull unless they say otherwise.
type Engine interface {
	Queues
	Hands
	// Events is the log that the queues hand out of.
	Events() Log
	// Holes answers the runs of numbers behind the first event of the log that it
	// has no events for, in order and none beside another: they are gone.
	Holes(ctx context.Context) ([]eventlog.Missing, error)
	// Bucket answers where subscriptions are kept, the same for all gateways.
	Bucket(ctx context.Context, name string) (eventlog.Bucket, error)
	// OpenParked answers where deliveries lie that were given up.
	OpenParked(ctx context.Context) (Parking, error)
	// OpenAcks answers the journal of what was settled; nil when Confirm says no
	// more than what survives anything.
	OpenAcks(ctx context.Context) (Journal, error)
	// OpenAttempts answers what is kept of messages that were handed out in vain.
	// It calls heard with all of it before it returns, then with every change,
	// whoever made it.
	OpenAttempts(ctx context.Context, heard func(queue.Attempted)) (Attempts, error)
	// Bus joins the gateways of the engine, under a name that no other has.
	Bus(gateway string) (Bus, error)
	// Connection answers how often this gateway was cut off from the queues and
	// the bus, and whether it is not now. While it was, others may have settled
	// what it was handed.
	Connection() (losses uint64, up bool)
	// Reached answers until when it is proven that what this gateway said was said
	// to a leader with a quorum behind it.
	Reached() time.Time
	// Time answers what time it is by the clock of whoever leads the log, as it was
	// heard last; zero when it was not heard yet.
	Time() time.Time
	// Embedded reports whether this is the only gateway there can be.
	Embedded() bool
	// WatchDropped calls fn with every event that the log dropped after a queue
	// had handed it out and before it was settled: nobody is handed it again.
	WatchDropped(fn func(queue string, seq uint64)) (stop func(), err error)
}

// A Log is what is asked of the log beside what the hub reads: what its methods
// promise is said at eventlog.Log.
type Log interface {
	Incarnation() event.Incarnation
	Bounds(ctx context.Context) (eventlog.Bounds, error)
	SeqAt(ctx context.Context, t time.Time) (uint64, error)
	Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error)
}

// Queues are made, looked at and forgotten.
type Queues interface {
	// UpdateQueue brings the queue up to date, or answers queue.ErrNoQueue and makes
	// none. What cannot be changed stays as it was made.
	UpdateQueue(ctx context.Context, c queue.Config) error
	// MakeQueue makes the queue: all of it is handed out, whatever was settled of one
	// that had the name before.
	MakeQueue(ctx context.Context, c queue.Config) error
	// DeleteQueue forgets the queue. None is fine.
	DeleteQueue(ctx context.Context, c queue.Config) error
	// QueueState answers what was handed out and what not, and whether the queue is as
	// asked, or queue.ErrNoQueue.
	QueueState(ctx context.Context, c queue.Config) (queue.State, error)
	// QueueNames answers the names of all queues of events that begin with prefix.
	QueueNames(ctx context.Context, prefix string) ([]string, error)
}

// Hands are what a queue hands out, and what is said about it.
type Hands interface {
	// Pull opens a puller of this gateway. pin is that of the queue, shared by all
	// its pullers here. receive is called with what was asked for, one at a time, and
	// must not block; ended whenever a pull ended unanswered or was refused.
	Pull(c queue.Config, pin Pin, receive func(queue.Hand), ended func()) (Puller, error)
	// Pin answers the pin of the queue for this gateway, which does not have it
	// yet, and never will when the queue is not pinned.
	Pin(c queue.Config) Pin
	// Say says words about messages of a queue and returns at once; whether they
	// are heard is not known. What is not settled is handed out again in the end.
	Say(c queue.Config, words ...queue.Word)
	// Confirm says words and answers, one for each, which were heard for certain.
	// The others may have been heard.
	Confirm(ctx context.Context, c queue.Config, words []queue.Word) ([]bool, error)
	// Leading answers since when the queue has its leader, and when that one reached a
	// quorum.
	Leading(ctx context.Context, c queue.Config) (queue.Leading, error)
}

// A Puller takes from one queue, no more than it asked for.
type Puller interface {
	// Fill asks for up to n, those included that were asked for and have not come,
	// and waits for what comes later.
	Fill(n int)
	// FillNow asks for up to n of what is there now.
	FillNow(n int)
	// FillOne waits for a single message, whatever there may be now.
	FillOne()
	// Due answers when to ask again though nothing is heard until then; zero: never.
	Due() time.Time
	// Absent reports whether the last pull that ended did so because nobody answers
	// for the queue: it may have been deleted.
	Absent() bool
	// Stop ends it. What was asked for may come for some seconds more.
	Stop()
}

// A Pin is the right to be handed what a pinned queue has, of which one gateway
// at a time has one.
type Pin interface {
	// Ours reports whether this gateway has it, as far as it was told.
	Ours() bool
	// Release lets another gateway have it, when this one does. It returns at once.
	Release()
}

// Parking keeps deliveries that were given up, and beside them those that are
// replayed until they are settled. Its methods are those of queue.Parked.
type Parking interface {
	Put(ctx context.Context, uid, once string, in queue.ParkedEntry) error
	Replay(ctx context.Context, uid string, in queue.ParkedEntry) error
	Feed(ctx context.Context, uid, replay string, rec event.Record) error
	Fed(ctx context.Context, uid string) (map[string]int, error)
	NextFed(ctx context.Context, uid string, from uint64) (queue.ParkedEntry, error)
	Next(ctx context.Context, uid string, from uint64) (queue.ParkedEntry, error)
	Last(ctx context.Context, uid string, seq uint64, replayed bool) (queue.ParkedEntry, error)
	Count(ctx context.Context, uid string) (int, error)
	QueueNames(ctx context.Context, prefix string) ([]string, error)
	Owners(ctx context.Context) ([]string, error)
	Forget(ctx context.Context, id uint64) error
	ForgetAll(ctx context.Context, uid string, replays bool) error
	Sync(ctx context.Context) error
}

// A Journal remembers what was settled, where the queues themselves may forget
// it. Keep returns when it is as durable as an event. Its methods are those of
// queue.Acks.
type Journal interface {
	Keep(ctx context.Context, acks []queue.Ack) error
	Settled(queue string, seq uint64) bool
	Queues() []string
	Forget(queue string)
}

// Attempts keeps one value a message of a queue. Its methods are those of
// queue.Attempts.
type Attempts interface {
	Put(some []queue.Attempted, done func(error))
	Keep(ctx context.Context, some []queue.Attempted) error
	Read(ctx context.Context, queue string, seq uint64) ([]byte, error)
	ForgetQueue(ctx context.Context, queue string) error
	Close()
}

// A Bus carries questions between gateways. Nothing on it is kept: who is not
// there does not hear it. Its methods are those of queue.Bus.
type Bus interface {
	Serve(question string, fn func(data []byte) []byte) error
	Ask(ctx context.Context, gateway, question string, data []byte) ([]byte, error)
	AskAll(ctx context.Context, question string, data []byte, wait time.Duration, enough func(answers [][]byte) bool) ([][]byte, error)
	Tell(question string, data []byte)
	Close()
}

// On answers the engine that the queues of JetStream are.
func On(e *queue.Engine) Engine { return onJetStream{e} }

// onJetStream is the real engine; what it answers is made ours.
type onJetStream struct{ *queue.Engine }

func (j onJetStream) Events() Log { return j.Engine.Events() }

func (j onJetStream) OpenParked(ctx context.Context) (Parking, error) {
	p, err := j.Engine.OpenParked(ctx)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (j onJetStream) OpenAcks(ctx context.Context) (Journal, error) {
	a, err := j.Engine.OpenAcks(ctx)
	if a == nil || err != nil {
		return nil, err
	}
	return a, nil
}

func (j onJetStream) OpenAttempts(ctx context.Context, heard func(queue.Attempted)) (Attempts, error) {
	a, err := j.Engine.OpenAttempts(ctx, heard)
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (j onJetStream) Bus(gateway string) (Bus, error) {
	b, err := j.Engine.Bus(gateway)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (j onJetStream) Pin(c queue.Config) Pin { return j.Engine.Pin(c) }

func (j onJetStream) Pull(c queue.Config, pin Pin, receive func(queue.Hand), ended func()) (Puller, error) {
	p, err := j.Engine.Pull(c, pin.(*queue.Pin), receive, ended)
	if err != nil {
		return nil, err
	}
	return p, nil
}
