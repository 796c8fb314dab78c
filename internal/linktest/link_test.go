package linktest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/linktest"
)

// echo answers every line with itself.
func echo(t *testing.T) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	return lis.Addr().String()
}

// caller is one connection over a link.
type caller struct {
	t *testing.T
	net.Conn
	lines *bufio.Reader
}

func call(t *testing.T, l *linktest.Link) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &caller{t, conn, bufio.NewReader(conn)}
}

func (c *caller) says(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) hears(want string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if got, err := c.lines.ReadString('\n'); got != want+"\n" {
		c.t.Fatalf("heard %q, %v, want %q", got, err, want)
	}
}

func (c *caller) hearsNothing() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if got, err := c.lines.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("heard %q, %v", got, err)
	}
}

func TestSilenceKeepsConnectionsAndWhatWasSaid(t *testing.T) {
	for _, ways := range [][]linktest.Way{nil, {linktest.There}, {linktest.Back}} {
		l := linktest.New(t, echo(t))
		c := call(t, l)
		c.says("one")
		c.hears("one")
		l.Silence(ways...)
		c.says("two")
		c.hearsNothing()
		other := call(t, l) // a new one is silent as well
		other.says("three")
		other.hearsNothing()
		l.Mend()
		c.hears("two")
		other.hears("three")
	}
}

func TestCutEndsAndRefuses(t *testing.T) {
	l := linktest.New(t, echo(t))
	c := call(t, l)
	c.says("one")
	c.hears("one")
	l.Cut()
	for _, c := range []*caller{c, call(t, l)} {
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := c.lines.ReadString('\n'); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a link that is cut: %v", err)
		}
	}
	l.Mend()
	c = call(t, l)
	c.says("two")
	c.hears("two")
	if n := l.Reset(); n != 1 {
		t.Errorf("%d connections were reset", n)
	}
}

func TestLateIsInOrder(t *testing.T) {
	l := linktest.New(t, echo(t))
	c := call(t, l)
	l.Delay(20 * time.Millisecond)
	began := time.Now()
	c.says("one")
	c.hears("one")
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("there and back took %s", took)
	}
	l.Mend()
	l.Lose(0.3)
	for _, line := range []string{"two", "three", "four"} {
		c.says(line)
	}
	c.hears("two")
	c.hears("three")
	c.hears("four")
}

// Nobody else is given an address that is reserved, also while nobody listens there.
func TestAddrIsGivenOnce(t *testing.T) {
	given := make(map[string]bool)
	for range 200 {
		addr := linktest.Addr(t)
		if given[addr] {
			t.Fatalf("%s was given twice", addr)
		}
		given[addr] = true
		lis, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = lis.Close()
	}
}
