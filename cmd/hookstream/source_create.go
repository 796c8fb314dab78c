package main

import (
	"context"
	"fmt"

	"github.com/alecthomas/kong"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

// sourceCreateCommand has a command for each provider.
type sourceCreateCommand struct {
	Of kong.Plugins `embed:""`
}

// sourceEnsureCommand has one too.
type sourceEnsureCommand struct {
	Of kong.Plugins `embed:""`
}

func newSourceCreateCommand() sourceCreateCommand {
	return sourceCreateCommand{subcommands("Create a source of %s.", func(p provider.Provider) any {
		var besides []textFlag
		if place := provider.Words(p).Credential.Place; place != "" {
			besides = append(besides, textFlag{
				name: generateFlag, yes: true,
				help: fmt.Sprintf("Make a secret and print it, this once: give it to %s as %s.", p.Info().GetDisplayName(), place),
			})
		}
		return sourceCreateOf{sourceNewFlags: newSourceFlags(), Config: newConfigFlags(p, besides...)}
	})}
}

func newSourceEnsureCommand() sourceEnsureCommand {
	return sourceEnsureCommand{subcommands("Create a source of %s unless it exists.", func(p provider.Provider) any {
		return sourceEnsureOf{sourceNewFlags: newSourceFlags(), Config: newConfigFlags(p)}
	})}
}

const generateFlag = "generate-secret"

// sourceNewFlags are what a source has that may be made.
type sourceNewFlags struct {
	connection
	output
	ID string `arg:"" name:"id" help:"The id: lower-case letters, digits and hyphens. It becomes part of the URL and never changes."`
	settingFlags
}

func newSourceFlags() sourceNewFlags {
	return sourceNewFlags{settingFlags: newSettingFlags(source.Table, &hookstreamv1.Source{}, false)}
}

func (c sourceNewFlags) source() (*hookstreamv1.Source, error) {
	src := &hookstreamv1.Source{}
	_, err := c.apply(src)
	return src, err
}

// create makes the source and says what to give to the sender.
func (c sourceNewFlags) create(ctx context.Context, p *program, src *hookstreamv1.Source, validateOnly bool) error {
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		created, err := client.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{
			SourceId: c.ID, Source: src, ValidateOnly: validateOnly,
		})
		if err != nil {
			return err
		}
		if err := p.printSource(c.output, created); err != nil || c.forProgram() {
			return err
		}
		if validateOnly {
			p.say("valid; nothing was created")
			return nil
		}
		p.say("created; give the sender https://YOUR-HOST%s", created.GetIngressPath())
		return nil
	})
}

// ensure makes the source unless it is there, and says which it was.
func (c sourceNewFlags) ensure(ctx context.Context, p *program, src *hookstreamv1.Source) error {
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		resp, err := client.EnsureSource(ctx, &hookstreamv1.EnsureSourceRequest{SourceId: c.ID, Source: src})
		if err != nil {
			return err
		}
		if err := p.printSource(c.output, resp.GetSource()); err != nil || c.forProgram() {
			return err
		}
		if !resp.GetCreated() {
			p.say("it was there, with these settings")
			return nil
		}
		p.say("created; give the sender https://YOUR-HOST%s", resp.GetSource().GetIngressPath())
		return nil
	})
}

// sourceEnsureOf is of one provider.
type sourceEnsureOf struct {
	sourceNewFlags
	Config configFlags `embed:""`
}

// Run makes sure that a source is there.
func (c *sourceEnsureOf) Run(ctx context.Context, p *program) error {
	credential, err := c.Config.credential(p)
	if err != nil {
		return err
	}
	src, err := c.made(c.Config, credential)
	if err != nil {
		return err
	}
	return c.ensure(ctx, p, src)
}

// sourceCreateOf is of one provider.
type sourceCreateOf struct {
	sourceNewFlags
	Config       configFlags `embed:""`
	ValidateOnly bool        `help:"Check and print what would be created, but create nothing."`
}

// Run creates a source.
func (c *sourceCreateOf) Run(ctx context.Context, p *program) error {
	credential, made, err := c.credential(p)
	if err != nil {
		return err
	}
	src, err := c.made(c.Config, credential)
	if err != nil {
		return err
	}
	if made && !c.ValidateOnly {
		// Before it is in use: what cannot be shown must not be needed.
		if err := p.show(c.Config.provider, credential); err != nil {
			return err
		}
	}
	return c.create(ctx, p, src, c.ValidateOnly)
}

// credential reads the source's, or makes it.
func (c *sourceCreateOf) credential(p *program) (credential string, made bool, err error) {
	given := c.Config.given()
	if _, made = given[generateFlag]; !made {
		credential, err = c.Config.credential(p)
		return credential, false, err
	}
	if given[secretFile] != "" {
		return "", false, misused("--generate-secret and --secret-file exclude each other")
	}
	return provider.NewSecret(), true, nil
}

// made is the source of the flags.
func (c sourceNewFlags) made(config configFlags, credential string) (*hookstreamv1.Source, error) {
	src, err := c.source()
	if err != nil {
		return nil, err
	}
	return src, config.source(src, credential)
}

// show tells a secret that is told once. With json on stdout it still has to
// reach the operator.
func (p *program) show(of provider.Provider, secret string) error {
	what := "secret"
	if of != nil {
		what = provider.Words(of).Credential.Name + " for " + of.Info().GetDisplayName()
	}
	if _, err := fmt.Fprintf(p.stderr, "%s, shown this once: %s\n", what, secret); err != nil {
		return fmt.Errorf("show the secret: %w", err)
	}
	return nil
}
