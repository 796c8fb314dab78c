package ingress

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hookstream/hookstream/conns"
	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// A Log takes events, and tells whether it has one already: what its methods promise
// is said at eventlog.Log.
type Log interface {
	Incarnation() event.Incarnation
	Append(ctx context.Context, e eventlog.Entry) (eventlog.Appended, error)
	Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error)
	Key(source, dedupKey string) (seq uint64, ok bool, err error)
	Content(source string, fingerprint []byte) (seq uint64, ok bool, err error)
}

// Options say what a Gateway works with and how far it goes. Zero values stand
// for those of DefaultOptions, unless said otherwise.
type Options struct {
	// Log takes the events. Required.
	Log Log
	// Inbox keeps requests of remote providers until they are decided. Required.
	Inbox eventlog.Inbox
	// Sources tells which sources there are. Required.
	Sources Sources
	// CatchUp has Sources tell of all that was changed before the call, on other gateways
	// too. It is called before a sender is refused for good, as often as one is: it must
	// bound what that costs. nil: nobody else changes anything.
	CatchUp func(ctx context.Context, news func() bool) error
	// Providers makes the provider of a source. Its error is logged: it must
	// hold no secret. Required.
	Providers func(*hookstreamv1.Source) (provider.Verifier, error)

	// MaxBodyBytes is the largest body; larger ones are answered with 413.
	MaxBodyBytes int
	// MaxConns is how many connections a Server of the gateway has at once. When there
	// are as many, silent ones are given up for new ones. Default: a share of the
	// descriptors that the process may have.
	MaxConns int
	// MaxConnsPerAddress is how many of them one address has, an IPv6 network of 64
	// bits being one. Default: half of MaxConns.
	MaxConnsPerAddress int
	// SharedAddresses are those of proxies and balancers, for which
	// MaxConnsPerAddress does not hold.
	SharedAddresses []netip.Prefix
	// MaxInFlight is how many requests are handled at once, from when their body is
	// there; more are answered with 503 at once. A source alone gets three quarters of
	// them, several get equal shares.
	MaxInFlight int
	// MaxBufferBytes bounds what bodies over 16 KiB take in memory together; one that
	// would exceed it is answered with 503.
	MaxBufferBytes int64
	// DefaultRate is the most requests per second of a source that says nothing
	// of its own. 0: no limit.
	DefaultRate float64

	// Ready answers why requests would not be kept now, nil when they would; for
	// balancers that ask. nil: they always would.
	Ready func() error
	// ReadTimeout is how long a request may take from its first byte to its last;
	// slower ones are answered with 408. After half of it a body must have come at a
	// KiB a second.
	ReadTimeout time.Duration
	// AppendWait is how long storing may take before the sender is answered with
	// 503. Senders give up after a second.
	AppendWait time.Duration
	// VerifyWait is how long a sender waits for the verdict of a remote provider.
	VerifyWait time.Duration

	// Workers is how many requests are verified at once by remote providers. Three
	// quarters of them may be busy with one source, fewer while other sources have
	// some as well.
	Workers int
	// VerifyTimeout bounds one question of a remote provider.
	VerifyTimeout time.Duration
	// MinRetry and MaxRetry bound the time after which an undecided request is
	// asked about again.
	MinRetry, MaxRetry time.Duration
	// OrphanAge is how long a request is kept whose source was deleted, or is
	// now configured for somebody else, before it is given up.
	OrphanAge time.Duration
	// GiveUpAge is how long an undecided request is kept before it is given up.
	// Shorter than the inbox keeps it, so that none vanishes without a word.
	GiveUpAge time.Duration

	// Refused keeps what was refused for good. nil: nobody does.
	Refused Refusals

	// Logger takes what operators should know. Default: nothing is logged.
	Logger *slog.Logger
	// Metrics is told what happens. Its functions may be nil.
	Metrics Metrics
	// Step is called with each of Steps when it is reached, on the goroutine that
	// did. For tests that end the process there; nil otherwise.
	Step func(name string)
}

// DefaultOptions are what a gateway on one machine wants. The required fields
// are for the caller.
func DefaultOptions() Options {
	return Options{
		MaxBodyBytes:   1 << 20,
		MaxConns:       conns.ThisBudget().Ingress,
		MaxInFlight:    1024,
		MaxBufferBytes: 256 << 20,
		DefaultRate:    1000,
		ReadTimeout:    10 * time.Second,
		AppendWait:     800 * time.Millisecond,
		VerifyWait:     2 * time.Second,
		Workers:        64,
		VerifyTimeout:  15 * time.Second,
		MinRetry:       time.Second,
		MaxRetry:       5 * time.Minute,
		OrphanAge:      24 * time.Hour,
		GiveUpAge:      28 * 24 * time.Hour,
		Logger:         slog.New(slog.DiscardHandler),
	}
}

func (o Options) withDefaults() Options {
	if o.Log == nil || o.Inbox == nil || o.Sources == nil || o.Providers == nil {
		panic("ingress: Log, Inbox, Sources and Providers are required")
	}
	d := DefaultOptions()
	setDefault(&o.MaxBodyBytes, d.MaxBodyBytes)
	setDefault(&o.MaxConns, d.MaxConns)
	setDefault(&o.MaxConnsPerAddress, max(o.MaxConns/2, 1))
	setDefault(&o.MaxInFlight, d.MaxInFlight)
	setDefault(&o.MaxBufferBytes, d.MaxBufferBytes)
	setDefault(&o.ReadTimeout, d.ReadTimeout)
	setDefault(&o.AppendWait, d.AppendWait)
	setDefault(&o.VerifyWait, d.VerifyWait)
	setDefault(&o.Workers, d.Workers)
	setDefault(&o.VerifyTimeout, d.VerifyTimeout)
	setDefault(&o.MinRetry, d.MinRetry)
	setDefault(&o.MaxRetry, d.MaxRetry)
	setDefault(&o.OrphanAge, d.OrphanAge)
	setDefault(&o.GiveUpAge, d.GiveUpAge)
	setDefault(&o.Logger, d.Logger)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
