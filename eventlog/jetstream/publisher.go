package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/nats-io/nats.go"
)

// ackedPublisher sends groups of messages to one stream and collects the
// acknowledgement of each on one inbox.
type ackedPublisher struct {
	nc    *nats.Conn
	inbox string
	acks  chan *nats.Msg
	next  uint64 // number of the next message, which is its reply's last token
	sub   *nats.Subscription
	// heard is told what a group shows of the stream: nil when something of it was
	// kept, and else why nothing was, and the size of such an entry. nil: nobody is.
	heard func(err error, size int)
}

// Group bounds. A group is what one sync covers.
const (
	maxGroup      = 512
	maxGroupBytes = 1 << 20
)

// AckTimeout is how long JetStream may take. A stream that stalls for longer is
// not available.
const AckTimeout = 3 * time.Second

func newAckedPublisher(nc *nats.Conn) (*ackedPublisher, error) {
	p := &ackedPublisher{nc: nc, inbox: nc.NewInbox() + "."}
	// Larger than any group: nats.go drops what a full channel does not take.
	p.acks = make(chan *nats.Msg, 4*maxGroup)
	sub, err := nc.ChanSubscribe(p.inbox+"*", p.acks)
	if err != nil {
		return nil, err
	}
	p.sub = sub
	return p, nil
}

// publish sends the group and fills in what became of each entry.
func (p *ackedPublisher) publish(group []*pending) {
	base := p.next
	p.next += uint64(len(group))
	waiting := 0
	for i, r := range group {
		if r.msg == nil {
			continue
		}
		r.msg.Reply = p.inbox + strconv.FormatUint(base+uint64(i), 10)
		if err := p.nc.PublishMsg(r.msg); err != nil {
			r.err = publishError(err)
			continue
		}
		r.err = ErrNoAck
		waiting++
	}
	p.collect(group, base, waiting)
	if p.heard != nil && waiting > 0 {
		p.tell(group)
	}
}

// tell tells what the group shows of the way to the stream. That one entry is refused
// for what it is itself shows nothing.
func (p *ackedPublisher) tell(group []*pending) {
	var why error
	size := 0
	for _, r := range group {
		switch {
		case r.msg == nil:
		case r.err == nil:
			p.heard(nil, 0)
			return
		case ofTheEntry(r.err):
			return
		default:
			why, size = r.err, r.size()
		}
	}
	p.heard(why, size)
}

// ofTheEntry reports whether a refusal is due to the entry, and another may be kept.
func ofTheEntry(err error) bool {
	return errors.Is(err, errNotFirst) || errors.Is(err, errDuplicateInProcess) || errors.Is(err, eventlog.ErrTooLarge)
}

// silent reports whether an error is no answer at all.
func silent(err error) bool { return errors.Is(err, ErrNoAck) || errors.Is(err, errNoStream) }

var errNoStream = fmt.Errorf("%w: the stream does not answer", eventlog.ErrUnavailable)

var ErrNoAck = fmt.Errorf("%w: no acknowledgement in %s", eventlog.ErrUnavailable, AckTimeout)

func (p *ackedPublisher) collect(group []*pending, base uint64, waiting int) {
	timeout := time.NewTimer(AckTimeout)
	defer timeout.Stop()
	for waiting > 0 {
		select {
		case m, ok := <-p.acks:
			if !ok {
				return
			}
			n, err := strconv.ParseUint(m.Subject[len(p.inbox):], 10, 64)
			if err != nil || n < base || n-base >= uint64(len(group)) {
				continue // an answer to an earlier group, which gave up on it
			}
			r := group[n-base]
			r.got, r.err = parseAck(m)
			waiting--
		case <-timeout.C:
			return
		}
	}
}

func publishError(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", eventlog.ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
}

// pubAck is JetStream's answer to a publish.
type pubAck struct {
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
	Error     *struct {
		Code        int    `json:"code"`
		ErrCode     int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

// JetStream error codes that mean there is no room, as codeStoreFailed may.
const (
	codeInsufficientResources = 10023
	codeStorageExceeded       = 10047
	codeMemoryExceeded        = 10028
	codeAccountExceeded       = 10002
)

// codeMessageExceeds: the entry is larger than the stream takes.
const codeMessageExceeds = 10054

// codeDuplicateInProcess: an equal message is on its way to the quorum.
const codeDuplicateInProcess = 10158

var errDuplicateInProcess = fmt.Errorf("%w: an equal entry is being stored", eventlog.ErrUnavailable)

// Codes of a message that was to be the first on its subject, and is not, or may
// not be: another is on its way to the quorum.
const (
	codeWrongLastSequence = 10071
	codeLastSequenceMoves = 10164
)

var errNotFirst = fmt.Errorf("%w: not the first on its subject", eventlog.ErrUnavailable)

func parseAck(m *nats.Msg) (eventlog.Appended, error) {
	if seq, ok := plainAck(m.Data); ok {
		return eventlog.Appended{Seq: seq}, nil
	}
	if len(m.Data) == 0 { // 503: nobody listens on the stream's subjects
		return eventlog.Appended{}, fmt.Errorf("%w (%s)", errNoStream, m.Header.Get("Status"))
	}
	var ack pubAck
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return eventlog.Appended{}, fmt.Errorf("%w: acknowledgement is not valid: %w", eventlog.ErrUnavailable, err)
	}
	if ack.Error == nil {
		return eventlog.Appended{Seq: ack.Seq, Duplicate: ack.Duplicate}, nil
	}
	cause := fmt.Errorf("%s (%d)", ack.Error.Description, ack.Error.ErrCode)
	switch ack.Error.ErrCode {
	case codeInsufficientResources, codeStoreFailed:
		return eventlog.Appended{}, fmt.Errorf("%w: %w: %w", eventlog.ErrFull, errStoreFailed, cause)
	case codeMessageExceeds:
		return eventlog.Appended{}, fmt.Errorf("%w: %w", eventlog.ErrTooLarge, cause)
	case codeStorageExceeded, codeMemoryExceeded, codeAccountExceeded:
		return eventlog.Appended{}, fmt.Errorf("%w: %w", eventlog.ErrFull, cause)
	case codeDuplicateInProcess:
		return eventlog.Appended{}, errDuplicateInProcess
	case codeWrongLastSequence, codeLastSequenceMoves:
		return eventlog.Appended{}, errNotFirst
	}
	return eventlog.Appended{}, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, cause)
}

// plainAck reads the usual `{"stream":"X","seq":12}` without the cost of JSON.
func plainAck(data []byte) (uint64, bool) {
	s := string(data)
	i := strings.Index(s, `"seq":`)
	if i < 0 || !strings.HasSuffix(s, "}") || strings.Contains(s, `"error"`) {
		return 0, false
	}
	seq, err := strconv.ParseUint(strings.TrimSpace(s[i+len(`"seq":`):len(s)-1]), 10, 64)
	return seq, err == nil
}
