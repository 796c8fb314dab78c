package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

type providersCommand struct {
	connection
	output
	choice
}

// Run lists the providers.
func (c *providersCommand) Run(ctx context.Context, p *program) error {
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		resp, err := c.list(ctx, hookstreamv1.NewCatalogServiceClient(conn))
		if err != nil {
			return err
		}
		if c.forProgram() {
			return c.write(p.stdout, resp)
		}
		if len(resp.GetProviders()) == 0 {
			p.say(noneFits)
			return nil
		}
		var rows [][]string
		for _, provider := range resp.GetProviders() {
			rows = append(rows, []string{
				provider.GetId(), provider.GetDisplayName(),
				strconv.Itoa(int(provider.GetEventTypeCount())), provider.GetVerificationMethod(),
			})
		}
		return writeTable(p.stdout, []string{"ID", "NAME", "TYPES", "VERIFICATION"}, rows)
	})
}

func (c *providersCommand) list(ctx context.Context, client hookstreamv1.CatalogServiceClient) (*hookstreamv1.ListProvidersResponse, error) {
	all, err := everyPage(func(token string) ([]*hookstreamv1.Provider, string, error) {
		page, err := client.ListProviders(ctx, &hookstreamv1.ListProvidersRequest{
			PageSize: pageItems, PageToken: token, Filter: c.Filter, OrderBy: c.OrderBy,
		})
		return page.GetProviders(), page.GetNextPageToken(), err
	})
	return &hookstreamv1.ListProvidersResponse{Providers: all}, c.refused(err)
}

type eventTypesCommand struct {
	connection
	output
	choice
	Provider string `arg:"" optional:"" help:"Only this provider's, by its id in the list of providers."`
	Type     string `arg:"" optional:"" help:"Show this type with an example."`
	Example  bool   `help:"Print nothing but the example of the type."`
}

// Run lists types or shows one.
func (c *eventTypesCommand) Run(ctx context.Context, p *program) error {
	if c.Example && c.Type == "" {
		return misused("--example needs a provider and a type")
	}
	if c.Type != "" && c.choice != (choice{}) {
		return misused("--filter and --order-by are for the list of types")
	}
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		types, err := eventTypes(ctx, hookstreamv1.NewCatalogServiceClient(conn), c.Provider, c.choice)
		if err != nil {
			return err
		}
		if c.Type != "" {
			return c.show(p, types.GetEventTypes())
		}
		if len(types.GetEventTypes()) == 0 && c.chosen() && !c.forProgram() {
			p.say(noneFits)
			return nil
		}
		if len(types.GetEventTypes()) == 0 && !c.chosen() {
			return hinted(fmt.Errorf("the gateway knows no types of %q", c.Provider), "`hookstream providers` lists the providers")
		}
		if c.forProgram() {
			return c.write(p.stdout, types)
		}
		return p.printEventTypes(types.GetEventTypes(), c.wide())
	})
}

// eventTypes gets all types of a provider, or of all, that are chosen.
func eventTypes(ctx context.Context, client hookstreamv1.CatalogServiceClient, provider string, chosen choice) (*hookstreamv1.ListEventTypesResponse, error) {
	all, err := everyPage(func(token string) ([]*hookstreamv1.EventType, string, error) {
		page, err := client.ListEventTypes(ctx, &hookstreamv1.ListEventTypesRequest{
			Provider: provider, PageSize: pageItems, PageToken: token, Filter: chosen.Filter, OrderBy: chosen.OrderBy,
		})
		return page.GetEventTypes(), page.GetNextPageToken(), err
	})
	return &hookstreamv1.ListEventTypesResponse{EventTypes: all}, chosen.refused(err)
}

func (p *program) printEventTypes(types []*hookstreamv1.EventType, wide bool) error {
	var rows [][]string
	for _, t := range types {
		rows = append(rows, []string{t.GetProvider(), t.GetType(), stage(t), t.GetDescription()})
	}
	heading := []string{"PROVIDER", "TYPE", "STAGE", "DESCRIPTION"}
	if wide {
		heading = append(heading, "ALIASES", "CONTENT")
		for i, t := range types {
			rows[i] = append(rows[i], strings.Join(t.GetAliases(), " "), strings.Join(t.GetContentTypes(), " "))
		}
	}
	return writeTable(p.stdout, heading, rows)
}

// show prints the type that was asked for, by its name or one of its aliases.
func (c *eventTypesCommand) show(p *program, types []*hookstreamv1.EventType) error {
	i := slices.IndexFunc(types, func(t *hookstreamv1.EventType) bool {
		return t.GetType() == c.Type || slices.Contains(t.GetAliases(), c.Type)
	})
	if i < 0 {
		return hinted(fmt.Errorf("%s has no type %q", c.Provider, c.Type), "`hookstream event-types %s` lists them; case matters", c.Provider)
	}
	t := types[i]
	if c.Example {
		_, err := fmt.Fprint(p.stdout, t.GetExample())
		return err
	}
	if c.forProgram() {
		return c.write(p.stdout, t)
	}
	err := writeProperties(p.stdout,
		property{"type", t.GetType()},
		property{"provider", t.GetProvider()},
		property{"stage", stage(t)},
		property{"aliases", strings.Join(t.GetAliases(), " ")},
		property{"content", strings.Join(t.GetContentTypes(), " ")},
		property{"description", t.GetDescription()},
	)
	fmt.Fprintf(p.stdout, "\n%s\n", strings.TrimRight(printable(t.GetExample()), "\n"))
	return err
}

func stage(t *hookstreamv1.EventType) string {
	return strings.ToLower(strings.TrimPrefix(t.GetStage().String(), "STAGE_"))
}
