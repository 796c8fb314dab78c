package ingress

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Bodies are read into buffers that are used again. A buffer grows as bytes
// come, never because of what a header says.
const (
	firstBuffer = 16 << 10
	// keptBuffer is the largest buffer that is kept for the next request. What a
	// buffer is larger than firstBuffer is charged to the budget; the rest is bounded
	// by the number of connections.
	keptBuffer = 64 << 10
)

// minBodyRate is how many bytes of a body must come in a second, on the whole, once
// half of the time for a request is over: who sends less means to be slow.
const minBodyRate = 1 << 10

// A buffer holds one body.
type buffer struct {
	b       []byte
	charged int64
	budget  *budget
}

// A budget bounds the bytes in large buffers.
type budget struct {
	limit int64
	used  atomic.Int64
}

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, firstBuffer)} }}

func (m *budget) buffer() *buffer {
	buf := buffers.Get().(*buffer)
	buf.budget = m
	if large := int64(cap(buf.b) - firstBuffer); large > 0 {
		buf.charged = large
		m.used.Add(large)
	}
	return buf
}

// free gives the buffer back; its bytes are somebody else's from then on.
func (b *buffer) free() {
	if b.charged != 0 {
		b.budget.used.Add(-b.charged)
	}
	b.charged, b.budget = 0, nil
	if cap(b.b) > keptBuffer {
		return
	}
	b.b = b.b[:0]
	buffers.Put(b)
}

// grow makes room for more, at most up to limit bytes; false when the budget
// does not allow it.
func (b *buffer) grow(limit int) bool {
	size := min(2*cap(b.b), max(limit, cap(b.b)+1))
	if size > firstBuffer {
		cost := int64(size-firstBuffer) - b.charged
		if b.budget.used.Add(cost) > b.budget.limit {
			b.budget.used.Add(-cost)
			return false
		}
		b.charged += cost
	}
	grown := make([]byte, len(b.b), size)
	copy(grown, b.b)
	b.b = grown
	return true
}

// freeBody gives up the body, if that was not done before.
func (x *exchange) freeBody() {
	if x.buf != nil {
		x.buf.free()
		x.buf = nil
	}
}

// contentLength is what the headers say of the body's length, negative when
// they do not.
func (x *exchange) contentLength() int { return x.ctx.Request.Header.ContentLength() }

// readBody reads the body whole into x.buf, or says why not. The server bounds
// the time that it takes.
func (x *exchange) readBody() Result {
	x.buf = x.g.memory.buffer()
	refused := resultNone
	if body := x.ctx.RequestBodyStream(); body != nil {
		refused = x.buf.fill(body, x.g.o.MaxBodyBytes, x.pace())
	}
	// A body that ends early ends like any other.
	if n := x.contentLength(); refused == resultNone && n >= 0 && len(x.buf.b) != n {
		refused = BrokenBody
	}
	x.bodyRead = refused == resultNone
	return refused
}

const (
	// skipTime and skipBytes are how long, and how much of, a body is waited for
	// that nobody will look at.
	skipTime  = 5 * time.Millisecond
	skipBytes = 16 << 10
)

// skipBody reads past a body that is there, as most are with their headers: the
// connection can then be used again. In an overload, new connections would cost
// more than the requests.
func (x *exchange) skipBody() {
	n, body := x.contentLength(), x.ctx.RequestBodyStream()
	if body == nil || n < 0 || n > skipBytes || x.ctx.SetReadDeadline(time.Now().Add(skipTime)) != nil {
		return
	}
	read, _ := io.Copy(io.Discard, body)
	x.bodyRead = read == int64(n)
}

// pace answers what keeps the sender of a body from dripping it: called with how
// much is there, it moves the deadline to when the next byte is due.
func (x *exchange) pace() func(n int) {
	c, ok := x.ctx.Conn().(*conn)
	if !ok {
		return nil
	}
	whole := c.reading.due // for the whole request
	grace := x.g.o.ReadTimeout / 2
	return func(n int) {
		due := x.start.Add(grace + time.Duration(n)*time.Second/minBodyRate)
		if !whole.IsZero() && whole.Before(due) {
			due = whole
		}
		_ = c.SetReadDeadline(due) // or reading fails
	}
}

// fill reads r to its end. slow is called, if there is such, whenever there is more
// to wait for.
func (b *buffer) fill(r io.Reader, limit int, slow func(n int)) Result {
	for {
		if len(b.b) == cap(b.b) && !b.grow(limit+1) {
			return Overloaded
		}
		n, err := r.Read(b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		switch {
		case len(b.b) > limit:
			return TooLarge
		case err == io.EOF:
			return resultNone
		case errors.Is(err, os.ErrDeadlineExceeded):
			return TooSlow
		case err != nil:
			return BrokenBody
		}
		if slow != nil {
			slow(len(b.b))
		}
	}
}
