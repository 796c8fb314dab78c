package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// CheckTarget refuses what is no HTTP URL, and an address elsewhere unless that is
// allowed. Names are not resolved: of those, only localhost counts as here.
func CheckTarget(target string, allowRemote bool) error {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("simulator: not an HTTP URL: %q", target)
	case !allowRemote && !Loopback(u.Hostname()):
		return fmt.Errorf("%w: %s", ErrRemote, u.Host)
	}
	return nil
}

// Loopback reports whether a host is this machine by its name or address.
func Loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// NewClient makes a client that keeps up to n connections, uses no proxy, follows
// no redirect, and connects to nothing but loopback addresses unless allowed to.
func NewClient(n int, allowRemote bool) *http.Client {
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

// maxAnswer is how much of an answer is read, so that a connection can be used
// again: a gateway's answers have a few bytes.
const maxAnswer = 64 << 10

// Post posts a body and answers the status.
func Post(ctx context.Context, client *http.Client, url string, body []byte, header http.Header) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // for the connection's sake
	return resp.StatusCode, nil
}
