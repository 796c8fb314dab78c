package main

import (
	"context"
	"errors"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/simulator"
)

// demoSenders are all senders that can be played, with a source of each at the gateway.
type demoSenders struct {
	all    []demoSender
	sender *simulator.Sender
}

// A demoSender is one of them.
type demoSender struct {
	kind
	player simulator.Player
	source string // its id
	url    string // where it sends to
}

// demoSeed makes every demo tell the same stories.
const demoSeed = 1

// openSenders begins to play the senders and makes the sources. Nothing is sent yet.
// What it answers beside an error is to be closed too.
func openSenders(ctx context.Context, c *demoCommand, d *demo) (*demoSenders, error) {
	s := &demoSenders{}
	sources := hookstreamv1.NewSourceServiceClient(d.conn)
	for _, k := range played() {
		// The ledger knows the events of all senders by their ids.
		player, err := k.Part().Start(simulator.PartOptions{AnyPort: true, TellIDs: true})
		if err != nil {
			return s, err
		}
		one := demoSender{kind: k, player: player, source: demoSource(k)}
		s.all = append(s.all, one)
		path, err := one.makeSource(ctx, sources)
		if err != nil {
			return s, err
		}
		s.all[len(s.all)-1].url = "http://" + d.addrs.Ingress + path
	}
	var err error
	s.sender, err = s.newSender(c, d.ledger)
	return s, err
}

// demoSource is the id of a sender's source.
func demoSource(k kind) string { return "demo-" + k.id() }

func (s *demoSenders) newSender(c *demoCommand, l *ledger) (*simulator.Sender, error) {
	var of []*simulator.Repertoire
	var targets []simulator.Target
	for _, one := range s.all {
		of, targets = append(of, one.Repertoire()), append(targets, one.player.Target(one.url))
	}
	stories, err := simulator.Stories(demoSeed, of...)
	if err != nil {
		return nil, err
	}
	return simulator.NewSender(simulator.SenderOptions{
		Targets: targets, Script: stories, Rate: c.Rate, Count: c.Count, Seed: demoSeed, OnResult: l.posted,
	})
}

func (s *demoSenders) close() (err error) {
	for _, one := range s.all {
		err = errors.Join(err, one.player.Close())
	}
	return err
}
