package jetstream

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/index"
)

// burst sends groups of entries to a stream that nobody else writes to, and has
// only the last of each group acknowledged: entries are stored in the order they
// are sent in, so that its sequence tells those of all. Where it does not, the
// log is read, for an entry carries its key. Used by one goroutine.
type burst struct {
	nc    *nats.Conn
	inbox string
	acks  chan *nats.Msg
	next  uint64 // number of the last acknowledgement asked for, its subject's last token
	limit time.Duration

	read   func(from uint64) ([]event.Record, error) // stored entries, none past the end
	group  uint64                                    // number of the group
	last   uint64                                    // sequence of the last entry that is accounted for
	unsure bool                                      // more may be stored than that
	clock  int64                                     // time of the last entry
}

// burstTimeout is how long the engine in this process may take, whose disk may
// stall.
const burstTimeout = 5 * time.Second

func newBurst(nc *nats.Conn, last uint64, clock time.Time, read func(uint64) ([]event.Record, error)) (*burst, error) {
	b := &burst{nc: nc, inbox: nc.NewInbox() + ".", acks: make(chan *nats.Msg, 64), limit: burstTimeout, read: read, last: last}
	if !clock.IsZero() {
		b.clock = clock.UnixNano()
	}
	if _, err := nc.ChanSubscribe(b.inbox+"*", b.acks); err != nil {
		return nil, err
	}
	return b, nc.Flush()
}

// publish sends the group and fills in what became of each entry.
func (b *burst) publish(group []*pending) {
	b.group++
	sent, err := b.send(group)
	if err == nil && len(sent) == 0 && b.unsure {
		err = b.probe()
	}
	var last uint64
	if err == nil && len(sent) > 0 {
		last, err = b.await()
	}
	switch {
	case errors.Is(err, ErrNoAck):
		b.unsure = true
		refuse(sent, err)
	case err == nil && !b.unsure && last == b.last+uint64(len(sent)):
		for i, r := range sent {
			r.got.Seq = b.last + uint64(i) + 1
		}
		b.last = last
	case b.unsure || len(sent) > 0:
		b.unsure = false
		b.account(sent, err)
	}
	b.answerNudges(group)
}

// answerNudges tells those who only want a sync what it covers, and whether it
// ends all doubts.
func (b *burst) answerNudges(group []*pending) {
	for _, r := range group {
		if r.msg != nil {
			continue
		}
		r.got.Seq = max(r.got.Seq, b.last)
		if !b.unsure {
			r.group = b.group
		}
	}
}

// probe sends what cannot be stored. Its refusal tells that all that was sent
// before it has been stored, or never will be.
func (b *burst) probe() error {
	m := nats.NewMsg(SubjectEvents + ".probe")
	m.Header.Set(headerLastSequence, strconv.FormatUint(math.MaxInt64, 10))
	b.next++
	m.Reply = b.inbox + strconv.FormatUint(b.next, 10)
	if err := b.nc.PublishMsg(m); err != nil {
		return ErrNoAck
	}
	if _, err := b.await(); errors.Is(err, ErrNoAck) {
		return err
	}
	return nil
}

func refuse(group []*pending, err error) {
	for _, r := range group {
		r.err = err
	}
}

// send sends the entries and answers those that may arrive.
func (b *burst) send(group []*pending) (sent []*pending, err error) {
	sent = make([]*pending, 0, len(group))
	for _, r := range group {
		switch {
		case r.msg == nil:
		case len(r.msg.Data) > int(b.nc.MaxPayload()): // itself, not what is behind it
			r.err = publishError(nats.ErrMaxPayload)
		default:
			sent = append(sent, r)
		}
	}
	for i, r := range sent {
		r.group, r.nanos = b.group, b.tick(r.imported)
		stamp(r.msg.Data, r.nanos)
		if i == len(sent)-1 {
			b.next++
			r.msg.Reply = b.inbox + strconv.FormatUint(b.next, 10)
		}
		if err := b.nc.PublishMsg(r.msg); err != nil {
			// What was sent before it may arrive, and nobody acknowledges it.
			b.unsure = true
			refuse(sent[i:], publishError(err))
			return sent[:i], ErrNoAck
		}
	}
	return sent, nil
}

// tick answers the time for the next entry: later than the one before, whatever
// the clock does, or for one of another log the time there.
func (b *burst) tick(imported int64) int64 {
	if imported != 0 {
		b.clock = max(b.clock, imported)
		return imported
	}
	b.clock = max(time.Now().UnixNano(), b.clock+1)
	return b.clock
}

// await answers the sequence of the last entry of the group.
func (b *burst) await() (uint64, error) {
	timeout := time.NewTimer(b.limit)
	defer timeout.Stop()
	for {
		select {
		case m, ok := <-b.acks:
			if !ok {
				return 0, ErrNoAck
			}
			if n, err := strconv.ParseUint(m.Subject[len(b.inbox):], 10, 64); err != nil || n != b.next {
				continue // of an earlier group, which gave up on it
			}
			got, err := parseAck(m)
			return got.Seq, err
		case <-timeout.C:
			return 0, ErrNoAck
		}
	}
}

// account finds out from the log what became of the entries. The error is that
// of the last one, nil when it was stored.
func (b *burst) account(sent []*pending, err error) {
	stored := make(map[index.Hash]uint64)
	for {
		recs, failed := b.read(b.last + 1)
		if failed != nil {
			b.unsure = true
			refuse(sent, ErrNoAck)
			return
		}
		if len(recs) == 0 {
			break
		}
		for _, r := range recs {
			if _, e, err := unkeep(r); err == nil {
				stored[e.Key] = e.Seq
			}
			b.last = r.Seq
		}
	}
	if err == nil {
		err = eventlog.ErrUnavailable
	}
	for _, r := range sent {
		if r.got.Seq = stored[r.key]; r.got.Seq == 0 {
			r.err = err
		}
	}
}
