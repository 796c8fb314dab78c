package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/simulator"
)

// simulateCommand plays the senders against a gateway that runs elsewhere.
type simulateCommand struct {
	YousignURL  string   `name:"yousign-url" help:"URL of a source of Yousign to send to." placeholder:"URL" group:"Where to"`
	IgnisignURL string   `name:"ignisign-url" help:"URL of a source of Ignisign to send to." placeholder:"URL" group:"Where to"`
	SecretFile  string   `help:"File that holds the secret key of the source of Yousign, - for standard input; else $HOOKSTREAM_YOUSIGN_SECRET." placeholder:"FILE" group:"Where to"`
	AllowRemote bool     `help:"Allow targets and listeners beyond this machine." group:"Where to"`
	Type        []string `help:"Send only examples of this type; may be repeated. Stories of signature requests unless given." placeholder:"TYPE" group:"What"`

	Rate        float64       `help:"Events per second; 0 is as fast as the connections allow." default:"1" placeholder:"N" group:"How much"`
	Connections int           `help:"Events under way at a time; with one, they arrive in order." default:"1" placeholder:"N" group:"How much"`
	Count       int           `help:"Stop after this many events; 0 goes on until Ctrl-C." default:"0" placeholder:"N" group:"How much"`
	Duration    time.Duration `help:"Stop after this long; 0s goes on until Ctrl-C." default:"0s" placeholder:"DURATION" group:"How much"`
	Seed        uint64        `help:"Another seed tells other stories; the same seed, the same." default:"1" placeholder:"N" group:"How much"`

	Forge      float64 `help:"Share of events with a proof that was made up, 0 to 1." default:"0" placeholder:"SHARE" group:"Faults of the senders"`
	Flip       float64 `help:"Share of events with a bit changed on the way." default:"0" placeholder:"SHARE" group:"Faults of the senders"`
	Duplicate  float64 `help:"Share of events that are sent twice." default:"0" placeholder:"SHARE" group:"Faults of the senders"`
	Retry      bool    `help:"Send again what was not acknowledged, as Yousign does." group:"Faults of the senders"`
	RetryScale float64 `help:"Shorten Yousign's pauses: 0.001 makes 120 ms of 2 minutes." default:"1" placeholder:"FACTOR" group:"Faults of the senders"`

	API apiFlags `embed:"" group:"Ignisign's API"`

	Verbose bool `help:"Print a line for every post." short:"v"`
}

// apiFlags say how Ignisign's API is played.
type apiFlags struct {
	IgnisignAddr   string        `help:"Where Ignisign's API is served." default:"127.0.0.1:8090" placeholder:"ADDR"`
	AppID          string        `name:"app-id" help:"The application it knows." default:"${demo_app_id}" placeholder:"ID"`
	AppEnv         string        `help:"Its environment." default:"${demo_app_env}" placeholder:"ENV"`
	APIDown        string        `name:"api-down" help:"Drop every connection, or answer every call with 503." enum:",drop,503" default:"" placeholder:"drop|503"`
	APIDelay       time.Duration `name:"api-delay" help:"How late answers come." default:"0s" placeholder:"DURATION"`
	APILoseAnswer  bool          `name:"api-lose-answer" help:"Spend the token of every check, then drop the connection."`
	APIRefuse      bool          `name:"api-refuse" help:"Answer every call with 401."`
	APIRateLimited bool          `name:"api-rate-limited" help:"Answer every call with 429."`
	APIExpire      bool          `name:"api-expire" help:"Take every token for expired."`
	APITimes       int           `name:"api-times" help:"How many calls meet these faults before all is well; 0 is all of them." default:"0" placeholder:"N"`
}

// start serves the API, with the key that the source has too when there is one
// in the environment.
func (f apiFlags) start(p *program, allowRemote bool) (*simulator.Ignisign, error) {
	known := simulator.App{ID: f.AppID, Env: f.AppEnv}
	if key := p.getenv(ignisignKeyVariable); key != "" {
		known.Keys = []string{key}
	}
	api, err := simulator.StartIgnisign(f.IgnisignAddr, simulator.IgnisignOptions{
		Apps: []simulator.App{known}, AllowRemote: allowRemote,
	})
	if err != nil {
		return nil, startError(err)
	}
	if err := api.SetFaults(f.faults()); err != nil {
		_ = api.Close()
		return nil, usageError{err}
	}
	return api, nil
}

func (f apiFlags) faults() simulator.Faults {
	return simulator.Faults{
		Down: f.APIDown, RateLimited: f.APIRateLimited, RefuseCredentials: f.APIRefuse,
		ExpireTokens: f.APIExpire, Delay: f.APIDelay, LoseAnswer: f.APILoseAnswer, Times: f.APITimes,
	}
}

