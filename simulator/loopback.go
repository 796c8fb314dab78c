package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// ErrRemote says that a target is not on this machine's loopback interface and
// that nobody allowed it to be elsewhere.
var ErrRemote = errors.New("simulator: target is not on the loopback interface")

// checkTarget refuses what is no HTTP URL, and an address elsewhere unless that is
// allowed. Names are not resolved: of those, only localhost counts as here.
func checkTarget(target string, allowRemote bool) error {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("simulator: not an HTTP URL: %q", target)
	case !allowRemote && !loopback(u.Hostname()):
		return fmt.Errorf("%w: %s", ErrRemote, u.Host)
	}
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// newClient makes a client that keeps up to n connections, uses no proxy, follows
// no redirect, and connects to nothing but loopback addresses unless allowed to.
func newClient(n int, allowRemote bool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	if !allowRemote {
		// Checked where the connection is made, because a name may lie.
		dialer.ControlContext = refuseRemote
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConns: n, MaxIdleConnsPerHost: n, IdleConnTimeout: time.Minute,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func refuseRemote(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().IsLoopback() {
		return fmt.Errorf("%w: %s", ErrRemote, address)
	}
	return nil
}
