package main

import (
	"context"
	"errors"
	"fmt"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

type sourceCreateCommand struct {
	Yousign  sourceCreateYousignCommand  `cmd:"" help:"Create a source for a webhook subscription of Yousign."`
	Ignisign sourceCreateIgnisignCommand `cmd:"" help:"Create a source for an application and environment of Ignisign."`
}

type sourceEnsureCommand struct {
	Yousign  sourceEnsureYousignCommand  `cmd:"" help:"Create a source of Yousign unless it exists."`
	Ignisign sourceEnsureIgnisignCommand `cmd:"" help:"Create a source of Ignisign unless it exists."`
}

// makers answers the flags of the settings of commands that make a source.
func (c *sourcesCommand) makers() []*settingFlags {
	create, ensure := &c.Create, &c.Ensure
	return []*settingFlags{&create.Yousign.settingFlags, &create.Ignisign.settingFlags, &ensure.Yousign.settingFlags, &ensure.Ignisign.settingFlags}
}

// sourceNewFlags are what a source has that may be made.
type sourceNewFlags struct {
	connection
	output
	ID string `arg:"" name:"id" help:"The id: lower-case letters, digits and hyphens. It becomes part of the URL and never changes."`
	settingFlags
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

// sourceNewYousignFlags are what a source of Yousign has besides.
type sourceNewYousignFlags struct {
	sourceNewFlags
	SecretFile      string `help:"File that holds the subscription's secret key, - for standard input; else $HOOKSTREAM_YOUSIGN_SECRET." placeholder:"FILE"`
	SignatureHeader string `help:"Header that carries the signature, if not X-Yousign-Signature-256." placeholder:"NAME"`
}

func (c sourceNewYousignFlags) source(secret string) (*hookstreamv1.Source, error) {
	src, err := c.sourceNewFlags.source()
	src.Config = &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{
		Secrets: []string{secret}, SignatureHeader: c.SignatureHeader,
	}}
	return src, err
}

type sourceEnsureYousignCommand struct{ sourceNewYousignFlags }

// Run makes sure that a source of Yousign is there.
func (c *sourceEnsureYousignCommand) Run(ctx context.Context, p *program) error {
	secret, err := p.newSecret(c.SecretFile, yousignSecretVariable)
	if err != nil {
		return err
	}
	src, err := c.source(secret)
	if err != nil {
		return err
	}
	return c.ensure(ctx, p, src)
}

type sourceCreateYousignCommand struct {
	sourceNewYousignFlags
	GenerateSecret bool `help:"Make a secret and print it, this once: give it to Yousign as secret_key."`
	ValidateOnly   bool `help:"Check and print what would be created, but create nothing."`
}

// Run creates a source of Yousign.
func (c *sourceCreateYousignCommand) Run(ctx context.Context, p *program) error {
	secret, err := c.secret(p)
	if err != nil {
		return err
	}
	src, err := c.source(secret)
	if err != nil {
		return err
	}
	if c.GenerateSecret && !c.ValidateOnly {
		// Before it is in use: what cannot be shown must not be needed.
		if err := p.show(secret); err != nil {
			return err
		}
	}
	return c.create(ctx, p, src, c.ValidateOnly)
}

// show tells a secret that is told once. With json on stdout it still has to
// reach the operator.
func (p *program) show(secret string) error {
	if _, err := fmt.Fprintf(p.stderr, "secret key for Yousign, shown this once: %s\n", secret); err != nil {
		return fmt.Errorf("show the secret: %w", err)
	}
	return nil
}

func (c *sourceCreateYousignCommand) secret(p *program) (string, error) {
	if c.GenerateSecret {
		if c.SecretFile != "" {
			return "", misused("--generate-secret and --secret-file exclude each other")
		}
		return generateSecret(), nil
	}
	secret, err := p.newSecret(c.SecretFile, yousignSecretVariable)
	if errors.Is(err, errNoSecret) {
		return "", hinted(errNoSecret, "set %s, give --secret-file FILE (- reads standard input) or let one be made by --generate-secret", yousignSecretVariable)
	}
	return secret, err
}

// sourceNewIgnisignFlags are what a source of Ignisign has besides.
type sourceNewIgnisignFlags struct {
	sourceNewFlags
	AppID      string `name:"app-id" required:"" help:"The application: appId_ and a UUID." placeholder:"ID"`
	AppEnv     string `required:"" help:"The environment: DEVELOPMENT, STAGING or PRODUCTION." placeholder:"ENV"`
	SecretFile string `help:"File that holds the API key, - for standard input; else $HOOKSTREAM_IGNISIGN_API_KEY." placeholder:"FILE"`
	APIURL     string `name:"api-url" help:"Where Ignisign's API is, if not https://api.ignisign.io." placeholder:"URL"`
	APIVersion string `name:"api-version" help:"Which version of the API to ask." enum:"v4,v3" default:"v4" placeholder:"v4|v3"`
}

func (c sourceNewIgnisignFlags) source(p *program) (*hookstreamv1.Source, error) {
	key, err := p.newSecret(c.SecretFile, ignisignKeyVariable)
	if err != nil {
		return nil, err
	}
	src, err := c.sourceNewFlags.source()
	src.Config = &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{
		AppId: c.AppID, AppEnv: c.AppEnv, ApiKey: key, ApiBaseUrl: c.APIURL, ApiVersion: apiVersions[c.APIVersion],
	}}
	return src, err
}

type sourceEnsureIgnisignCommand struct{ sourceNewIgnisignFlags }

// Run makes sure that a source of Ignisign is there.
func (c *sourceEnsureIgnisignCommand) Run(ctx context.Context, p *program) error {
	src, err := c.source(p)
	if err != nil {
		return err
	}
	return c.ensure(ctx, p, src)
}

type sourceCreateIgnisignCommand struct {
	sourceNewIgnisignFlags
	ValidateOnly bool `help:"Check and print what would be created, but create nothing."`
}

// Run creates a source of Ignisign.
func (c *sourceCreateIgnisignCommand) Run(ctx context.Context, p *program) error {
	src, err := c.source(p)
	if err != nil {
		return err
	}
	return c.create(ctx, p, src, c.ValidateOnly)
}

var apiVersions = map[string]ignisignv1.ApiVersion{
	"v4": ignisignv1.ApiVersion_API_VERSION_V4,
	"v3": ignisignv1.ApiVersion_API_VERSION_V3,
}
