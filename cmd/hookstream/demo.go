package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// demoCommand is everything in one process, on loopback: a gateway, Ignisign's
// API, both senders and a consumer.
type demoCommand struct {
	Rate     float64    `help:"Webhooks per second." default:"1" placeholder:"N"`
	Count    int        `help:"Stop after this many webhooks; 0 goes on until Ctrl-C." default:"0" placeholder:"N"`
	DataDir  string     `help:"Keep the data here; a temporary directory, removed at the end, unless given." placeholder:"DIR"`
	NoColor  bool       `help:"No colours, as with $NO_COLOR."`
	LogLevel slog.Level `help:"The least level of the gateway's log on standard error: debug, info, warn, error." default:"error" placeholder:"LEVEL"`
}

const (
	// settleLimit is how long events that were answered with 200 may take to
	// come out.
	settleLimit = 5 * time.Second
	// demoDrain is how long the gateway's streams get at the end: the only one
	// that matters has ended by then.
	demoDrain = 200 * time.Millisecond
)

// Run plays until --count webhooks were sent or ctx ends, which is no error, and
// says what became of them.
func (c *demoCommand) Run(ctx context.Context, p *program) (err error) {
	switch {
	case c.Rate <= 0:
		return misused("--rate must be above 0")
	case c.Count < 0:
		return misused("--count must not be negative")
	}
	dir, forget, err := c.dataDir()
	if err != nil {
		return err
	}
	defer forget()
	d, err := openDemo(ctx, c, p, dir)
	if err != nil {
		return err
	}
	played := d.play(ctx, p)
	if err := errors.Join(played, d.close()); err != nil {
		return err
	}
	return d.summary(p)
}

// dataDir answers where the data goes, and what removes it at the end.
func (c *demoCommand) dataDir() (dir string, forget func(), err error) {
	if c.DataDir != "" {
		return c.DataDir, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "hookstream-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make a data directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// play runs the tail and, once it is open, says what can be done and lets the
// senders begin: nothing that is sent goes unseen. It ends when the senders are
// done, or ctx ends, and what the gateway acknowledged has come out.
func (d *demo) play(ctx context.Context, p *program) error {
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFollowing()
	tail := async(func() error { return d.tail.run(following) })
	select {
	case <-d.opened:
	case err := <-tail:
		return err
	case <-d.ended:
		return errGatewayEnded
	case <-ctx.Done():
		return nil
	}
	if err := d.greet(p); err != nil {
		return err
	}
	if err := d.send(ctx, tail); err != nil {
		return err
	}
	d.awaitEvents()
	stopFollowing()
	return <-tail
}

// send lets the senders send until they are done, or ctx ends, or there is
// nobody left to send to.
func (d *demo) send(ctx context.Context, tail <-chan error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := async(func() error { _, err := d.senders.sender.Run(ctx); return err })
	select {
	case err := <-sent:
		return err
	case err := <-tail:
		return err
	case <-d.ended:
		return errGatewayEnded
	}
}

// errGatewayEnded is told beside what the gateway ended with.
var errGatewayEnded = errors.New("the gateway ended by itself")

// async runs f and answers where its result will be.
func async(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// awaitEvents waits until every acknowledged webhook has come out as an event.
func (d *demo) awaitEvents() {
	limit := time.After(settleLimit)
	for d.ledger.missing() > 0 {
		select {
		case <-d.ledger.changed:
		case <-limit:
			return
		}
	}
}

// underWay says of webhooks without a 200 that nothing is lost with them.
func underWay(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; of %d the answer had not come, as when Ctrl-C falls between: a sender would repeat them", n)
}

// summary says what became of the webhooks. An acknowledged one that did not
// come out is an error.
func (d *demo) summary(p *program) error {
	sent, acknowledged, received := d.ledger.counts()
	fmt.Fprintf(p.stdout, "\nsent %d webhooks, %d answered with 200, received %d events%s\n", sent, acknowledged, received, underWay(sent-acknowledged))
	if missing := d.ledger.missing(); missing > 0 {
		return fmt.Errorf("%d acknowledged webhooks did not come out within %s", missing, settleLimit)
	}
	return nil
}
