package ingress

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// connected answers both ends of a connection, ours and the sender's.
func connected(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	sender, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := (&Server{conns: make(map[*conn]struct{})}).open(nc)
	t.Cleanup(func() { _ = c.Close(); _ = sender.Close() })
	return c, sender
}

// A deadline that is moved further away counts where it was moved to, though the
// connection still has the one before.
func TestReadDeadlineIsMoved(t *testing.T) {
	for name, to := range map[string]func() time.Time{
		"away": func() time.Time { return time.Now().Add(time.Minute) },
		"off":  func() time.Time { return time.Time{} },
	} {
		c, sender := connected(t)
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_ = c.SetReadDeadline(to())
		time.AfterFunc(50*time.Millisecond, func() { _, _ = io.WriteString(sender, "x") })
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, _ := connected(t)
	_ = c.SetReadDeadline(time.Now().Add(time.Hour))
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nearer: %v", err)
	}
	// It is over, and moving it away begins a new one.
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(c.reading.due) {
		t.Errorf("the next: %v", err)
	}
}

func TestWriteDeadlineIsMoved(t *testing.T) {
	c, sender := connected(t)
	const size = 16 << 20 // more than the system takes before somebody reads
	_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
	read := make(chan int64)
	time.AfterFunc(50*time.Millisecond, func() {
		n, _ := io.Copy(io.Discard, sender)
		read <- n
	})
	n, err := c.Write(make([]byte, size))
	_ = c.Close()
	if got := <-read; n != size || err != nil || got != size {
		t.Errorf("%d bytes written, %d read, %v", n, got, err)
	}
	c, _ = connected(t)
	_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.Write(make([]byte, size)); n == size || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("to nobody: %d bytes written, %v", n, err)
	}
}

// Once half of the time for a request has passed, each KiB of its body buys the next
// second, and nothing more than the whole time.
func TestBodiesComeAtARate(t *testing.T) {
	const timeout = time.Hour
	c, _ := connected(t)
	ctx, start := new(fasthttp.RequestCtx), time.Now()
	ctx.Init2(c, nil, false)
	_ = c.SetReadDeadline(start.Add(timeout))
	x := &exchange{g: &Gateway{o: Options{ReadTimeout: timeout}}, ctx: ctx, start: start}
	slow := x.pace()
	for _, step := range []struct {
		have int
		due  time.Duration
	}{
		{0, timeout / 2},
		{1 << 10, timeout/2 + time.Second},
		{600 << 10, timeout/2 + 600*time.Second},
		{1 << 20, timeout/2 + 1024*time.Second},
		{10 << 20, timeout},
	} {
		slow(step.have)
		if got := c.reading.due.Sub(start); got != step.due {
			t.Errorf("with %d bytes more are due within %v, want %v", step.have, got, step.due)
		}
	}
}
