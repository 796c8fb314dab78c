// Package conns bounds the connections of listeners, so that strangers who hold
// them cannot take the descriptors that the log needs, nor the place of somebody
// who has something to say.
//
// A listener that is full gives up connections that wait for something to come in
// place of new ones, those first that have never been of use, and of equals those
// that have waited longest. It refuses a new one only when all others are at work.
package conns

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options bound the connections of a Table.
type Options struct {
	// Max is how many there are at once; 0: no bound.
	Max int
	// MaxPerAddress is how many one address may have, an IPv6 network of 64 bits
	// being one; 0: no bound.
	MaxPerAddress int
	// Shared are the addresses behind which there are many, balancers and proxies:
	// MaxPerAddress is not for them.
	Shared []netip.Prefix
	// Quiet says that connections tell by their bytes whether they are of use: one on
	// which something came or went within that time is not given up. Where it is 0,
	// Work and Rest tell.
	Quiet time.Duration
	// Given is called with each connection that is given up, and each that is
	// refused; may be nil. It must be quick.
	Given func(refused bool)
}

// A Table knows the connections of one or several listeners. Its methods may be
// called from many goroutines at once.
type Table struct {
	o Options

	// mu guards what follows. It is taken last.
	mu     sync.Mutex
	all    map[*Conn]struct{}
	groups map[netip.Prefix]map[*Conn]struct{}
}

// NewTable makes a Table.
func NewTable(o Options) *Table {
	return &Table{o: o, all: make(map[*Conn]struct{}), groups: make(map[netip.Prefix]map[*Conn]struct{})}
}

// Len answers how many connections are open.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// Listen answers ln within the bounds. What it accepts is a *Conn.
func (t *Table) Listen(ln net.Listener) net.Listener { return &listener{ln, t} }

type listener struct {
	net.Listener
	t *Table
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.t.admit(nc, time.Now()); c != nil {
			return c, nil
		}
		_ = nc.Close()
	}
}

// A Conn is a connection of a Table. It waits until Work is called.
type Conn struct {
	net.Conn
	t     *Table
	group netip.Prefix

	state atomic.Int32
	since atomic.Int64 // when it began to wait, or was last heard, Unix nanoseconds
	used  atomic.Bool  // was of use
}

const (
	waiting int32 = iota
	working
	given // up
)

// Work says that something came which is worth an answer: the connection is not
// given up until Rest.
func (c *Conn) Work() { c.state.CompareAndSwap(waiting, working) }

// Rest says that the connection waits, from now on, and whether it was of use.
func (c *Conn) Rest(now time.Time, useful bool) {
	if useful && !c.used.Load() {
		c.used.Store(true)
	}
	c.since.Store(now.UnixNano())
	c.state.CompareAndSwap(working, waiting)
}

// Given reports whether the connection was given up.
func (c *Conn) Given() bool { return c.state.Load() == given }

// Read is that of the connection.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard(n)
	return n, err
}

func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.heard(n)
	return n, err
}

func (c *Conn) heard(n int) {
	if n > 0 && c.t.o.Quiet > 0 {
		c.used.Store(true)
		c.since.Store(time.Now().UnixNano())
	}
}

// CloseWrite ends one direction, where the connection can.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.t.mu.Lock()
	c.t.remove(c)
	c.t.mu.Unlock()
	return c.Conn.Close()
}

// admit answers nil when there is no place.
func (t *Table) admit(nc net.Conn, now time.Time) *Conn {
	c := &Conn{Conn: nc, t: t, group: groupOf(nc.RemoteAddr())}
	c.since.Store(now.UnixNano())
	t.mu.Lock()
	victims, ok := t.place(c, now)
	t.mu.Unlock()
	for _, v := range victims {
		_ = v.Conn.Close()
		t.told(false)
	}
	if !ok {
		t.told(true)
		return nil
	}
	return c
}

func (t *Table) told(refused bool) {
	if t.o.Given != nil {
		t.o.Given(refused)
	}
}

// place enters c, in place of others if need be. The caller holds mu.
func (t *Table) place(c *Conn, now time.Time) (victims []*Conn, ok bool) {
	group := t.groups[c.group]
	if t.o.MaxPerAddress > 0 && len(group) >= t.o.MaxPerAddress && !t.shared(c.group) {
		if victims = t.giveUp(group, now); victims == nil {
			return nil, false
		}
	}
	if t.o.Max > 0 && len(t.all) >= t.o.Max {
		more := t.giveUp(t.all, now)
		victims = append(victims, more...)
		if more == nil {
			return victims, false
		}
	}
	if group = t.groups[c.group]; group == nil {
		group = make(map[*Conn]struct{})
		t.groups[c.group] = group
	}
	group[c], t.all[c] = struct{}{}, struct{}{}
	return victims, true
}

// atOnce is which part of the connections is given up together: to look for the
// right ones costs a look at all.
const atOnce = 64

// giveUp takes some connections out, those that can be missed most; nil when there
// are none. The caller holds mu and closes them.
func (t *Table) giveUp(of map[*Conn]struct{}, now time.Time) (victims []*Conn) {
	type candidate struct {
		c     *Conn
		used  bool
		since int64 // at this moment: it may change while we sort
	}
	advance := len(of) / atOnce
	quiet := now.Add(-t.o.Quiet).UnixNano()
	candidates := make([]candidate, 0, len(of))
	for c := range of {
		k := candidate{c, c.used.Load(), c.since.Load()}
		if c.state.Load() == waiting && (t.o.Quiet == 0 || !k.used || k.since <= quiet) {
			candidates = append(candidates, k)
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		switch {
		case a.used != b.used && b.used:
			return -1
		case a.used != b.used:
			return 1
		case a.since < b.since:
			return -1
		case a.since > b.since:
			return 1
		}
		return 0
	})
	for _, k := range candidates {
		// One that was of use is not given up in advance.
		if len(victims) > 0 && (k.used || len(victims) > advance) {
			break
		}
		if k.c.state.CompareAndSwap(waiting, given) {
			t.remove(k.c)
			victims = append(victims, k.c)
		}
	}
	return victims
}

// remove forgets c. The caller holds mu.
func (t *Table) remove(c *Conn) {
	delete(t.all, c)
	group := t.groups[c.group]
	if delete(group, c); len(group) == 0 {
		delete(t.groups, c.group)
	}
}

func (t *Table) shared(group netip.Prefix) bool {
	if !group.IsValid() {
		return true // no address: a socket of this machine
	}
	return slices.ContainsFunc(t.o.Shared, func(p netip.Prefix) bool { return p.Overlaps(group) && p.Bits() <= group.Bits() })
}

// groupOf answers what counts as one address: who has one IPv6 address usually has
// a network of them.
func groupOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}
