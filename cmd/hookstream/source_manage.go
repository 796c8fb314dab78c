package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

type sourceGetCommand struct {
	connection
	output
	sourceArgument
}

// Run shows a source.
func (c *sourceGetCommand) Run(ctx context.Context, p *program) error {
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		src, err := client.GetSource(ctx, &hookstreamv1.GetSourceRequest{Name: c.name()})
		if err != nil {
			return err
		}
		return p.printSource(c.output, src)
	})
}

type sourceListCommand struct {
	connection
	output
	choice
}

// Run lists all sources, whatever the number of pages.
func (c *sourceListCommand) Run(ctx context.Context, p *program) error {
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		all, err := listSources(ctx, client, c.choice)
		if err != nil {
			return err
		}
		if c.forProgram() {
			return c.write(p.stdout, all)
		}
		if c.chosen() && len(all.GetSources()) == 0 {
			p.say(noneFits)
			return nil
		}
		return p.printSources(all.GetSources(), c.wide())
	})
}

// listSources gets all sources that are chosen.
func listSources(ctx context.Context, client hookstreamv1.SourceServiceClient, chosen choice) (*hookstreamv1.ListSourcesResponse, error) {
	all, err := everyPage(func(token string) ([]*hookstreamv1.Source, string, error) {
		page, err := client.ListSources(ctx, &hookstreamv1.ListSourcesRequest{
			PageSize: pageItems, PageToken: token, Filter: chosen.Filter, OrderBy: chosen.OrderBy,
		})
		return page.GetSources(), page.GetNextPageToken(), err
	})
	return &hookstreamv1.ListSourcesResponse{Sources: all}, chosen.refused(err)
}

func (p *program) printSources(sources []*hookstreamv1.Source, wide bool) error {
	if len(sources) == 0 {
		p.say("there are no sources; `hookstream sources create %s ID` creates one", exampleProvider())
		return nil
	}
	messages := make([]proto.Message, len(sources))
	for i, src := range sources {
		messages[i] = src
	}
	heading, rows := settingColumns(source.Table, true, messages...)
	for i, src := range sources {
		state := "enabled"
		if src.GetDisabled() {
			state = "disabled"
		} else if src.GetVerificationMode() == hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW {
			state = "shadow"
		}
		rows[i] = slices.Concat([]string{src.GetName(), provider.IDOf(src), state}, rows[i], []string{src.GetIngressPath()})
	}
	heading = slices.Concat([]string{"NAME", "PROVIDER", "STATE"}, heading, []string{"INGRESS PATH"})
	if wide {
		more, cells := settingColumns(source.Table, false, messages...)
		heading = append(heading, more...)
		for i := range rows {
			rows[i] = append(rows[i], cells[i]...)
		}
	}
	return writeTable(p.stdout, heading, rows)
}

type sourceDeleteCommand struct {
	connection
	sourceArgument
	Etag string `help:"Delete only if the source has not changed since this etag was read." placeholder:"ETAG"`
	Yes  bool   `help:"Do not ask."`
}

// Run deletes a source, after asking when somebody is there to answer.
func (c *sourceDeleteCommand) Run(ctx context.Context, p *program) error {
	if !c.Yes {
		if err := p.confirm("delete " + c.name() + "? Its URL answers 404 from then on, for good."); err != nil {
			return err
		}
	}
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		if _, err := client.DeleteSource(ctx, &hookstreamv1.DeleteSourceRequest{Name: c.name(), Etag: c.Etag}); err != nil {
			return err
		}
		p.say("deleted %s", c.name())
		return nil
	})
}

// confirm asks a person. Without one the answer is no: a script says --yes.
func (p *program) confirm(question string) error {
	if !isTerminal(p.stdin) {
		return misused("%s Say --yes.", question)
	}
	fmt.Fprintf(p.stderr, "%s [y/N] ", question)
	var answer string
	if _, err := fmt.Fscanln(p.stdin, &answer); err != nil || answer != "y" && answer != "yes" {
		return fmt.Errorf("not done")
	}
	return nil
}

type sourceEnableCommand struct {
	connection
	output
	sourceArgument
}

// Run enables a source.
func (c *sourceEnableCommand) Run(ctx context.Context, p *program) error {
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		src, err := client.EnableSource(ctx, &hookstreamv1.EnableSourceRequest{Name: c.name()})
		if err != nil {
			return err
		}
		return p.printSource(c.output, src)
	})
}

type sourceDisableCommand struct {
	connection
	output
	sourceArgument
}

// Run disables a source.
func (c *sourceDisableCommand) Run(ctx context.Context, p *program) error {
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		src, err := client.DisableSource(ctx, &hookstreamv1.DisableSourceRequest{Name: c.name()})
		if err != nil {
			return err
		}
		return p.printSource(c.output, src)
	})
}

type sourceRotateSecretCommand struct {
	connection
	output
	sourceArgument
	SecretFile string `help:"File that holds the new secret or API key, - for standard input; else $HOOKSTREAM_NEW_SECRET. Without any, one is made and printed, unless only the sender can make it." placeholder:"FILE"`
	Overlap    *span  `help:"How long the old secret is accepted beside the new one; 5d unless said otherwise." placeholder:"DURATION"`
	Etag       string `help:"Rotate only if the source has not changed since this etag was read." placeholder:"ETAG"`
}

// newSecretVariable holds the credential that replaces a source's.
const newSecretVariable = "HOOKSTREAM_NEW_SECRET"

// Run replaces a credential.
func (c *sourceRotateSecretCommand) Run(ctx context.Context, p *program) error {
	req := &hookstreamv1.RotateSourceSecretRequest{Name: c.name(), Etag: c.Etag}
	if c.Overlap != nil {
		req.Overlap = durationpb.New(time.Duration(*c.Overlap))
	}
	if c.SecretFile != "" || p.getenv(newSecretVariable) != "" {
		secret, err := p.newSecret(c.SecretFile, newSecretVariable)
		if err != nil {
			return err
		}
		req.Secret = secret
	}
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		resp, err := client.RotateSourceSecret(ctx, req)
		if err != nil {
			return err
		}
		if made := resp.GetSecret(); made != "" {
			if err := p.show(providers().Of(resp.GetSource()), made); err != nil {
				return err
			}
		}
		return p.printSource(c.output, resp.GetSource())
	})
}

type sourceSendTestCommand struct {
	connection
	output
	sourceArgument
	Type string `help:"The type to send, as event-types lists it; the provider's most usual one unless said otherwise." placeholder:"TYPE"`
}

// Run sends a sample.
func (c *sourceSendTestCommand) Run(ctx context.Context, p *program) error {
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		return sendTest(ctx, p, client, c.output, c.name(), c.Type)
	})
}

// sendTest has the gateway send a sample through its own ingress.
func sendTest(ctx context.Context, p *program, client hookstreamv1.SourceServiceClient, out output, name, typ string) error {
	resp, err := client.SendSourceTestEvent(ctx, &hookstreamv1.SendSourceTestEventRequest{Name: name, Type: typ})
	if err != nil {
		return err
	}
	if out.forProgram() {
		err = out.write(p.stdout, resp)
	} else {
		fmt.Fprintf(p.stdout, "%d %s %s\n", resp.GetHttpStatus(), oneLine(resp.GetType()), oneLine(resp.GetProviderEventId()))
	}
	if err == nil && resp.GetHttpStatus() != 200 {
		err = notAccepted(int(resp.GetHttpStatus()))
	}
	return err
}

// statusHints say what an ingress means by its answers.
var statusHints = map[int]string{
	400: "the body is not what the provider sends",
	401: "the ingress does not take the request for genuine: is this the source's secret, application and environment?",
	404: "there is no such source, or the key in the path is another: `hookstream sources get SOURCE` shows the path",
	413: "the body is larger than --max-body-bytes of the gateway",
	415: "the ingress takes application/json only",
	429: "the source is over its rate",
	503: "the source is disabled, or the gateway cannot store: see its log",
}

// notAccepted says what an ingress meant by a status other than 200.
func notAccepted(status int) error {
	err := fmt.Errorf("the ingress answered %d", status)
	if hint := statusHints[status]; hint != "" {
		return hinted(err, "%s", hint)
	}
	return err
}
