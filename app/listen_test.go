package app

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/hookstream/hookstream/conns"
)

// Whatever listens for consumers and operators has its share of the descriptors and
// no more: silent connections cannot take those of the log.
func TestListenersOfTheAPIAreBounded(t *testing.T) {
	o := DefaultOptions()
	o.IngressAddr, o.GRPCAddr, o.HTTPAddr, o.PProfAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	a := &App{opts: o, logger: slog.New(slog.DiscardHandler)}
	if err := a.listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	for what, lis := range map[string]net.Listener{"gRPC": a.grpcLis, "HTTP": a.httpLis} {
		peer, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = peer.Close() }()
		conn, err := lis.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, ok := conn.(*conns.Conn); !ok {
			t.Errorf("%s: connections are not bounded", what)
		}
	}
	if b := conns.ThisBudget(); b.API <= 0 {
		t.Errorf("the API has %d connections", b.API)
	}

	// One more than there may be takes the place of the first, which says nothing.
	if err := a.openPProf(t.Context()); err != nil {
		t.Fatal(err)
	}
	var silent []net.Conn
	for range maxProfilers + 1 {
		c, err := net.Dial("tcp", a.pprofLis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		silent = append(silent, c)
	}
	_ = silent[0].SetReadDeadline(time.Now().Add(5 * time.Second)) // before the server's own patience ends
	if _, err := silent[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the first of too many: %v", err)
	}
}
