package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/client"
)

// A demo is what runs during `hookstream demo`.
type demo struct {
	addrs   app.Addrs
	conn    *grpc.ClientConn
	senders *demoSenders
	tail    *follower
	ledger  *ledger
	opened  chan struct{} // closed when the tail is open

	stopGateway context.CancelFunc
	ended       chan struct{} // closed when the gateway has ended
	cause       error         // what it ended with, once it has
}

// openDemo starts everything but the webhooks.
func openDemo(ctx context.Context, c *demoCommand, p *program, dir string) (_ *demo, err error) {
	gateway, err := app.New(ctx, c.options(p, dir))
	if err != nil {
		return nil, startError(err, "somebody took the port just now; the next demo takes another")
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	d := &demo{
		addrs: gateway.Addrs(), ledger: newLedger(), opened: make(chan struct{}),
		stopGateway: stop, ended: make(chan struct{}),
	}
	go func() {
		defer close(d.ended)
		d.cause = gateway.Run(running)
	}()
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	d.conn, err = grpc.NewClient(d.addrs.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	d.tail = d.follower(c, p)
	d.senders, err = openSenders(ctx, c, d)
	return d, err
}

// options are those of a gateway that runs beside others: on the usual ports
// when they are free.
func (c *demoCommand) options(p *program, dir string) app.Options {
	o := app.DefaultOptions()
	o.IngressAddr, o.GRPCAddr, o.HTTPAddr = freeAddr(o.IngressAddr), freeAddr(o.GRPCAddr), freeAddr(o.HTTPAddr)
	o.DataDir, o.DrainGrace = dir, demoDrain
	o.Logger = slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	return o
}

// freeAddr answers addr if nobody listens there, else the same host with a port
// that the system chooses.
func freeAddr(addr string) string {
	lis, err := net.Listen("tcp", addr) //nolint:noctx // a look at loopback
	if err == nil {
		_ = lis.Close()
		return addr
	}
	host, _, _ := net.SplitHostPort(addr)
	return net.JoinHostPort(host, "0")
}

func (d *demo) follower(c *demoCommand, p *program) *follower {
	sources, types := demoWidths()
	lines := &linePrinter{
		out: newBuffered(p.stdout), style: style(p.colourful(p.stdout) && !c.NoColor), short: true, width: columns(p.stdout),
		// What most lines need, so that the first ones are even too.
		sourceWidth: sources, typeWidth: types,
	}
	return &follower{
		conn:    d.conn,
		options: client.StreamOptions{ClientID: "hookstream demo"},
		printer: &ledgerPrinter{deliveryPrinter: lines, ledger: d.ledger},
		say:     p.say,
		onOpen:  func() { close(d.opened) },
	}
}

// demoWidths answers how wide sources and types mostly are: those of a story.
func demoWidths() (sources, types int) {
	for _, k := range played() {
		sources = max(sources, len(demoSource(k)))
		story, _ := k.Repertoire().Story(demoSeed, time.Now()) // whoever plays it tells what is wrong
		for _, m := range story {
			types = max(types, len(m.Type))
		}
	}
	return sources, types
}

// close ends everything, the gateway last, and answers what that ended with.
func (d *demo) close() error {
	if d.conn != nil {
		d.conn.Close()
	}
	d.stopGateway()
	<-d.ended
	if d.senders != nil {
		return errors.Join(d.cause, d.senders.close())
	}
	return d.cause
}
