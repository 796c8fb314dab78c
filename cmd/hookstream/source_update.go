package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

// sourceUpdateCommand changes what is named: a nil pointer stands for a flag
// that was not given.
type sourceUpdateCommand struct {
	connection
	output
	sourceArgument
	settingFlags
	Config       textFlags `embed:""` // made by newSourceUpdateCommand
	Etag         string    `help:"Change only if the source has not changed since this etag was read." placeholder:"ETAG"`
	ValidateOnly bool      `help:"Check and print what the source would be, but change nothing."`
}

// newSourceUpdateCommand makes the command with the flags of all providers.
func newSourceUpdateCommand() sourceUpdateCommand {
	var flags []textFlag
	for _, p := range kinds() {
		flags = append(flags, updateFlags(p)...)
	}
	return sourceUpdateCommand{
		settingFlags: newSettingFlags(source.Table, &hookstreamv1.Source{}, true), Config: newTextFlags(merged(flags)),
	}
}

// updateFlags are those of a provider: nothing has to be given, and what is not stays.
func updateFlags(p provider.Provider) []textFlag {
	words := provider.Words(p)
	flags := providerFlags(p, words)
	for i := range flags {
		flags[i].empties = true
	}
	if words.Credential.Several {
		flags = append(flags, textFlag{
			name: secretFile, placeholder: "FILE",
			help: "File that holds the only secret that is accepted from now on, - for standard input: all others are dropped at once, where rotate-secret keeps them for a while.",
		})
	}
	for i := range flags {
		flags[i].group, flags[i].value, flags[i].required = "Sources of "+p.Info().GetDisplayName(), "", false
	}
	return flags
}

// Run changes a source.
func (c *sourceUpdateCommand) Run(ctx context.Context, p *program) error {
	given := c.Config.given()
	able, err := accepting(given)
	if err != nil {
		return err
	}
	secret := ""
	if given[secretFile] != "" {
		if secret, err = p.newSecret(given[secretFile], ""); err != nil {
			return err
		}
	}
	req, err := c.request()
	if err != nil {
		return err
	}
	if len(given) == 0 && len(req.GetUpdateMask().GetPaths()) == 0 {
		return misused("nothing to change was named")
	}
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		if err := c.configure(ctx, client, req, able, given, secret); err != nil {
			return err
		}
		src, err := client.UpdateSource(ctx, req)
		if err != nil {
			return err
		}
		return p.printSource(c.output, src)
	})
}

// accepting answers the providers that have all flags that were given, none when none
// was.
func accepting(given map[string]string) (able []provider.Provider, err error) {
	if len(given) == 0 {
		return nil, nil
	}
	var some []string
	for _, p := range kinds() {
		has := 0
		for _, f := range updateFlags(p) {
			if _, ok := given[f.name]; ok {
				has++
			}
		}
		if has == len(given) {
			able = append(able, p)
		}
		if has > 0 {
			some = append(some, p.Info().GetDisplayName())
		}
	}
	if len(able) == 0 {
		return nil, misused("a source is of one provider: flags of %s exclude each other", strings.Join(some, " and of "))
	}
	return able, nil
}

// configure puts what was given of the source's config into a request. The source
// itself tells whose it is when several providers have these flags.
func (c *sourceUpdateCommand) configure(
	ctx context.Context, client hookstreamv1.SourceServiceClient, req *hookstreamv1.UpdateSourceRequest,
	able []provider.Provider, given map[string]string, secret string,
) error {
	if len(able) == 0 {
		return nil
	}
	of := able[0]
	if len(able) > 1 {
		src, err := client.GetSource(ctx, &hookstreamv1.GetSourceRequest{Name: c.name()})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(able, func(p provider.Provider) bool { return p.Info().GetId() == provider.IDOf(src) })
		if i < 0 {
			return misused("%s is of %s, whose sources have no such settings", c.name(), provider.IDOf(src))
		}
		of = able[i]
	}
	words, id := provider.Words(of), of.Info().GetId()
	texts := fieldsOf(words, given)
	if secret != "" {
		texts[words.Credential.Field] = secret
	}
	for _, field := range slices.Sorted(maps.Keys(texts)) {
		req.UpdateMask.Paths = append(req.UpdateMask.Paths, id+"."+field)
	}
	return provider.Configure(req.GetSource(), id, texts)
}

func (c *sourceUpdateCommand) request() (*hookstreamv1.UpdateSourceRequest, error) {
	src := &hookstreamv1.Source{Name: c.name(), Etag: c.Etag}
	paths, err := c.apply(src)
	if err != nil {
		return nil, err
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
