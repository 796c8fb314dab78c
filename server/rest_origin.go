package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// OwnPagesOnly is for a handler whose reads tell or cost something, as profiles do: it
// keeps pages of other origins from them too, and host names that somebody points here.
func OwnPagesOnly(next http.Handler) http.Handler {
	return sameOrigin(nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromAnotherPage(r) {
			writeForeign(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// sameOrigin keeps other web pages in the browser of somebody who works on this
// machine from using a gateway that trusts the loopback interface. There is no
// CORS: a page elsewhere reads nothing. What it could still send blindly is
// refused, and so is what reaches us by a host name that somebody points here
// (DNS rebinding). Programs that are not browsers see nothing of this. Beyond this
// machine nobody knows which names are the gateway's, unless hosts are named: then
// they hold there too.
func sameOrigin(hosts []string, next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(writeForeign))
	next = crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (onLoopback(r) || len(hosts) > 0) && !hostAllowed(r.Host, hosts) {
			writeStatus(w, http.StatusForbidden, status.Error(codes.PermissionDenied,
				"refused: this host name is not known to be the gateway's own; add it to the allowed hosts"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeForeign(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, http.StatusForbidden, status.Error(codes.PermissionDenied, "refused: sent by a page of another origin"))
}

// fromAnotherPage reports whether a request that reads, and has effects all the
// same, may come from a page of another origin, which http.CrossOriginProtection
// asks for writes only. A stream takes one of the places for streams, and with a
// subscription it takes events from those who would handle them.
//
// Browsers say where a request comes from by Sec-Fetch-Site, but not to plain
// http beyond this machine; by Origin, but not for an image or a script; and by
// Referer, which a page can withhold. One that says nothing at all is refused a
// subscription (by POST the origin is always said):
// our own pages have their referrer sent.
func fromAnotherPage(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	for _, header := range []string{"Origin", "Referer"} {
		if from := r.Header.Get(header); from != "" {
			page, err := url.Parse(from)
			return err != nil || page.Host != r.Host
		}
	}
	browser := strings.HasPrefix(r.UserAgent(), "Mozilla/")
	return browser && r.Method != http.MethodPost && r.URL.Query().Has("subscription")
}

// onLoopback reports whether the request arrived on a loopback address, and is
// therefore trusted more than another.
func onLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	local, err := netip.ParseAddrPort(addr.String())
	return err == nil && local.Addr().Unmap().IsLoopback()
}

// hostAllowed reports whether a request for host cannot be a rebound name: it is
// an address, localhost, or one of hosts.
func hostAllowed(host string, hosts []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") ||
		slices.Contains(hosts, "*") || slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, host) })
}
