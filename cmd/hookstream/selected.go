package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// lookUp bounds what is asked only to warn of a mistake.
const lookUp = 5 * time.Second

// warnOfUnknown tells of sources and types that the gateway does not know, with the
// nearest that it does: they may come yet, but mostly they are mistyped, and then
// nothing would ever come and nobody say why. What the gateway does not answer is
// passed over: what is asked next says what is wrong.
func warnOfUnknown(ctx context.Context, p *program, conn grpc.ClientConnInterface, sources, types []string) {
	ctx, cancel := context.WithTimeout(ctx, lookUp)
	defer cancel()
	if len(sources) > 0 {
		if known, err := listSources(ctx, hookstreamv1.NewSourceServiceClient(conn), choice{}); err == nil {
			p.tellUnknownSources(sources, known.GetSources())
		}
	}
	if len(types) > 0 {
		if known, err := eventTypes(ctx, hookstreamv1.NewCatalogServiceClient(conn), "", choice{}); err == nil {
			p.tellUnknownTypes(types, known.GetEventTypes())
		}
	}
}

func (p *program) tellUnknownSources(asked []string, sources []*hookstreamv1.Source) {
	var known []string
	for _, src := range sources {
		known = append(known, strings.TrimPrefix(src.GetName(), "sources/"))
	}
	for _, id := range asked {
		if id := strings.TrimPrefix(id, "sources/"); !slices.Contains(known, id) {
			p.say("there is no source %s yet%s", oneLine(id), perhaps(id, known))
		}
	}
}

func (p *program) tellUnknownTypes(patterns []string, types []*hookstreamv1.EventType) {
	var known []string
	for _, t := range types {
		known = append(append(known, t.GetType()), t.GetAliases()...)
	}
	for _, pattern := range patterns {
		if !slices.ContainsFunc(known, event.CompilePatterns([]string{pattern}).MatchType) {
			p.say("the gateway knows no type %s%s `hookstream event-types` lists them, and case matters", oneLine(pattern), perhaps(pattern, known))
		}
	}
}

// perhaps names the one that may have been meant, if there is any.
func perhaps(name string, known []string) string {
	if len(known) == 0 {
		return "."
	}
	return ", did you mean " + nearest(name, known) + "?"
}

// warnOfUnknown does so over a connection of its own.
func (c connection) warnOfUnknown(ctx context.Context, p *program, sources, types []string) {
	if len(sources)+len(types) == 0 {
		return
	}
	_ = c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		warnOfUnknown(ctx, p, conn, sources, types)
		return nil
	})
}
