package main

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/simulator"
)

// demoSenders are both senders, with a source of each at the gateway.
type demoSenders struct {
	api         *simulator.Ignisign
	sender      *simulator.Sender
	secret      string
	yousignURL  string
	ignisignURL string
}

// demoSeed makes every demo tell the same stories.
const demoSeed = 1

// openSenders starts Ignisign's API and makes the sources. Nothing is sent yet.
func openSenders(ctx context.Context, c *demoCommand, d *demo) (_ *demoSenders, err error) {
	s := &demoSenders{secret: generateSecret()}
	// With the context, events of both senders carry the sender's id, by which
	// the ledger knows them.
	s.api, err = simulator.StartIgnisign("127.0.0.1:0", simulator.IgnisignOptions{WithContext: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.api.Close()
		}
	}()
	sources := hookstreamv1.NewSourceServiceClient(d.conn)
	yousign, ignisign, err := demoSources(ctx, sources, s.secret, s.api.App().Keys[0], s.api.URL())
	if err != nil {
		return nil, err
	}
	s.yousignURL, s.ignisignURL = "http://"+d.addrs.Ingress+yousign, "http://"+d.addrs.Ingress+ignisign
	s.sender, err = s.newSender(c, d.ledger)
	return s, err
}

func (s *demoSenders) newSender(c *demoCommand, l *ledger) (*simulator.Sender, error) {
	stories, err := simulator.Stories(demoSeed)
	if err != nil {
		return nil, err
	}
	return simulator.NewSender(simulator.SenderOptions{
		Yousign:  simulator.YousignTarget{URL: s.yousignURL, Secret: s.secret},
		Ignisign: simulator.IgnisignTarget{URL: s.ignisignURL, API: s.api},
		Script:   stories,
		Rate:     c.Rate,
		Count:    c.Count,
		Seed:     demoSeed,
		OnResult: l.posted,
	})
}
