package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// embedded is a nats-server inside the process: no socket, files under the data
// directory.
type embedded struct {
	srv *server.Server
}

// startTimeout bounds recovery: every message of the deduplication window is
// read at start.
const startTimeout = 5 * time.Minute

func startEmbedded(o Options, syncAlways bool, failed func(error)) (*embedded, error) {
	srv, err := server.NewServer(&server.Options{
		ServerName:             "hookstream",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               o.Dir, // an empty one would be a temporary directory
		SyncAlways:             syncAlways,
		SyncInterval:           5 * time.Second,
		MaxPayload:             int32(o.MaxEntryBytes + entryOverhead),
		// Nothing here lives in memory. The quota on disk is ours to watch
		// (MinFreeBytes): a quota of the server would be taken from what is free
		// at start.
		JetStreamMaxMemory: 64 << 20,
		JetStreamMaxStore:  1 << 60,
		JetStreamLimits:    server.JSLimitOpts{DefaultMaxConsumers: -1},
		WriteDeadline:      30 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("start embedded NATS: %w", err)
	}
	log := natsLogger{l: o.Logger, failed: failed, fatal: new(atomic.Pointer[string])}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	// A server that gives its start up returns from it, and is not ready for as long as
	// one waits.
	reason := log.fatal.Load()
	if reason == nil && srv.ReadyForConnections(startTimeout) && srv.JetStreamEnabled() {
		return &embedded{srv: srv}, nil
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	if reason != nil {
		return nil, fmt.Errorf("start embedded NATS: %s", *reason)
	}
	return nil, errors.New("start embedded NATS: JetStream did not come up; its reason is in the log above")
}

// entryOverhead is what JetStream and our headers add to an entry.
const entryOverhead = 64 << 10

// PayloadOverhead is what the max_payload of a NATS server must have beyond
// Options.MaxEntryBytes.
const PayloadOverhead = entryOverhead / 2

func (e *embedded) option() nats.Option { return nats.InProcessServer(e.srv) }

// stopTime bounds closing the server. It waits some 10 ms for each queue, one after
// the other: two minutes with ten thousand.
const stopTime = 15 * time.Second

// stop ends the server and reports whether it has ended. One that takes too long
// is left behind, for the end of the process: whatever was acknowledged is on the
// disk already, and the next start finds what it finds after a kill.
func (e *embedded) stop(within time.Duration) (ended bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
	}()
	select {
	case <-done:
		return true
	case <-time.After(within):
		return false
	}
}

// natsLogger passes the server's own messages on, its notices as debug: they
// tell of start and stop, which we tell ourselves.
type natsLogger struct {
	l *slog.Logger
	// failed is told that the server could not write: that is all it says of it.
	failed func(error)
	// fatal holds why the server gave its start up, once it has.
	fatal *atomic.Pointer[string]
}

func (n natsLogger) Noticef(f string, v ...any) { n.l.Debug(text(f, v), "from", "nats") }
func (n natsLogger) Warnf(f string, v ...any)   { n.l.Warn(text(f, v), "from", "nats") }
func (n natsLogger) Errorf(f string, v ...any) {
	n.l.Error(text(f, v), "from", "nats")
	if strings.Contains(strings.ToLower(f), natsWriteFailed) && n.failed != nil {
		go n.failed(fmt.Errorf("%w: %s", errStoreFailed, text(f, v)))
	}
}

func (n natsLogger) Fatalf(f string, v ...any) {
	reason := text(f, v)
	n.l.Error(reason, "from", "nats", "fatal", true)
	n.fatal.CompareAndSwap(nil, &reason)
}

func (n natsLogger) Debugf(string, ...any) {}
func (n natsLogger) Tracef(string, ...any) {}

func text(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }
