package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

// sourcesCommand groups what manages sources.
type sourcesCommand struct {
	Create       sourceCreateCommand       `cmd:"" help:"Create a source."`
	Ensure       sourceEnsureCommand       `cmd:"" help:"Create a source unless it exists; fail when it exists with other settings."`
	Get          sourceGetCommand          `cmd:"" help:"Show a source. Credentials are never shown."`
	List         sourceListCommand         `cmd:"" help:"List sources."`
	Update       sourceUpdateCommand       `cmd:"" help:"Change a source. What is not named stays as it is."`
	Delete       sourceDeleteCommand       `cmd:"" help:"Delete a source. Its events stay; its URL answers 404 from then on."`
	Enable       sourceEnableCommand       `cmd:"" help:"Let a disabled source receive again."`
	Disable      sourceDisableCommand      `cmd:"" help:"Answer a source's requests with 503, so that the sender keeps them."`
	RotateSecret sourceRotateSecretCommand `cmd:"" help:"Give a source a new credential."`
	SendTest     sourceSendTestCommand     `cmd:"" help:"Send a correctly signed sample through the source's own ingress."`
}

// A sourceArgument names a source.
type sourceArgument struct {
	Source string `arg:"" help:"The source's id: billing or sources/billing."`
}

func (a sourceArgument) name() string { return sourceName(a.Source) }

// sourceName accepts an id and a name alike.
func sourceName(source string) string {
	return "sources/" + strings.TrimPrefix(source, "sources/")
}

// withSources calls f with a client of the gateway's sources.
func (c connection) withSources(ctx context.Context, f func(context.Context, hookstreamv1.SourceServiceClient) error) error {
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		return f(ctx, hookstreamv1.NewSourceServiceClient(conn))
	})
}

// printSource shows one source.
func (p *program) printSource(out output, src *hookstreamv1.Source) error {
	if out.forProgram() {
		return out.write(p.stdout, src)
	}
	properties := []property{
		{"name", src.GetName()},
		{"provider", provider.IDOf(src)},
		{"state", stateOf(src)},
		{"ingress path", src.GetIngressPath()},
	}
	properties = append(properties, settingProperties(source.Table, src)...)
	for _, own := range providers().Describe(src) {
		properties = append(properties, property{own.Name, own.Value})
	}
	properties = append(properties, property{"etag", src.GetEtag()})
	return writeProperties(p.stdout, properties...)
}

// stateOf says what becomes of a source's requests.
func stateOf(src *hookstreamv1.Source) string {
	switch {
	case src.GetDisabled():
		return "disabled"
	case src.GetVerificationMode() == hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW:
		return "shadow (publishes what is not genuine, too)"
	}
	return "enabled"
}

func joinLabels(all map[string]string) string {
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		labels = append(labels, key+"="+all[key])
	}
	return strings.Join(labels, " ")
}
