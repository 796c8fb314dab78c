package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/conns"
)

// silentTime is how long a peer may acknowledge nothing of what it was sent, or of
// what asks whether it is there, until its connection is ended. Without it a
// network that drops everything keeps a stream, and what that holds, for a quarter
// of an hour.
const silentTime = time.Minute

// maxUnsent is how much may wait in a connection for its peer to take more: beyond it
// the stream waits. The system would take megabytes for a peer that never reads, made
// while senders wait.
const maxUnsent = 64 << 10

// listen binds an address, with TLS when there is a certificate. protocols are
// what is offered in its handshake.
func listen(ctx context.Context, addr string, cert *tls.Certificate, protocols ...string) (net.Listener, error) {
	return listenBounded(ctx, addr, cert, nil, protocols...)
}

// quietTime is longer than anything that is of use says nothing: streams have a
// heartbeat at least once a minute.
const quietTime = 75 * time.Second

// apiConns bounds the connections of a listener of the API, so that the log keeps
// its descriptors.
func (o Options) apiConns() *conns.Table {
	return conns.NewTable(conns.Options{Max: conns.ThisBudget().API, Quiet: quietTime})
}

// listenBounded is listen within the bounds of a table; nil: without.
func listenBounded(ctx context.Context, addr string, cert *tls.Certificate, table *conns.Table, protocols ...string) (net.Listener, error) {
	lis, err := (&net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silentTime / 4, Interval: silentTime / 4, Count: 3},
		Control:         control,
	}).Listen(ctx, "tcp", addr)
	if err == nil && table != nil {
		lis = &pacedListener{Listener: table.Listen(lis)}
	}
	if err != nil || cert == nil {
		return lis, err
	}
	return tls.NewListener(lis, &tls.Config{
		Certificates: []tls.Certificate{*cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   protocols,
	}), nil
}

// certificate loads the certificate of the API listeners, nil when there is
// none.
func (o Options) certificate() (*tls.Certificate, error) {
	if o.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	return &cert, nil
}

// nats are the credentials for an external cluster.
func (o Options) nats() []nats.Option {
	var opts []nats.Option
	if o.NATSCreds != "" {
		opts = append(opts, nats.UserCredentials(o.NATSCreds))
	}
	if o.NATSCA != "" {
		opts = append(opts, nats.RootCAs(o.NATSCA))
	}
	if o.NATSCert != "" {
		opts = append(opts, nats.ClientCert(o.NATSCert, o.NATSKey))
	}
	if o.NATSInboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(o.NATSInboxPrefix))
	}
	return opts
}
