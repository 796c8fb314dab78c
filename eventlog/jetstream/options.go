package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Durability says what an acknowledged entry survives on the embedded engine.
// On an external one that is the cluster's to decide.
type Durability string

const (
	// DurabilitySync: the end of the process and of the machine. Entries are
	// fsynced before they are acknowledged; those that arrive together share one.
	DurabilitySync Durability = "sync"
	// DurabilityRelaxed: the end of the process. The operating system writes to
	// disk within seconds.
	DurabilityRelaxed Durability = "relaxed"
)

// Options say where the engine keeps what, and how much of it.
type Options struct {
	// Dir is the data directory, made when missing. The embedded engine keeps
	// everything there; with an external one it holds the index only.
	Dir string
	// Version of the program, which a data directory says it was written by.
	Version string
	// URL is the address of an external NATS server or cluster; empty runs one in
	// the process.
	URL string
	// NATS holds further options for connections to an external server:
	// credentials, TLS.
	NATS []nats.Option
	// Domain is the JetStream domain of the external server to use; empty: the one of
	// the server that is connected to.
	Domain string
	// Replicas of every stream on an external cluster, 1 to 5.
	Replicas int
	// Durability of the embedded engine.
	Durability Durability

	// MaxAge, MaxBytes and MaxEvents bound the log; the oldest events are dropped.
	// 0: no bound.
	MaxAge    time.Duration
	MaxBytes  int64
	MaxEvents int64
	// DedupWindow is how long the keys of entries are remembered.
	DedupWindow time.Duration
	// MinFreeBytes of the file system below which nothing is accepted any more.
	// Embedded only.
	MinFreeBytes int64
	// MaxEntryBytes is the largest entry, bounded further by an external server's
	// own limit.
	MaxEntryBytes int

	// InboxMaxRows and InboxMaxBytes bound the undecided rows of the inbox.
	InboxMaxRows  int64
	InboxMaxBytes int64
	// InboxMaxAge is how long a row is kept, decided or not.
	InboxMaxAge time.Duration

	// ParkedMaxBytes bounds what subscriptions have parked, all together. 0: no
	// bound. What is full takes no more until some is replayed or purged.
	ParkedMaxBytes int64

	// Logger takes what operators should know. Required.
	Logger *slog.Logger
	// OnFatal is called once, on a goroutine of the engine, when it can never
	// acknowledge anything again: after a failed fsync nobody knows what is on
	// the disk. The process should end.
	OnFatal func(error)
	// OnCommit, if set, is told of every group of entries that was made durable:
	// how many, and how long publishing and syncing took.
	OnCommit func(stream string, entries int, publish, sync time.Duration)
}

// DefaultOptions are what a single machine wants.
func DefaultOptions() Options {
	return Options{
		Dir:           "hookstream-data",
		Version:       "unknown",
		Replicas:      1,
		Durability:    DurabilitySync,
		MaxAge:        30 * 24 * time.Hour,
		DedupWindow:   30 * 24 * time.Hour,
		MinFreeBytes:  256 << 20,
		MaxEntryBytes: 4 << 20,
		InboxMaxRows:  100_000,
		InboxMaxBytes: 1 << 30,
		InboxMaxAge:   30 * 24 * time.Hour,

		ParkedMaxBytes: 4 << 30,

		Logger: slog.New(slog.DiscardHandler),
	}
}

// Validate tells what cannot work, all at once.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Dir != "", "the data directory is empty")
	check(o.Version != "", "the version is empty")
	check(o.Durability == DurabilitySync || o.Durability == DurabilityRelaxed, "durability %q is neither %q nor %q", o.Durability, DurabilitySync, DurabilityRelaxed)
	check(o.Replicas >= 1 && o.Replicas <= 5, "replicas must be 1 to 5, not %d", o.Replicas)
	check(o.URL != "" || o.Replicas == 1, "replicas need an external cluster")
	check(o.URL != "" || o.Domain == "", "a JetStream domain needs an external cluster")
	check(!strings.ContainsAny(o.Domain, ".*> \t\r\n"), "a JetStream domain is one token of a subject, which %q is not", o.Domain)
	check(o.MaxAge == 0 || o.MaxAge >= minAge, "the log's age must be 0 or at least %s", minAge)
	check(o.MaxBytes >= 0 && o.MaxEvents >= 0, "the log's bounds must not be negative")
	check(o.DedupWindow >= minAge, "the deduplication window must be at least %s", minAge)
	check(o.MaxEntryBytes >= 1<<10 && o.MaxEntryBytes <= 32<<20, "the largest entry must be 1 KiB to 32 MiB")
	check(o.InboxMaxRows > 0 && o.InboxMaxBytes > 0 && o.InboxMaxAge >= minAge, "the inbox's bounds are too small")
	check(o.ParkedMaxBytes >= 0, "the bound of what is parked must not be negative")
	check(o.Logger != nil, "a logger is required")
	return errors.Join(errs...)
}

// minAge keeps every window above JetStream's own, which covers the race
// between gateways.
const minAge = 2 * natsDedupWindow

// natsDedupWindow is short because JetStream holds its ids in memory and loads
// every message of the window at start.
const natsDedupWindow = 2 * time.Minute
