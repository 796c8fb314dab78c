package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/eventlog"
)

// Parts of a backup. Of each stream there are two: how it is configured and how it
// stood, and then what is in it, as JetStream makes a snapshot.
const (
	PartFormat  = fileFormat
	PartMissing = fileMissing
	// PartKey is the encryption key of the sources: Backup has none, the caller may add
	// it, and Restore puts it where a gateway looks for it.
	PartKey = "secret.key"

	partStreams = "streams/"
	partConfig  = ".json"
)

// A BackupWriter takes a backup, one part after the other.
type BackupWriter interface {
	// Part begins the next part.
	Part(name string) error
	// Write adds to it.
	io.Writer
}

const (
	// backupChunk is how much of a snapshot is on its way at once, and backupWindow how
	// many of these.
	backupChunk  = 256 << 10
	backupWindow = 16
	// backupIdle is how long nothing may come of a snapshot.
	backupIdle = time.Minute
	// backupNod is how often one more chunk is asked for while a reader stands still:
	// JetStream gives a snapshot up of which nobody asked for more in 5 s. backupOwed is
	// how many: two minutes, and 15 MiB.
	backupNod  = 2 * time.Second
	backupOwed = 60
)

// Backup writes all that the embedded log holds, while it is used: what was
// acknowledged before the call is in it. At most rate bytes a second are read; 0: no
// bound. The error wraps eventlog.ErrNoBackup on a cluster, and while another one is
// made.
//
// The streams are not of one instant. They are read in an order in which each that
// refers to another lies before it, so that what is restored knows of nothing that is
// not there: see docs/adr/0018.
func (e *Engine) Backup(ctx context.Context, rate int64, to BackupWriter) error {
	if e.node == nil {
		return fmt.Errorf("%w of a cluster by a gateway: its streams are the cluster's, and \"nats account backup\" copies them", eventlog.ErrNoBackup)
	}
	if !e.backingUp.TryLock() {
		return fmt.Errorf("%w: another one is being made", eventlog.ErrNoBackup)
	}
	defer e.backingUp.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	names, err := e.streamNames(ctx)
	if err != nil {
		return err
	}
	nc, err := e.connect(ctx, "backup")
	if err != nil {
		return err
	}
	defer e.disconnect(nc)
	if err := e.backupFiles(to); err != nil {
		return err
	}
	for _, name := range names {
		s := snapshot{ctx: ctx, nc: nc, subject: e.API("STREAM.SNAPSHOT." + name), rate: rate, to: to}
		if err := s.write(name); err != nil {
			return fmt.Errorf("backup of stream %s: %w", name, err)
		}
	}
	return nil
}

// backupFiles writes what lies beside the streams and is not made of them.
func (e *Engine) backupFiles(to BackupWriter) error {
	format, err := ReadFormat(e.opts.Dir)
	if err != nil {
		return err
	}
	if err := writePart(to, PartFormat, format); err != nil {
		return err
	}
	if runs := e.MissingRuns(); len(runs) > 0 {
		return writePart(to, PartMissing, runs)
	}
	return nil
}

func writePart(to BackupWriter, name string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = to.Part(name)
	}
	if err == nil {
		_, err = to.Write(data)
	}
	return err
}

// backupOrder is that in which streams are read; buckets come before.
//
//   - Sources and subscriptions first: a later subscription might begin behind the log.
//   - The inbox before the events: an undecided request is asked about again and its
//     event known; a decided one without its event would be lost.
//   - What was settled and tried before the events: of later numbers it would be of other
//     events once the log goes on.
//   - The events, with the places of subscriptions, which JetStream cuts to the log, before
//     what was parked: what is parked first and settled then is in one of them, or both.
var backupOrder = []string{StreamInbox, StreamAcks, StreamAttempts, StreamEvents, StreamParked}

func (e *Engine) streamNames(ctx context.Context) (names []string, err error) {
	l := e.js.StreamNames(ctx)
	for name := range l.Name() {
		if isBucket(name) || slices.Contains(backupOrder, name) {
			names = append(names, name)
		}
	}
	place := func(name string) int { return slices.Index(backupOrder, name) } // -1 of a bucket
	slices.SortFunc(names, func(a, b string) int {
		if place(a) != place(b) {
			return place(a) - place(b)
		}
		return strings.Compare(a, b)
	})
	return names, Unavailable("streams", l.Err())
}

// snapshot writes one stream.
type snapshot struct {
	ctx     context.Context
	nc      *nats.Conn
	subject string
	rate    int64 // bytes a second; 0: no bound
	to      BackupWriter
	owed    int // chunks that were asked for before others were written
}

func (s *snapshot) write(name string) error {
	chunks := make(chan *nats.Msg, backupWindow+backupOwed+1)
	inbox := s.nc.NewInbox()
	sub, err := s.nc.ChanSubscribe(inbox, chunks)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	described, err := s.begin(inbox)
	if err != nil {
		return err
	}
	if err := s.to.Part(partStreams + name + partConfig); err != nil {
		return err
	}
	if _, err := s.to.Write(described); err != nil {
		return err
	}
	if err := s.to.Part(partStreams + name); err != nil {
		return err
	}
	for {
		select {
		case m := <-chunks:
			if len(m.Data) == 0 {
				return snapshotEnd(m)
			}
			if err := s.chunk(m); err != nil {
				return err
			}
		case <-time.After(backupIdle):
			return fmt.Errorf("%w: nothing comes of it any more", eventlog.ErrUnavailable)
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// begin asks for a snapshot, and answers how the stream is configured and stood.
func (s *snapshot) begin(inbox string) ([]byte, error) {
	ask, err := json.Marshal(map[string]any{"deliver_subject": inbox, "chunk_size": backupChunk, "window_size": backupChunk * backupWindow})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, RequestTimeout)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, s.subject, ask)
	if err != nil {
		return nil, Unavailable("backup", err)
	}
	var answer struct {
		Config json.RawMessage `json:"config"`
		State  json.RawMessage `json:"state"`
		Error  *struct {
			Description string `json:"description"`
		} `json:"error,omitempty"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return nil, err
	}
	if answer.Error != nil {
		return nil, errors.New(answer.Error.Description)
	}
	return json.Marshal(answer)
}

// snapshotEnd answers what the last message of a snapshot says.
func snapshotEnd(m *nats.Msg) error {
	if status := m.Header.Get("Status"); status != "" && status != "204" {
		return fmt.Errorf("it was cut off: %s %s", status, m.Header.Get("Description"))
	}
	return nil
}

// chunk writes one, in its time, and has JetStream send another. While writing takes
// long one more is asked for now and then, which is owed: nothing else keeps JetStream
// from ending a snapshot whose reader stands still.
func (s *snapshot) chunk(m *nats.Msg) error {
	done := make(chan error, 1)
	began := time.Now()
	go func() {
		_, err := s.to.Write(m.Data)
		done <- err
	}()
	tick := time.NewTicker(backupNod)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			if s.rate > 0 {
				waitFor(s.ctx, time.Duration(int64(len(m.Data))*int64(time.Second)/s.rate)-time.Since(began))
			}
			if s.owed > 0 {
				s.owed--
				return nil
			}
			return nod(m)
		case <-tick.C:
			if s.owed++; s.owed > backupOwed {
				return fmt.Errorf("%w: nobody reads on", context.DeadlineExceeded)
			}
			if err := nod(m); err != nil {
				return err
			}
		}
	}
}

// nod has JetStream send one more; the last is not answered.
func nod(m *nats.Msg) error {
	if m.Reply == "" {
		return nil
	}
	return m.Respond(nil)
}
