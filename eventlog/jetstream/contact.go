package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/nats-io/nats.go"
)

// What is done about a cluster that is silent. Others take a gateway for gone
// when they have not heard of it for longer than quietTime: see subscription.
const (
	// beatEvery is how often each connection asks whether it reaches a quorum, and
	// answerTime how long the answer may take.
	beatEvery  = time.Second
	answerTime = 2 * time.Second
	// quietTime after the last answer, a connection counts as cut off.
	quietTime = 4 * time.Second
	// LeaveTime after the last answer, another node is tried.
	LeaveTime = 5 * time.Second
	// Pings find out about a node that is not reached at all, or hangs.
	pingEvery    = time.Second
	maxPingsOpen = 3
	dialTime     = 2 * time.Second
)

// link is one connection to a cluster, and what is known of the way behind it. A
// connection that stands says little: the packets may be lost, the node may hang,
// or be cut off from the others.
type link struct {
	nc      *nats.Conn
	purpose string

	// mu guards what follows; nothing is taken under it.
	mu      sync.Mutex
	contact time.Time // a quorum was reached then, or later
	gaps    uint64    // silences that are over
	left    time.Time // when another node was tried last
}

// dialer drops what was not sent when a connection is left: words that arrive
// when the time to say them is over do harm.
type dialer struct{}

func (dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTime}).DialContext(context.Background(), network, address)
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
		_ = tcp.SetLinger(0)
	}
	return conn, err
}

// mind looks after a connection to a cluster until the engine closes.
func (e *Engine) mind(l *link) {
	select {
	case <-e.opened:
	case <-e.ctx.Done():
		return
	}
	l.reached(time.Now())
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		if at, err := e.beat(l.nc); err == nil {
			l.reached(at)
		} else if e.ctx.Err() == nil && time.Since(l.lastContact()) > LeaveTime {
			e.leave(l, err)
		}
		select {
		case <-t.C:
		case <-e.ctx.Done():
			return
		}
	}
}

// reached notes that there was a quorum at a time.
func (l *link) reached(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !at.After(l.contact) {
		return
	}
	if !l.contact.IsZero() && at.Sub(l.contact) > quietTime {
		l.gaps++
	}
	l.contact = at
}

func (l *link) lastContact() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.contact
}

// leave has a connection try another node, not more often than that can help.
func (e *Engine) leave(l *link, why error) {
	l.mu.Lock()
	soon := time.Since(l.left) < LeaveTime
	if !soon {
		l.left = time.Now()
	}
	l.mu.Unlock()
	if soon || !l.nc.IsConnected() {
		return
	}
	e.logger.Warn("a node of NATS is silent or cut off, trying another", "purpose", l.purpose, "node", l.nc.ConnectedServerName(), "err", why)
	_ = l.nc.ForceReconnect() // it is closed, or reconnects already
}

var errNoQuorum = errors.New("the node that answers has no quorum")

// beat answers a time at which a quorum of the log's replicas was reached over the
// connection.
func (e *Engine) beat(nc *nats.Conn) (time.Time, error) {
	sent := time.Now()
	at, answer, err := e.quorum(nc, StreamEvents)
	if err == nil {
		e.leader.hear(sent, answer)
	}
	return at, err
}

// quorum answers a time at which a quorum of a stream's replicas was reached over the
// connection, and what its leader said.
func (e *Engine) quorum(nc *nats.Conn, stream string) (at time.Time, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(e.ctx, answerTime)
	defer cancel()
	sent := time.Now()
	m, err := nc.RequestWithContext(ctx, e.API("STREAM.INFO."+stream), nil)
	if err != nil {
		return time.Time{}, nil, err
	}
	at, err = quorumAt(sent, m.Data)
	return at, m.Data, err
}

// leaderClock is the clock of whoever leads the log, as its answers tell it.
type leaderClock struct {
	mu    sync.Mutex
	time  time.Time // zero: it was not heard yet
	heard time.Time // then, by our own measure
}

// hear takes the answer to a question that was sent at a time and answered now.
func (c *leaderClock) hear(sent time.Time, answer []byte) {
	var info struct {
		Time time.Time `json:"ts"`
	}
	if json.Unmarshal(answer, &info) != nil || info.Time.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time, c.heard = info.Time, sent.Add(time.Since(sent)/2)
}

