package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/simulator"
)

// simulateCommand plays the senders against a gateway that runs elsewhere.
type simulateCommand struct {
	Where       textFlags `embed:""` // made by newSimulateCommand
	AllowRemote bool      `help:"Allow targets and listeners beyond this machine." group:"Where to"`
	Type        []string  `help:"Send only examples of this type; may be repeated. Stories of signature requests unless given." placeholder:"TYPE" group:"What"`

	Rate        float64       `help:"Events per second; 0 is as fast as the connections allow." default:"1" placeholder:"N" group:"How much"`
	Connections int           `help:"Events under way at a time; with one, they arrive in order." default:"1" placeholder:"N" group:"How much"`
	Count       int           `help:"Stop after this many events; 0 goes on until Ctrl-C." default:"0" placeholder:"N" group:"How much"`
	Duration    time.Duration `help:"Stop after this long; 0s goes on until Ctrl-C." default:"0s" placeholder:"DURATION" group:"How much"`
	Seed        uint64        `help:"Another seed tells other stories; the same seed, the same." default:"1" placeholder:"N" group:"How much"`

	Forge      float64 `help:"Share of events with a proof that was made up, 0 to 1." default:"0" placeholder:"SHARE" group:"Faults of the senders"`
	Flip       float64 `help:"Share of events with a bit changed on the way." default:"0" placeholder:"SHARE" group:"Faults of the senders"`
	Duplicate  float64 `help:"Share of events that are sent twice." default:"0" placeholder:"SHARE" group:"Faults of the senders"`
	Retry      bool    `help:"Send again what was not acknowledged, where the sender does." group:"Faults of the senders"`
	RetryScale float64 `help:"Shorten the pauses between: 0.001 makes 120 ms of 2 minutes." default:"1" placeholder:"FACTOR" group:"Faults of the senders"`

	Parts kong.Plugins `embed:""` // a simulator.Part for each of played

	Verbose bool `help:"Print a line for every post." short:"v"`
}

// newSimulateCommand makes the command with a flag for the URL of each sender that can
// be played, and those that its simulation has.
func newSimulateCommand() simulateCommand {
	var c simulateCommand
	var urls, secrets []textFlag
	for _, k := range played() {
		urls = append(urls, textFlag{
			name: urlFlag(k), help: "URL of a source of " + k.Info().GetDisplayName() + " to send to.", placeholder: "URL", group: "Where to",
		})
		if credential := provider.Words(k.Provider).Credential; signs(k.Provider) {
			secrets = append(secrets, textFlag{
				name: "secret-file", placeholder: "FILE", group: "Where to",
				help: fmt.Sprintf("File that holds the %s of the source of %s, - for standard input; else $%s.",
					credential.Name, k.Info().GetDisplayName(), credential.Variable),
			})
		}
		c.Parts = append(c.Parts, k.Part())
	}
	c.Where = newTextFlags(merged(append(urls, secrets...)))
	return c
}

// signs reports whether requests are signed with the credential of their source, so
// that whoever has it can send some.
func signs(p provider.Provider) bool {
	_, ok := p.(provider.Sampler)
	return ok
}

func urlFlag(k kind) string { return k.id() + "-url" }

// A simulation is what is played of the senders, each with the URL that it sends to.
type simulation struct {
	players []simulator.Player
	targets []simulator.Target
	of      []*simulator.Repertoire // of the targets
}

func (s *simulation) close() {
	for _, player := range s.players {
		_ = player.Close()
	}
}

// Run plays until what was asked for was sent or ctx ends, which is no error.
func (c *simulateCommand) Run(ctx context.Context, p *program) error {
	s, err := c.start(p)
	defer s.close()
	if err != nil {
		return err
	}
	options, err := c.options(p, s)
	if err != nil {
		return err
	}
	for _, player := range s.players {
		for _, line := range player.Notes() {
			p.say("%s", line)
		}
	}
	if len(s.targets) == 0 {
		<-ctx.Done()
		return nil
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

// start begins to play all senders, each with the credential that the source has too
// when there is one.
func (c *simulateCommand) start(p *program) (*simulation, error) {
	s := &simulation{}
	where := c.Where.given()
	for i, k := range played() {
		url := where[urlFlag(k)]
		credential, from, err := credentialOf(p, k, where)
		if err != nil {
			return s, err
		}
		player, err := c.Parts[i].(simulator.Part).Start(simulator.PartOptions{
			Credential: credential, CredentialFrom: from, AllowRemote: c.AllowRemote,
		})
		if err != nil {
			return s, partError(k, err)
		}
		s.players = append(s.players, player)
		if url != "" {
			s.targets, s.of = append(s.targets, player.Target(url)), append(s.of, k.Repertoire())
		}
	}
	return s, nil
}

// credentialOf answers the one that a source has, and where it is from: needed where
// requests are signed with it.
func credentialOf(p *program, k kind, where map[string]string) (credential, from string, err error) {
	variable := provider.Words(k.Provider).Credential.Variable
	if signs(k.Provider) && where[urlFlag(k)] != "" {
		credential, err = p.newSecret(where["secret-file"], variable)
		return credential, variable, err
	}
	if credential = p.getenv(variable); credential == "" {
		return "", "", nil
	}
	return credential, variable, nil
}

func partError(k kind, err error) error {
	if errors.As(err, new(simulator.FlagError)) {
		return usageError{err}
	}
	return startError(err, fmt.Sprintf("another simulator may be running; --%s-addr takes another port", k.id()))
}

func (c *simulateCommand) options(p *program, s *simulation) (o simulator.SenderOptions, err error) {
	o = simulator.SenderOptions{
		Targets: s.targets,
		Rate:    c.Rate, Connections: c.Connections, Count: c.Count, Duration: c.Duration, Seed: c.Seed,
		Forge: c.Forge, Flip: c.Flip, Duplicate: c.Duplicate, Retry: c.Retry, RetryScale: c.RetryScale,
		AllowRemote: c.AllowRemote,
	}
	if c.Verbose {
		o.OnResult = p.printResult
	}
	if len(s.targets) > 0 {
		o.Script, err = c.script(s.of)
	}
	return o, err
}

// script tells stories, or repeats the types that were asked for.
func (c *simulateCommand) script(of []*simulator.Repertoire) (simulator.Script, error) {
	if len(c.Type) == 0 {
		return simulator.Stories(c.Seed, of...)
	}
	var scripts []simulator.Script
	for _, typ := range c.Type {
		script, err := exampleOf(of, typ, c.Seed)
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, script)
	}
	return simulator.Alternate(scripts...), nil
}

// exampleOf finds the sender that has the type among those that are played.
func exampleOf(of []*simulator.Repertoire, typ string, seed uint64) (simulator.Script, error) {
	for _, o := range of {
		if script, err := simulator.Examples(o, seed, typ); err == nil {
			return script, nil
		}
	}
	return nil, hinted(misused("--type %s: no such type of the senders that are simulated", typ), "`hookstream event-types` lists the types; case matters")
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
