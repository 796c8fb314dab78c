// Package simulate plays Ignisign: the part of its API that webhooks need, with faults
// on request, and its examples and stories, sent with tokens that this API vouches for.
package simulate

import (
	"cmp"
	"time"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/simulator"
)

// Provider is Ignisign, which can be played.
type Provider struct{ ignisign.Provider }

var _ simulator.Asked = Provider{}

// NewProvider answers the provider: see ignisign.NewProvider.
func NewProvider() Provider { return Provider{ignisign.NewProvider()} }

// Repertoire implements simulator.Played.
func (Provider) Repertoire() *simulator.Repertoire { return &repertoire }

// Part implements simulator.Played.
func (Provider) Part() simulator.Part { return &part{} }

// Lend implements simulator.Asked.
func (Provider) Lend(o simulator.PartOptions) (simulator.Lender, error) { return (&part{}).start(o) }

// A part says how Ignisign's API is played.
type part struct {
	IgnisignAddr   string        `help:"Where Ignisign's API is served." default:"127.0.0.1:8090" placeholder:"ADDR" group:"Ignisign's API"`
	AppID          string        `name:"app-id" help:"The application it knows." default:"appId_3f6c1b9e-5a27-4c0d-9b8e-7d41f2a6c053" placeholder:"ID" group:"Ignisign's API"`
	AppEnv         string        `help:"Its environment." default:"DEVELOPMENT" placeholder:"ENV" group:"Ignisign's API"`
	APIDown        string        `name:"api-down" help:"Drop every connection, or answer every call with 503." enum:",drop,503" default:"" placeholder:"drop|503" group:"Ignisign's API"`
	APIDelay       time.Duration `name:"api-delay" help:"How late answers come." default:"0s" placeholder:"DURATION" group:"Ignisign's API"`
	APILoseAnswer  bool          `name:"api-lose-answer" help:"Spend the token of every check, then drop the connection." group:"Ignisign's API"`
	APIRefuse      bool          `name:"api-refuse" help:"Answer every call with 401." group:"Ignisign's API"`
	APIRateLimited bool          `name:"api-rate-limited" help:"Answer every call with 429." group:"Ignisign's API"`
	APIExpire      bool          `name:"api-expire" help:"Take every token for expired." group:"Ignisign's API"`
	APITimes       int           `name:"api-times" help:"How many calls meet these faults before all is well; 0 is all of them." default:"0" placeholder:"N" group:"Ignisign's API"`
}

// defaultAddr is where the API is served unless somebody says otherwise.
const defaultAddr = "127.0.0.1:8090"

// Start serves the API.
func (f *part) Start(o simulator.PartOptions) (simulator.Player, error) { return f.start(o) }

func (f *part) start(o simulator.PartOptions) (player, error) {
	app := App{ID: f.AppID, Env: f.AppEnv}
	if o.Credential != "" {
		app.Keys = []string{o.Credential}
	}
	addr := cmp.Or(f.IgnisignAddr, defaultAddr)
	if o.AnyPort {
		addr = "127.0.0.1:0"
	}
	faults := f.faults()
	if err := faults.Validate(); err != nil {
		return player{}, simulator.FlagError{Err: err}
	}
	api, err := Start(addr, Options{Apps: []App{app}, AllowRemote: o.AllowRemote, WithContext: o.TellIDs})
	if err != nil {
		return player{}, err
	}
	api.faults.set(faults)
	return player{API: api, from: o.CredentialFrom}, nil
}

func (f *part) faults() Faults {
	return Faults{
		Down: f.APIDown, RateLimited: f.APIRateLimited, RefuseCredentials: f.APIRefuse,
		ExpireTokens: f.APIExpire, Delay: f.APIDelay, LoseAnswer: f.APILoseAnswer, Times: f.APITimes,
	}
}

// A player is an API with one application.
type player struct {
	*API
	from string // where people find the key; empty: it was made for this run
}

func (p player) Source() *hookstreamv1.Source {
	app := p.App()
	return &hookstreamv1.Source{Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{
		AppId: app.ID, AppEnv: app.Env, ApiKey: app.Keys[0], ApiBaseUrl: p.API.URL(),
	}}}
}

func (p player) Target(url string) simulator.Target { return Target{To: url, API: p.API} }

// Token makes a token for the application.
func (p player) Token() string { return p.MintToken(p.App().ID, p.App().Env) }

// Body is the one of the event that matters most, and the largest.
func (p player) Body(token string) ([]byte, error) {
	return ignisign.Sample(usualType, p.App().ID, p.App().Env, token)
}

// Notes say how to make a source that asks this API.
func (p player) Notes() []string {
	app := p.App()
	key := app.Keys[0] // it opens nothing else
	if p.from != "" {
		key = "in " + p.from
	}
	return []string{
		"Ignisign's API is at " + p.API.URL() + "; PUT " + p.API.URL() + "/_simulator/faults changes its faults",
		"it knows " + app.ID + ", " + app.Env + "; API key " + key,
	}
}