// Time answers what time it is by the clock of whoever leads the log, as it was heard
// last; zero when it was not heard yet. Our own clock has no part in it.
func (e *Engine) Time() time.Time {
	if e.node != nil {
		return time.Now()
	}
	return e.leader.now()
}

func (c *leaderClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.time.IsZero() {
		return time.Time{}
	}
	return c.time.Add(time.Since(c.heard))
}

// quorumAt reads from the answer of a stream's leader when it last heard from a
// quorum: one that is cut off goes on answering for some seconds.
func quorumAt(sent time.Time, answer []byte) (time.Time, error) {
	var info struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
		Cluster *struct {
			Replicas []struct {
				Active  time.Duration `json:"active"`
				Offline bool          `json:"offline"`
			} `json:"replicas"`
		} `json:"cluster"`
	}
	if err := json.Unmarshal(answer, &info); err != nil {
		return time.Time{}, err
	}
	if info.Error != nil {
		return time.Time{}, errors.New(info.Error.Description)
	}
	if info.Cluster == nil || len(info.Cluster.Replicas) == 0 {
		return sent, nil
	}
	var ages []time.Duration
	for _, r := range info.Cluster.Replicas {
		// A follower of which nothing was heard yet has no age.
		if !r.Offline && r.Active > 0 {
			ages = append(ages, r.Active)
		}
	}
	at, ok := ReachedAt(sent, len(info.Cluster.Replicas), ages)
	if !ok {
		return time.Time{}, errNoQuorum
	}
	return at, nil
}

// ReachedAt answers a time at which a leader reached a quorum, when it said in answer to a
// question that was sent at a time how long ago it heard from those of its followers that
// it reaches.
func ReachedAt(sent time.Time, followers int, ages []time.Duration) (at time.Time, ok bool) {
	if followers == 0 {
		return sent, true
	}
	need := (followers + 1) / 2 // besides the leader
	if len(ages) < need {
		return time.Time{}, false
	}
	slices.Sort(ages)
	return sent.Add(-ages[need-1]), true
}

// Connection answers how often the queues and the bus were cut off from the
// cluster, and whether they are now: because their connection was lost, or because
// nothing that has a quorum answers. While they were, others may have settled what
// this gateway was handed.
func (e *Engine) Connection() (losses uint64, up bool) {
	nc, err := e.Deliveries()
	if err != nil {
		return 0, false
	}
	l := e.rooms.link
	if l == nil { // embedded
		return nc.Stats().Reconnects, nc.IsConnected()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return nc.Stats().Reconnects + l.gaps, nc.IsConnected() && time.Since(l.contact) <= quietTime
}

// Reached answers a time at which the queues and the bus reached a quorum of the
// cluster: what JetStream answered before it was not the word of a node that is
// cut off.
func (e *Engine) Reached() time.Time {
	e.rooms.mu.Lock()
	l := e.rooms.link
	e.rooms.mu.Unlock()
	if l == nil { // embedded
		return time.Now()
	}
	return l.lastContact()
}

// publishing begins the purpose of a connection that appends go over.
const publishing = "publish "

// clusterHealth answers whether a cluster takes appends. What became of them says so,
// see takes; and whether their connections reach a quorum. Without one of its streams, or
// with a permission less than it needs, a gateway cannot do all that it should.
func (e *Engine) clusterHealth() error {
	if err := e.streams.gone(); err != nil {
		return err
	}
	if err := e.withdrawn(); err != nil {
		return err
	}
	recent := false
	for _, t := range e.acceptances() {
		if err := t.refusal(); err != nil {
			return err
		}
		recent = recent || t.keptLately()
	}
	if recent {
		return nil
	}
	for _, l := range e.allLinks() {
		if strings.HasPrefix(l.purpose, publishing) && time.Since(l.lastContact()) > quietTime {
			return fmt.Errorf("%w: the cluster does not answer (%s)", eventlog.ErrUnavailable, l.purpose)
		}
	}
	return nil
}

func (e *Engine) allLinks() []*link {
	e.connMu.Lock()
	defer e.connMu.Unlock()
	return slices.Clone(e.links)
}
