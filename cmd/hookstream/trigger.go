package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/yousign"
)

// triggerCommand sends one sample, by itself to an ingress URL or by way of the
// gateway, which has the secret.
type triggerCommand struct {
	connection
	output
	Provider string `arg:"" enum:"yousign,ignisign" help:"Whose sample to send: yousign or ignisign."`
	Type     string `arg:"" optional:"" help:"The type, as event-types lists it; the provider's most usual one unless given."`

	Source string `help:"Have the gateway send it to this source's ingress: no secret is needed here. Yousign only." placeholder:"ID" group:"Where to"`
	URL    string `name:"url" help:"Send it to this URL of an ingress, signed here." placeholder:"URL" group:"Where to"`

	SecretFile string `help:"With --url: file that holds the subscription's secret key, - for standard input; else $HOOKSTREAM_YOUSIGN_SECRET." placeholder:"FILE" group:"Yousign"`
	Body       string `help:"With --url: send this file, as it is, instead of a sample." placeholder:"FILE" group:"Yousign"`

	Simulator string `help:"With --url: simulator of Ignisign's API that makes the token: http://127.0.0.1:8090." placeholder:"URL" group:"Ignisign"`
	AppID     string `name:"app-id" help:"The application to send as." default:"appId_3f6c1b9e-5a27-4c0d-9b8e-7d41f2a6c053" placeholder:"ID" group:"Ignisign"`
	AppEnv    string `help:"Its environment." default:"DEVELOPMENT" placeholder:"ENV" group:"Ignisign"`
}

// sendTimeout is longer than a gateway takes to answer, whatever happens.
const sendTimeout = 15 * time.Second

// defaultTypes are what a trigger without a type sends.
var defaultTypes = map[string]string{
	"yousign":  "signature_request.done",
	"ignisign": "SIGNATURE_PROOF.GENERATED",
}

// Run sends the sample and says what the ingress answered.
func (c *triggerCommand) Run(ctx context.Context, p *program) error {
	if (c.Source == "") == (c.URL == "") {
		return misused("give either --url of an ingress, or --source to have the gateway send it")
	}
	if c.Type == "" {
		c.Type = defaultTypes[c.Provider]
	}
	if c.Source != "" {
		return c.bySource(ctx, p)
	}
	if _, err := url.ParseRequestURI(c.URL); err != nil {
		return misused("--url %s is no URL", c.URL)
	}
	if c.Provider == "ignisign" {
		return c.sendIgnisign(ctx, p)
	}
	return c.sendYousign(ctx, p)
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

func (c *triggerCommand) sendYousign(ctx context.Context, p *program) error {
	secret, err := p.newSecret(c.SecretFile, yousignSecretVariable)
	if err != nil {
		return err
	}
	body, id, err := c.yousignBody(p)
	if err != nil {
		return err
	}
	status, err := post(ctx, c.URL, body, http.Header{
		signatureHeader:       {yousign.Sign(secret, body)},
		"X-Yousign-Retry":     {"0"},
		"X-Yousign-Issued-At": {time.Now().UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return err
	}
	return c.answered(p, status, id)
}

// yousignBody is a sample with ids of its own, or the file that was given.
func (c *triggerCommand) yousignBody(p *program) (body []byte, id string, err error) {
	if c.Body != "" {
		body, err = p.readFile(c.Body, maxCapturedBytes)
		return body, "", err
	}
	body, id, err = yousign.Sample(c.Type, time.Now())
	if err != nil {
		return nil, "", hinted(err, "`hookstream event-types yousign` lists the types")
	}
	return body, id, nil
}

// answered says what the ingress answered.
func (c *triggerCommand) answered(p *program, status int, id string) error {
	var err error
	if c.forProgram() {
		err = c.write(p.stdout, &hookstreamv1.SendSourceTestEventResponse{
			HttpStatus: int32(status), Type: c.Type, ProviderEventId: id,
		})
	} else {
		_, err = fmt.Fprintln(p.stdout, strings.TrimRight(fmt.Sprintf("%d %s %s", status, c.Type, id), " "))
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
