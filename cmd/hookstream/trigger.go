package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// triggerCommand sends one sample, by itself to an ingress URL or by way of the
// gateway, which has the secret.
type triggerCommand struct {
	connection
	output
	Provider string `arg:"" enum:"${triggered}" help:"Whose sample to send: ${triggered_words}."`
	Type     string `arg:"" optional:"" help:"The type, as event-types lists it; the provider's most usual one unless given."`

	Source string    `help:"Have the gateway send it to this source's ingress: no secret is needed here. Where it can sign for the sender only." placeholder:"ID" group:"Where to"`
	URL    string    `name:"url" help:"Send it to this URL of an ingress, signed here." placeholder:"URL" group:"Where to"`
	Config textFlags `embed:""` // made by newTriggerCommand
}

// Flags of a sample that is sent from here.
const (
	bodyFlag      = "body"
	simulatorFlag = "simulator"
)

// newTriggerCommand makes the command with the flags of all providers.
func newTriggerCommand() triggerCommand {
	var flags []textFlag
	for _, p := range triggered() {
		flags = append(flags, triggerFlags(p)...)
	}
	return triggerCommand{Config: newTextFlags(merged(flags))}
}

// triggered are the providers of which a sample can be had: signed by whoever has the
// secret, or with a proof that a simulator lends.
func triggered() []provider.Provider {
	return slices.DeleteFunc(kinds(), func(p provider.Provider) bool {
		_, lent := p.(provider.Borrower)
		return !lent && !signs(p)
	})
}

// triggerFlags are those of a provider, for what is sent from here.
func triggerFlags(p provider.Provider) []textFlag {
	words := provider.Words(p)
	var flags []textFlag
	for i, f := range providerFlags(p, words) {
		if words.Others[i].InRequests {
			flags = append(flags, f)
		}
	}
	if signs(p) {
		flags = append(flags, secretFlag(words.Credential))
	}
	if _, ok := p.(provider.Signer); ok {
		flags = append(flags, textFlag{name: bodyFlag, placeholder: "FILE", help: "Send this file, as it is, instead of a sample."})
	}
	if _, ok := p.(provider.Borrower); ok {
		flags = append(flags, textFlag{
			name: simulatorFlag, placeholder: "URL",
			help: "Simulator of " + p.Info().GetDisplayName() + "'s API that makes what only the sender can: http://127.0.0.1:8090.",
		})
	}
	for i := range flags {
		flags[i].help, flags[i].group = "With --url: "+lowerFirst(flags[i].help), p.Info().GetDisplayName()
		flags[i].value, flags[i].required = "", false
	}
	return flags
}

// sendTimeout is longer than a gateway takes to answer, whatever happens.
const sendTimeout = 15 * time.Second

// Run sends the sample and says what the ingress answered.
func (c *triggerCommand) Run(ctx context.Context, p *program) error {
	if (c.Source == "") == (c.URL == "") {
		return misused("give either --url of an ingress, or --source to have the gateway send it")
	}
	if c.Source != "" {
		return c.bySource(ctx, p)
	}
	if _, err := url.ParseRequestURI(c.URL); err != nil {
		return misused("--url %s is no URL", c.URL)
	}
	sample, err := c.sample(ctx, p)
	if err != nil {
		return err
	}
	status, err := post(ctx, c.URL, sample.Body, sample.Header)
	if err != nil {
		return err
	}
	return c.answered(p, status, sample)
}

// bySource has the gateway send it, after checking that the source is of the
// provider that was named.
func (c *triggerCommand) bySource(ctx context.Context, p *program) error {
	return c.withSources(ctx, func(ctx context.Context, client hookstreamv1.SourceServiceClient) error {
		name := sourceName(c.Source)
		src, err := client.GetSource(ctx, &hookstreamv1.GetSourceRequest{Name: name})
		if err != nil {
			return err
		}
		if provider.IDOf(src) != c.Provider {
			return fmt.Errorf("%s is of %s, not of %s", name, provider.IDOf(src), c.Provider)
		}
		return sendTest(ctx, p, client, c.output, name, c.Type)
	})
}

// sample answers what is sent from here.
func (c *triggerCommand) sample(ctx context.Context, p *program) (*provider.Sample, error) {
	i := slices.IndexFunc(triggered(), func(p provider.Provider) bool { return p.Info().GetId() == c.Provider })
	of := triggered()[i]
	given, words := c.Config.given(), provider.Words(of)
	texts := fieldsOf(words, given)
	if signs(of) {
		secret, err := p.newSecret(given[secretFile], words.Credential.Variable)
		if err != nil {
			return nil, err
		}
		texts[words.Credential.Field] = secret
	}
	src := &hookstreamv1.Source{}
	if err := provider.Configure(src, c.Provider, texts); err != nil {
		return nil, usageError{err}
	}
	if file := given[bodyFlag]; file != "" {
		return c.ofFile(p, of, src, file)
	}
	sample, err := c.sampleOf(ctx, of, src, given[simulatorFlag])
	if errors.Is(err, provider.ErrNoSuchType) {
		return nil, hinted(err, "`hookstream event-types %s` lists the types", c.Provider)
	}
	return sample, err
}

// sampleOf signs an example or has a simulator prove it.
func (c *triggerCommand) sampleOf(ctx context.Context, of provider.Provider, src *hookstreamv1.Source, simulator string) (*provider.Sample, error) {
	if of, ok := of.(provider.Sampler); ok {
		return of.Sample(src, c.Type, time.Now())
	}
	name := of.Info().GetDisplayName()
	if simulator == "" {
		return nil, hinted(misused("a sample of %s needs a proof that only its API can make: name a --simulator of it", name),
			"`hookstream simulate` plays %s's API, and the source must be one that asks it there", name)
	}
	return of.(provider.Borrower).Borrow(ctx, simulator, src, c.Type)
}

// ofFile signs a body as it is in a file.
func (c *triggerCommand) ofFile(p *program, of provider.Provider, src *hookstreamv1.Source, file string) (*provider.Sample, error) {
	signer, ok := of.(provider.Signer)
	if !ok {
		return nil, misused("--body: a request of %s cannot be signed here, its proof is the sender's alone to make", of.Info().GetDisplayName())
	}
	body, err := p.readFile(file, maxCapturedBytes)
	if err != nil {
		return nil, err
	}
	header, err := signer.Sign(src, body)
	return &provider.Sample{Type: c.Type, Header: header, Body: body}, err
}

// answered says what the ingress answered.
func (c *triggerCommand) answered(p *program, status int, sample *provider.Sample) error {
	var err error
	if c.forProgram() {
		err = c.write(p.stdout, &hookstreamv1.SendSourceTestEventResponse{
			HttpStatus: int32(status), Type: sample.Type, ProviderEventId: sample.EventID,
		})
	} else {
		_, err = fmt.Fprintln(p.stdout, strings.TrimRight(fmt.Sprintf("%d %s %s", status, sample.Type, sample.EventID), " "))
	}
	if err == nil && status != http.StatusOK {
		err = notAccepted(status)
	}
	return err
}

// post sends a webhook as a sender would: without following redirects.
func post(ctx context.Context, target string, body []byte, header http.Header) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hookstream-trigger")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return 0, hinted(unwrapURL(err), "is the gateway running, and is --url its ingress?")
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, nil
}

// unwrapURL leaves the URL out of an error: its last part is a key.
func unwrapURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("send: %w", e.Err)
	}
	return err
}
