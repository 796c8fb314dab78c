package main

import (
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// sourceUpdateCommand changes what is named: a nil pointer stands for a flag
// that was not given.
type sourceUpdateCommand struct {
	connection
	output
	sourceArgument
	settingFlags
	Yousign      yousignUpdateFlags  `embed:"" group:"Sources of Yousign"`
	Ignisign     ignisignUpdateFlags `embed:"" group:"Sources of Ignisign"`
	Etag         string              `help:"Change only if the source has not changed since this etag was read." placeholder:"ETAG"`
	ValidateOnly bool                `help:"Check and print what the source would be, but change nothing."`
}

type yousignUpdateFlags struct {
	SignatureHeader *string `help:"Header that carries the signature." placeholder:"NAME"`
	SecretFile      string  `help:"File that holds the only secret that is accepted from now on, - for standard input: all others are dropped at once, where rotate-secret keeps them for a while." placeholder:"FILE"`

	secret string // of the file
}

type ignisignUpdateFlags struct {
	AppID      *string `name:"app-id" help:"The application." placeholder:"ID"`
	AppEnv     *string `help:"The environment." placeholder:"ENV"`
	APIURL     *string `name:"api-url" help:"Where Ignisign's API is." placeholder:"URL"`
	APIVersion *string `name:"api-version" help:"Which version of the API to ask." enum:"v4,v3" placeholder:"v4|v3"`
}

// Run changes a source.
func (c *sourceUpdateCommand) Run(ctx context.Context, p *program) error {
	if c.Yousign.SecretFile != "" {
		var err error
		if c.Yousign.secret, err = p.newSecret(c.Yousign.SecretFile, ""); err != nil {
			return err
		}
	}
	req, err := c.request()
	if err != nil {
		return err
	}
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		src, err := client.UpdateSource(ctx, req)
		if err != nil {
			return err
		}
		return p.printSource(c.output, src)
	})
}

func (c *sourceUpdateCommand) request() (*hookstreamv1.UpdateSourceRequest, error) {
	src := &hookstreamv1.Source{Name: c.name(), Etag: c.Etag}
	own, err := c.apply(src)
	if err != nil {
		return nil, err
	}
	paths := slices.Concat(own, c.Yousign.apply(src), c.Ignisign.apply(src))
	switch {
	case len(paths) == 0:
		return nil, misused("nothing to change was named")
	case c.Yousign.given() && c.Ignisign.given():
		return nil, misused("a source is of one provider: flags of Yousign and of Ignisign exclude each other")
	}
	return &hookstreamv1.UpdateSourceRequest{
		Source: src, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}, ValidateOnly: c.ValidateOnly,
	}, nil
}

// set copies a flag that was given and names its field.
func set[T any](paths *[]string, path string, field *T, flag *T) {
	if flag != nil {
		*field = *flag
		*paths = append(*paths, path)
	}
}

func (f yousignUpdateFlags) given() bool { return f != yousignUpdateFlags{} }

func (f yousignUpdateFlags) apply(src *hookstreamv1.Source) (paths []string) {
	if !f.given() {
		return nil
	}
	cfg := &yousignv1.SourceConfig{}
	set(&paths, "yousign.signature_header", &cfg.SignatureHeader, f.SignatureHeader)
	if f.secret != "" {
		cfg.Secrets = []string{f.secret}
		paths = append(paths, "yousign.secrets")
	}
	src.Config = &hookstreamv1.Source_Yousign{Yousign: cfg}
	return paths
}

func (f ignisignUpdateFlags) given() bool { return f != ignisignUpdateFlags{} }

func (f ignisignUpdateFlags) apply(src *hookstreamv1.Source) (paths []string) {
	if !f.given() {
		return nil
	}
	cfg := &ignisignv1.SourceConfig{}
	set(&paths, "ignisign.app_id", &cfg.AppId, f.AppID)
	set(&paths, "ignisign.app_env", &cfg.AppEnv, f.AppEnv)
	set(&paths, "ignisign.api_base_url", &cfg.ApiBaseUrl, f.APIURL)
	if f.APIVersion != nil {
		cfg.ApiVersion = apiVersions[*f.APIVersion]
		paths = append(paths, "ignisign.api_version")
	}
	src.Config = &hookstreamv1.Source_Ignisign{Ignisign: cfg}
	return paths
}
