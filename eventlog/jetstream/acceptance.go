package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
)

// What is done about a cluster that answers, and takes no entries: its store is full,
// a stream has its bound and discards what is new, is sealed or gone, or the gateway
// may not write to it. Reads go on meanwhile, and say nothing of it.

// lastingTime is how long entries must be refused before the log counts as not well:
// a stream that changes its leader refuses for a moment. What is not answered at all
// has taken as long already.
const lastingTime = 2 * time.Second

// acceptance is what is known of whether a stream of a cluster takes entries: what became
// of those that were sent, and when these were refused, of probes.
type acceptance struct {
	stream, probed string // and the subject of probes
	link           *link

	// mu guards what follows; nothing is taken under it.
	mu    sync.Mutex
	kept  time.Time // an entry was kept then
	entry time.Time // an entry was refused then
	since time.Time // nothing was kept since; zero: nothing is refused
	last  time.Time // something was refused then, an entry or a probe
	why   error
	size  int // of an entry that was refused
}

// heard answers who is told how groups on a connection to a cluster went.
func (e *Engine) heard(l *link, stream string) func(err error, size int) {
	probed := map[string]string{StreamEvents: SubjectEvents + ".probe", StreamInbox: SubjectRows + ".probe"}[stream]
	t := &acceptance{stream: stream, probed: probed, link: l}
	if probed != "" { // the way in needs it
		e.connMu.Lock()
		e.takes = append(e.takes, t)
		e.connMu.Unlock()
	}
	return func(err error, size int) {
		if err != nil && silent(err) {
			e.leave(l, err)
		}
		t.entryWas(err, size)
	}
}

func (e *Engine) acceptances() []*acceptance {
	e.connMu.Lock()
	defer e.connMu.Unlock()
	return slices.Clone(e.takes)
}

// entryWas notes what became of entries that were sent just now.
func (t *acceptance) entryWas(err error, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if err == nil {
		t.kept, t.since, t.why = now, time.Time{}, nil
		return
	}
	t.entry, t.size = now, size
	t.refused(err, now)
}

// probeWas notes what became of a probe. One that passes ends what was refused when no
// entry was for a while: entries know more than probes do.
func (t *acceptance) probeWas(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case t.since.IsZero(): // an entry was kept meanwhile
	case err != nil:
		t.refused(err, now)
	case now.Sub(t.entry) > quietTime:
		t.since, t.why = time.Time{}, nil
	}
}

// refused notes that something was. mu is held.
func (t *acceptance) refused(err error, now time.Time) {
	if t.since.IsZero() {
		t.since = now
	}
	if silent(err) {
		t.since = now.Add(-lastingTime) // it has been waited for
	}
	t.last = now
	if t.why == nil || silent(t.why) || !silent(err) { // a word is kept over silence
		t.why = err
	}
}

// refusal answers why the stream takes no entries; nil when it does, and when it is
// not known for long enough.
func (t *acceptance) refusal() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() || t.last.Sub(t.since) < lastingTime {
		return nil
	}
	return fmt.Errorf("stream %s takes nothing: %w", t.stream, t.why)
}

func (t *acceptance) keptLately() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.kept) < quietTime
}

// inDoubt answers of what size a probe must be, when one is due, and whether it must
// find room.
func (t *acceptance) inDoubt() (size int, full, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size, errors.Is(t.why, eventlog.ErrFull), !t.since.IsZero()
}

// probeAcceptance finds out by itself when a stream that refused entries takes them again:
// nobody may be sent here meanwhile.
func (e *Engine) probeAcceptance() {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-e.ctx.Done():
			return
		}
		for _, t := range e.acceptances() {
			if size, full, due := t.inDoubt(); due && t.link.nc.IsConnected() {
				t.probeWas(e.probe(t, size, full))
			}
		}
	}
}

// probe answers why a stream would refuse an entry now. Nothing is added to the log.
func (e *Engine) probe(t *acceptance, size int, full bool) error {
	ctx, cancel := context.WithTimeout(e.ctx, answerTime)
	defer cancel()
	info, err := e.streamInfo(ctx, t.link.nc, t.stream)
	if err != nil {
		return err
	}
	if err := boundMet(info, size); err != nil {
		return err
	}
	m := nats.NewMsg(t.probed)
	m.Header.Set(headerLastSequence, strconv.FormatUint(math.MaxInt64, 10)) // stored by nobody
	m.Data = make([]byte, max(0, min(size, int(t.link.nc.MaxPayload())-entryOverhead/2)))
	if err := ask(ctx, t.link.nc, m); err != nil && !errors.Is(err, errNotFirst) {
		return err
	}
	if !full || info.Config.Replicas > 1 {
		return nil
	}
	// A stream of one replica looks for room last, when an entry is to be stored: what
	// is kept in the inbox without a meaning finds out.
	return ask(ctx, t.link.nc, nats.NewMsg(SubjectAsked+".probe"))
}

// headerLastSequence has a message stored only behind a sequence.
const headerLastSequence = "Nats-Expected-Last-Sequence"

// ask publishes a message and answers what the stream says to it.
func ask(ctx context.Context, nc *nats.Conn, m *nats.Msg) error {
	answer, err := nc.RequestMsgWithContext(ctx, m)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return errNoStream
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNoAck, err)
	}
	_, err = parseAck(answer)
	return err
}

func (e *Engine) streamInfo(ctx context.Context, nc *nats.Conn, stream string) (jetstream.StreamInfo, error) {
	var answer struct {
		jetstream.StreamInfo
		Error *jetstream.APIError `json:"error"`
	}
	m, err := nc.RequestWithContext(ctx, e.API("STREAM.INFO."+stream), nil)
	if err == nil {
		err = json.Unmarshal(m.Data, &answer)
	}
	if err == nil && answer.Error != nil {
		err = answer.Error
	}
	return answer.StreamInfo, Unavailable("its state", err)
}

// boundMet answers why a stream that discards what is new, or is sealed, takes nothing.
func boundMet(info jetstream.StreamInfo, size int) error {
	c, s := info.Config, info.State
	switch {
	case c.Sealed:
		return fmt.Errorf("%w: it is sealed", eventlog.ErrUnavailable)
	case c.Discard != jetstream.DiscardNew:
	case c.MaxMsgs > 0 && s.Msgs >= uint64(c.MaxMsgs):
		return fmt.Errorf("%w: it has all the %d messages that it may have", eventlog.ErrFull, c.MaxMsgs)
	case c.MaxBytes > 0 && s.Bytes+uint64(size) >= uint64(c.MaxBytes):
		return fmt.Errorf("%w: it has %d of the %d bytes that it may have", eventlog.ErrFull, s.Bytes, c.MaxBytes)
	}
	return nil
}
