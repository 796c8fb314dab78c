// Package simulate plays Yousign: its examples and stories, signed and sent as it
// does. Of its API a gateway needs nothing.
package simulate

import (
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/simulator"
)

// Provider is Yousign, which can be played.
type Provider struct{ yousign.Provider }

var _ simulator.Played = Provider{}

// Repertoire implements simulator.Played.
func (Provider) Repertoire() *simulator.Repertoire { return &repertoire }

// Part implements simulator.Played: nothing is to be said about it.
func (Provider) Part() simulator.Part { return &part{} }

type part struct{}

// Start makes a secret unless there is one.
func (*part) Start(o simulator.PartOptions) (simulator.Player, error) {
	simulator.OrDefault(&o.Credential, provider.NewSecret())
	return player{o.Credential}, nil
}

// A player is a subscription of Yousign's with a secret key.
type player struct{ secret string }

func (p player) Source() *hookstreamv1.Source {
	return &hookstreamv1.Source{Config: &hookstreamv1.Source_Yousign{
		Yousign: &yousignv1.SourceConfig{Secrets: []string{p.secret}},
	}}
}

func (p player) Target(url string) simulator.Target { return Target{To: url, Secret: p.secret} }
func (player) Notes() []string                      { return nil }
func (player) URL() string                          { return "" }
func (player) Close() error                         { return nil }
