package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A lane is one connection. One goroutine writes a request and reads its answer.
type lane struct {
	whole    *Run
	addr     string
	requests Requests
	onSend   func([]byte)
	onAnswer func([]byte, int, time.Time)

	conn    net.Conn
	reader  *bufio.Reader
	release func() bool // unbinds the connection from the context
	answers Answers
	err     error
}

func (l *lane) connect(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return err
	}
	l.conn, l.reader = conn, bufio.NewReaderSize(conn, 2<<10)
	l.release = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return nil
}

func (l *lane) close() {
	l.release()
	_ = l.conn.Close()
}

func (l *lane) run(ctx context.Context, due pace) {
	defer l.close()
	for !l.whole.stopping.Load() && ctx.Err() == nil {
		request, id := l.requests.Next()
		if request == nil {
			return
		}
		if l.err = l.post(ctx, request, id, due.await()); l.err != nil {
			return
		}
	}
}

// post sends a request and counts its answer. A connection that the server has
// closed is opened again; the error is that this did not work.
func (l *lane) post(ctx context.Context, request, id []byte, due time.Time) error {
	if l.onSend != nil {
		l.onSend(id)
	}
	sent := time.Now()
	a, err := l.exchange(request)
	now := time.Now()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was cut short by us
	}
	l.count(a, now.Sub(due), now.Sub(sent))
	if l.onAnswer != nil {
		l.onAnswer(id, a.status, now)
	}
	if err == nil && !a.closes {
		return nil
	}
	l.close()
	if again := l.connect(ctx); again != nil && ctx.Err() == nil {
		return errors.Join(err, fmt.Errorf("load: connect: %w", again))
	}
	return nil
}

func (l *lane) exchange(request []byte) (answer, error) {
	if _, err := l.conn.Write(request); err != nil {
		return answer{}, err
	}
	return readAnswer(l.reader)
}

func (l *lane) count(a answer, latency, served time.Duration) {
	if a.status == http.StatusOK {
		l.whole.accepted.Add(1)
	}
	if !l.whole.recording.Load() {
		return
	}
	l.answers.Statuses[a.status]++
	switch a.status {
	case http.StatusOK:
		l.answers.Accepted.Record(latency)
		l.answers.Served.Record(served)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if !a.retryAfter {
			l.answers.WithoutRetryAfter++
		}
	}
}

// An answer is what is looked at of a response.
type answer struct {
	status             int
	retryAfter, closes bool
	length             int
}

// Errors of an answer that cannot be read.
var (
	errStatusLine = errors.New("load: no HTTP/1.1 status line")
	errLength     = errors.New("load: an answer without a length")
)

// readAnswer reads a response, which must have a Content-Length, and throws its
// body away. It understands no more than what is posted here needs.
func readAnswer(r *bufio.Reader) (a answer, err error) {
	line, err := readLine(r)
	if err != nil {
		return a, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return a, errStatusLine
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return a, errStatusLine
	}
	if err := a.readHeader(r); err != nil {
		return answer{}, err
	}
	if _, err := r.Discard(a.length); err != nil {
		return answer{}, fmt.Errorf("load: body: %w", err)
	}
	a.status = status
	return a, nil
}

func (a *answer) readHeader(r *bufio.Reader) error {
	a.length = -1
	for {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		if err := a.field(line); err != nil {
			return err
		}
	}
	if a.length < 0 {
		return errLength
	}
	return nil
}

func (a *answer) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
		if err != nil {
			return errLength
		}
		a.length = int(n)
	case bytes.EqualFold(name, []byte("Retry-After")):
		a.retryAfter = true
	case bytes.EqualFold(name, []byte("Connection")):
		a.closes = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
	}
	return nil
}

// readLine answers a line without its end, good until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("load: answer: %w", err)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