// Run plays until what was asked for was sent or ctx ends, which is no error.
func (c *simulateCommand) Run(ctx context.Context, p *program) error {
	options, err := c.options(p)
	if err != nil {
		return err
	}
	api, err := c.API.start(p, c.AllowRemote)
	if err != nil {
		return err
	}
	defer func() { _ = api.Close() }()
	c.greet(p, api)
	if c.YousignURL == "" && c.IgnisignURL == "" {
		<-ctx.Done()
		return nil
	}
	if options.Ignisign.URL != "" {
		options.Ignisign.API = api
	}
	sender, err := simulator.NewSender(options)
	if err != nil {
		return usageError{err}
	}
	report, err := sender.Run(ctx)
	if err != nil {
		return err
	}
	return p.printReport(report)
}

func (c *simulateCommand) options(p *program) (o simulator.SenderOptions, err error) {
	o = simulator.SenderOptions{
		Yousign:  simulator.YousignTarget{URL: c.YousignURL},
		Ignisign: simulator.IgnisignTarget{URL: c.IgnisignURL},
		Rate:     c.Rate, Connections: c.Connections, Count: c.Count, Duration: c.Duration, Seed: c.Seed,
		Forge: c.Forge, Flip: c.Flip, Duplicate: c.Duplicate, Retry: c.Retry, RetryScale: c.RetryScale,
		AllowRemote: c.AllowRemote,
	}
	if c.Verbose {
		o.OnResult = p.printResult
	}
	if c.YousignURL != "" {
		if o.Yousign.Secret, err = p.newSecret(c.SecretFile, yousignSecretVariable); err != nil {
			return o, err
		}
	}
	o.Script, err = c.script()
	return o, err
}

// script tells stories, or repeats the types that were asked for.
func (c *simulateCommand) script() (simulator.Script, error) {
	var providers []string
	if c.YousignURL != "" {
		providers = append(providers, "yousign")
	}
	if c.IgnisignURL != "" {
		providers = append(providers, "ignisign")
	}
	if len(c.Type) == 0 {
		return simulator.Stories(c.Seed, providers...)
	}
	var scripts []simulator.Script
	for _, typ := range c.Type {
		script, err := exampleOf(providers, typ, c.Seed)
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, script)
	}
	return simulator.Alternate(scripts...), nil
}

// exampleOf finds the provider that has the type among those that are sent to.
func exampleOf(providers []string, typ string, seed uint64) (simulator.Script, error) {
	for _, provider := range providers {
		if script, err := simulator.Examples(provider, seed, typ); err == nil {
			return script, nil
		}
	}
	return nil, hinted(misused("--type %s: no such type of the senders that are simulated", typ), "`hookstream event-types` lists the types; case matters")
}

// greet says how to make a source that asks this API.
func (c *simulateCommand) greet(p *program, api *simulator.Ignisign) {
	p.say("Ignisign's API is at %s; PUT %s/_simulator/faults changes its faults", api.URL(), api.URL())
	app := api.App()
	key := "in " + ignisignKeyVariable
	if p.getenv(ignisignKeyVariable) == "" {
		// Made for this run by the simulator, it opens nothing else.
		key = app.Keys[0]
	}
	p.say("it knows %s, %s; API key %s", app.ID, app.Env, key)
}

// printResult prints a post and its answer.
func (p *program) printResult(r simulator.Result) {
	answer := strconv.Itoa(r.Status)
	if r.Err != nil {
		answer = "---"
	}
	line := fmt.Sprintf("%s  %-9s  %s", answer, r.Provider, r.Type)
	if r.Fault != simulator.FaultNone {
		line += "  " + string(r.Fault)
	}
	if r.Attempt > 0 {
		line += fmt.Sprintf("  retry %d", r.Attempt)
	}
	if r.Err != nil {
		line += fmt.Sprintf("  %v", unwrapURL(r.Err))
	}
	fmt.Fprintln(p.stdout, line)
}

// printReport says what came of all that was sent.
func (p *program) printReport(r simulator.Report) error {
	rows := [][]string{}
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		name := strconv.Itoa(status)
		if status == 0 {
			name = "none"
		}
		rows = append(rows, []string{name, strconv.Itoa(r.Statuses[status])})
	}
	if err := writeTable(p.stdout, []string{"ANSWER", "POSTS"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "%d events in %s: %d acknowledged, %d given up; %d duplicates, %d retries, %d faulty posts\n",
		r.Events, r.Elapsed.Round(time.Millisecond), r.Acknowledged, r.GivenUp, r.Duplicates, r.Retries, r.Faulty)
	return err
}
