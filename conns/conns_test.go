package conns

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// fake is a connection from an address, on which nothing happens.
type fake struct {
	net.Conn
	from   net.Addr
	closed bool
}

func (f *fake) RemoteAddr() net.Addr        { return f.from }
func (f *fake) Close() error                { f.closed = true; return nil }
func (f *fake) Read(p []byte) (int, error)  { return len(p), nil }
func (f *fake) Write(p []byte) (int, error) { return len(p), nil }

var began = time.Unix(1_700_000_000, 0)

// table is one at which connections come a second after the other.
type table struct {
	*Table
	now time.Time
}

func newTable(o Options) *table { return &table{NewTable(o), began} }

func (t *table) open(address string) *Conn {
	t.now = t.now.Add(time.Second)
	return t.admit(&fake{from: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 1))}, t.now)
}

func closed(c *Conn) bool { return c.Conn.(*fake).closed }

func TestNewConnectionsTakeThePlaceOfSilentOnes(t *testing.T) {
	table := newTable(Options{Max: 3})
	a, b, c := table.open("192.0.2.1"), table.open("192.0.2.1"), table.open("192.0.2.2")
	a.Work()
	b.Work()
	b.Rest(table.now, true) // was of use: the other one goes first, though it is younger
	if d := table.open("192.0.2.3"); d == nil || !closed(c) || !c.Given() || closed(a) || closed(b) {
		t.Fatal("the one that never said a thing was not given up")
	}
	a.Rest(table.now, true)
	if e := table.open("192.0.2.3"); e == nil || closed(a) || closed(b) {
		t.Fatal("one of use was given up before a silent one")
	}
	if table.Len() != 3 {
		t.Errorf("%d are open", table.Len())
	}
}

func TestNobodyAtWorkIsGivenUp(t *testing.T) {
	var refused, givenUp int
	table := newTable(Options{Max: 2, Given: func(r bool) {
		if r {
			refused++
		} else {
			givenUp++
		}
	}})
	a, b := table.open("192.0.2.1"), table.open("192.0.2.1")
	a.Work()
	b.Work()
	if table.open("192.0.2.1") != nil || closed(a) || closed(b) || refused != 1 || givenUp != 0 {
		t.Error("one at work was given up")
	}
	_ = a.Close()
	_ = a.Close()
	if table.open("192.0.2.1") == nil || table.Len() != 2 {
		t.Errorf("no place after a connection ended: %d", table.Len())
	}
}

func TestAddressesAreBounded(t *testing.T) {
	table := newTable(Options{Max: 100, MaxPerAddress: 2, Shared: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}})
	honest := table.open("192.0.2.1")
	for _, of := range [][]string{
		{"192.0.2.9", "192.0.2.9", "192.0.2.9", "::ffff:192.0.2.9"},
		{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3", "2001:db8::4"}, // one network
	} {
		var all []*Conn
		for _, address := range of {
			all = append(all, table.open(address))
		}
		if !closed(all[0]) || !closed(all[1]) || closed(all[2]) || closed(all[3]) {
			t.Errorf("%v: not the last two are open", of)
		}
	}
	if closed(honest) {
		t.Error("another's connection was given up")
	}
	for _, shared := range []string{"10.1.2.3", "2001:db8:1:2::3"} {
		first := table.open(shared)
		for range 5 {
			table.open(shared)
		}
		if closed(first) {
			t.Errorf("%s is bounded", shared)
		}
	}
}

// Where bytes tell, one that is quiet for longer than anybody honest is, or never
// said a thing, is given up, and no other.
func TestQuietConnections(t *testing.T) {
	table := newTable(Options{Max: 2, Quiet: time.Minute})
	a, b := table.open("192.0.2.1"), table.open("192.0.2.1")
	for _, c := range []*Conn{a, b} {
		_, _ = c.Read(make([]byte, 1))
	}
	table.now = time.Now()
	if table.open("192.0.2.1") != nil || closed(a) || closed(b) {
		t.Error("a connection in use was given up")
	}
	table.now = time.Now().Add(time.Hour)
	if table.open("192.0.2.1") == nil || closed(a) == closed(b) {
		t.Error("no place, or too many, after an hour of silence")
	}
}

func TestManyAreGivenUpTogether(t *testing.T) {
	table := newTable(Options{Max: 640})
	for range 640 {
		table.open("192.0.2.1")
	}
	if table.open("192.0.2.1") == nil || table.Len() != 640-10-1+1 {
		t.Errorf("%d are open", table.Len())
	}
}

func TestBudget(t *testing.T) {
	for _, n := range []int{0, 32, 128, 256, 700, 1024, 4096, 65536, 1 << 20} {
		b := BudgetOf(n)
		if n >= 256 && b.Ingress+2*b.API+b.Index+48 > n {
			t.Errorf("%d descriptors are shared out as %+v", n, b)
		}
		if b.Ingress < 8 || b.API < 4 || b.Index < 32 || b.Ingress > mostIngress {
			t.Errorf("%d: %+v", n, b)
		}
	}
	if b := ThisBudget(); b.Ingress < 8 {
		t.Errorf("%+v", b)
	}
}

// Over a real listener: whoever is given up sees the end of the connection.
func TestListen(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bounded := NewTable(Options{Max: 1}).Listen(ln)
	defer bounded.Close()
	dial := func() (mine net.Conn, theirs *Conn) {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		accepted, err := bounded.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c, accepted.(*Conn)
	}
	first, _ := dial()
	second, served := dial()
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the first: %v, want its end", err)
	}
	if _, err := io.WriteString(second, "x"); err != nil {
		t.Fatal(err)
	}
	if n, err := served.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the second: %v", err)
	}
	if err := served.CloseWrite(); err != nil {
		t.Error(err)
	}
	_ = second.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := second.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
