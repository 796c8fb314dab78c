package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookstream/hookstream/client"
)

// callTimeout bounds a management call, each of those of a command: the gateway
// answers in milliseconds, or something is wrong.
const callTimeout = 15 * time.Second

// A connection says where the gateway is. Embedded by every command that calls
// it.
type connection struct {
	Server string        `help:"gRPC address of the gateway." default:"127.0.0.1:9090" placeholder:"ADDR" group:"Connection"`
	TLS    bool          `name:"tls" help:"Connect with TLS, trusting the system's authorities or those of --ca." group:"Connection"`
	CA     string        `name:"ca" help:"PEM file of the authorities to trust; implies --tls." placeholder:"FILE" group:"Connection"`
	Wait   time.Duration `help:"How long to wait for a gateway that is not there yet." default:"0s" placeholder:"DURATION" group:"Connection"`
}

// dial prepares a connection and, with --wait, waits until it stands.
func (c connection) dial(ctx context.Context, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	creds, err := c.credentials()
	if err != nil {
		return nil, err
	}
	conn, err := client.Dial(c.Server, append(more, grpc.WithTransportCredentials(creds), grpc.WithUserAgent("hookstream-cli"))...)
	if err != nil {
		return nil, misused("--server %s: %w", c.Server, err)
	}
	if err := c.await(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (c connection) credentials() (credentials.TransportCredentials, error) {
	if !c.TLS && c.CA == "" {
		return insecure.NewCredentials(), nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("read --ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read --ca: %s holds no PEM certificate", c.CA)
		}
	}
	return credentials.NewTLS(cfg), nil
}

// await waits until the connection stands, for as long as --wait says.
func (c connection) await(ctx context.Context, conn *grpc.ClientConn) error {
	if c.Wait <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		switch state {
		case connectivity.Idle:
			conn.Connect()
		case connectivity.TransientFailure:
			// The gateway may have come meanwhile: no need to sit out gRPC's own
			// back-off, which grows to minutes.
			conn.ResetConnectBackoff()
		}
		step, done := context.WithTimeout(ctx, awaitStep)
		conn.WaitForStateChange(step, state)
		done()
		if ctx.Err() != nil {
			return c.gone(ctx)
		}
	}
	return nil
}

// awaitStep is how often a gateway that is not there is tried again.
const awaitStep = 100 * time.Millisecond

func (c connection) gone(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return context.Canceled
	}
	return hinted(fmt.Errorf("no gateway at %s within %s", c.Server, c.Wait), "%s", codeHints[codes.Unavailable])
}

// explain says which gateway could not be reached, instead of how gRPC failed.
func (c connection) explain(ctx context.Context, err error) error {
	st, ok := statusOf(err)
	if !ok {
		return err
	}
	switch {
	case st.Code() == codes.Canceled && ctx.Err() != nil:
		return context.Canceled
	case st.Code() == codes.Canceled:
		return fmt.Errorf("the gateway at %s, or a proxy before it, cancelled the call: %s", c.Server, st.Message())
	case st.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("%s did not answer within %s", c.Server, callTimeout)
	case st.Code() == codes.Unavailable && reason(st) == "":
		return hinted(fmt.Errorf("cannot reach a gateway at %s: %s", c.Server, plain(st.Message())), "%s", c.hint(st.Message()))
	}
	return err
}

// check refuses what looks like an address and is none for gRPC. Other names that
// gRPC resolves, as unix:PATH and dns:///HOST:PORT, are its business.
func (c connection) check() error {
	scheme, rest, ok := strings.Cut(c.Server, "://")
	switch {
	case ok && (scheme == "http" || scheme == "https"):
		host, _, _ := strings.Cut(rest, "/")
		if scheme == "https" {
			host += " --tls"
		}
		return usageError{hinted(fmt.Errorf("--server %s is a URL, and gRPC wants an address", c.Server), "--server %s, when that is its gRPC port", host)}
	case ok || strings.Contains(c.Server, ":/"):
		return nil
	}
	if _, _, err := net.SplitHostPort(c.Server); err != nil && !strings.HasPrefix(c.Server, "unix") {
		return usageError{hinted(fmt.Errorf("--server %s has no port", c.Server), "--server %s, unless --grpc-addr of the gateway has another port",
			net.JoinHostPort(strings.Trim(c.Server, "[]"), "9090"))}
	}
	return nil
}

// hint says what may be the matter with a connection that failed.
func (c connection) hint(message string) string {
	switch {
	case strings.Contains(message, "looked like an HTTP/1.1 header"):
		return "this port speaks HTTP: it may be the gateway's --http-addr or --ingress-addr; --server is its --grpc-addr, 9090 unless it was changed"
	case strings.Contains(message, "first record does not look like a TLS handshake"):
		return "this port speaks no TLS: leave out --tls and --ca, or is it another port than the gateway's --grpc-addr?"
	case strings.Contains(message, "x509: certificate signed by unknown authority"):
		return "--ca FILE names the authority that signed the gateway's certificate"
	case !c.TLS && c.CA == "" && strings.Contains(message, "error reading server preface"):
		return "something listens and speaks no gRPC without TLS: a gateway with --tls-cert wants --tls or --ca; else is it another port than its --grpc-addr?"
	}
	return codeHints[codes.Unavailable]
}

// plain takes gRPC's wrapping off the message of a failed connection.
func plain(message string) string {
	for _, prefix := range []string{`connection error: desc = "`, "transport: ", "Error while dialing: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	return strings.TrimSuffix(message, `"`)
}

// call connects, calls f and explains its error.
func (c connection) call(ctx context.Context, f func(context.Context, *grpc.ClientConn) error) error {
	conn, err := c.dial(ctx, grpc.WithUnaryInterceptor(inTime))
	if err != nil {
		return err
	}
	defer conn.Close()
	return c.explain(ctx, f(ctx, conn))
}

// inTime bounds a call.
func inTime(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return call(ctx, method, req, reply, conn, opts...)
}
