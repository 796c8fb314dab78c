package ingress

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/conns"
)

// A conn is a connection of a Server.
type conn struct {
	net.Conn
	s *Server
	// unread says that its sender may be sending still, what nobody will read.
	unread atomic.Bool
	// admitted is the endpoint that a request was admitted to by its headers alone,
	// whose body comes next. For the one goroutine that serves the connection.
	admitted *endpoint
	// refused is what keeper is told of once the answer is written. For that goroutine.
	refused *Refused
	keeper  Refusals

	reading, writing limit
}

func (s *Server) open(nc net.Conn) *conn {
	c := &conn{Conn: nc, s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	return c
}

func (c *conn) Close() error {
	c.s.mu.Lock()
	delete(c.s.conns, c)
	c.s.mu.Unlock()
	if c.unread.Load() {
		c.linger()
	}
	return c.Conn.Close()
}

const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// linger lets the sender read its answer: closing a connection with bytes unread
// resets it, and what a sender has not read by then is gone.
func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c, lingerBytes)
}

// work and rest tell the table whether the connection can be missed.
func (c *conn) work() {
	if guest, ok := c.Conn.(*conns.Conn); ok {
		guest.Work()
	}
}

func (c *conn) rest(now time.Time, useful bool) {
	if guest, ok := c.Conn.(*conns.Conn); ok {
		guest.Rest(now, useful)
	}
}

// A limit is a deadline that is set at the connection only when it comes sooner
// than the one that is set there, and otherwise when that has passed: a request
// moves deadlines three times, mostly further away, and every move is a timer's.
type limit struct {
	set time.Time // at the connection; zero: none
	due time.Time // as asked for; zero: none
}

// move takes a new deadline and reports whether it must be set.
func (l *limit) move(to time.Time) bool {
	l.due = to
	return l.set.IsZero() != to.IsZero() || to.Before(l.set)
}

// early reports whether an error is that of a deadline which has been moved since
// it was set.
func (l *limit) early(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && (l.due.IsZero() || time.Now().Before(l.due))
}

// SetReadDeadline must not be called while somebody else reads.
func (c *conn) SetReadDeadline(t time.Time) error {
	if !c.reading.move(t) {
		return nil
	}
	c.reading.set = t
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline must not be called while somebody else writes.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if !c.writing.move(t) {
		return nil
	}
	c.writing.set = t
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || err == nil || !c.reading.early(err) {
			return n, err
		}
		c.reading.set = c.reading.due
		if err := c.Conn.SetReadDeadline(c.reading.due); err != nil {
			return 0, err
		}
	}
}

func (c *conn) Write(p []byte) (int, error) {
	defer c.told()
	written := 0
	for {
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil || !c.writing.early(err) {
			return written, err
		}
		c.writing.set = c.writing.due
		if err := c.Conn.SetWriteDeadline(c.writing.due); err != nil {
			return written, err
		}
	}
}
