package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// verifyCommand checks captured requests without a gateway, and kept ones by it.
type verifyCommand struct {
	Of   kong.Plugins       `embed:""`
	Kept verifyEventCommand `cmd:"" default:"withargs" name:"kept" help:"Check again, from what is kept with an event, that its sender vouched for it: verify --event events/…"`
}

// newVerifyCommand makes the command with one for each provider.
func newVerifyCommand() verifyCommand {
	return verifyCommand{Of: subcommands("Check a captured request of %s.", func(p provider.Provider) any {
		return newVerifyOf(p)
	})}
}

// verifyOf checks a captured request of one provider.
type verifyOf struct {
	Body   string      `required:"" help:"File that holds the body as it arrived, - for standard input." placeholder:"FILE"`
	Header []string    `sep:"none" help:"A header of the request, as it arrived; may be repeated." placeholder:"NAME: VALUE"`
	Config configFlags `embed:""`
}

// What evidence there is besides.
const (
	signatureFlag = "signature"
	askFlag       = "ask"
	yesFlag       = "yes"
)

func newVerifyOf(p provider.Provider) verifyOf {
	evidence := evidenceOf(p, nil)
	words := provider.Words(p)
	flags := providerFlags(p, words)
	if words.Credential.Field != "" {
		flags = append(flags, secretFlag(words.Credential))
	}
	if evidence.Asking != "" {
		onlyToAsk(flags, words)
		flags = append(flags,
			textFlag{name: askFlag, yes: true, help: evidence.Asking + " Needs --yes."},
			textFlag{name: yesFlag, yes: true, help: "Do so."},
		)
	}
	if evidence.Header != "" {
		flags = append(flags, textFlag{
			name: signatureFlag, required: true, placeholder: "HEADER",
			help: fmt.Sprintf("Value of the header %s: %s.", evidence.Header, evidence.Form),
		})
	}
	return verifyOf{Config: configFlags{newTextFlags(flags), p}}
}

// evidenceOf answers what a provider examines of a request of a source.
func evidenceOf(p provider.Provider, src *hookstreamv1.Source) provider.Evidence {
	if p, ok := p.(provider.Examiner); ok {
		return p.Evidence(src)
	}
	return provider.Evidence{}
}

// onlyToAsk says of flags that a request does not depend on what they are for.
func onlyToAsk(flags []textFlag, words provider.Settings) {
	for i := range flags {
		about := slices.IndexFunc(words.Others, func(s provider.Setting) bool { return s.Name() == flags[i].name })
		if about < 0 || !words.Others[about].InRequests {
			flags[i].help = "With --ask: " + lowerFirst(flags[i].help)
		}
	}
}

// lowerFirst goes on with a sentence.
func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }

// maxCapturedBytes is more than any gateway accepts.
const maxCapturedBytes = 16 << 20

// Run says whether the request is genuine and, if not, which step failed.
func (c *verifyOf) Run(ctx context.Context, p *program) error {
	given := c.Config.given()
	ask := given[askFlag] == "true"
	switch {
	case ask && given[yesFlag] != "true":
		return misused("--ask spends what can be asked about once: say --yes to do so")
	case c.Body == "-" && given[secretFile] == "-":
		return misused("--body and --secret-file cannot both read standard input")
	}
	src, err := c.source(p, given, ask)
	if err != nil {
		return err
	}
	body, err := p.readFile(c.Body, maxCapturedBytes)
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	header, err := c.header(src, given[signatureFlag])
	if err != nil {
		return err
	}
	r := newReport(p.stdout)
	defer r.end()
	return providers().Examine(ctx, provider.Examination{
		Source: src, Ask: ask, Step: r.step, Detail: r.step,
		Request: &provider.Request{Header: header, Body: body, ReceiveTime: time.Now()},
	})
}

// source is one that the request may be of. Its credential is needed unless it is only
// for asking. What is wrong with the credential is what the examination is about.
func (c *verifyOf) source(p *program, given map[string]string, ask bool) (*hookstreamv1.Source, error) {
	credential := ""
	if words := provider.Words(c.Config.provider); words.Credential.Field != "" && (ask || evidenceOf(c.Config.provider, nil).Asking == "") {
		var err error
		if credential, err = p.secret(given[secretFile], words.Credential.Variable); err != nil {
			return nil, err
		}
	}
	src := &hookstreamv1.Source{}
	return src, c.Config.source(src, credential)
}

// header answers the headers that were given, and the signature by the name that it
// has at the source.
func (c *verifyOf) header(src *hookstreamv1.Source, signature string) (http.Header, error) {
	header := http.Header{}
	for _, line := range c.Header {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, misused("--header %q: want NAME: VALUE", line)
		}
		header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if signature != "" {
		name := evidenceOf(c.Config.provider, src).Header
		header.Set(name, headerValue(name, signature))
	}
	return header, nil
}

// headerValue accepts a whole header line where its value was asked for.
func headerValue(header, line string) string {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !strings.EqualFold(strings.TrimSpace(name), header) {
		return line
	}
	return strings.TrimSpace(value)
}

// A report tells step by step how a check went.
type report struct{ out *tabwriter.Writer }

func newReport(w io.Writer) report { return report{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)} }

// step tells one step. What it says is for people and holds no secret.
func (r report) step(name, format string, args ...any) {
	fmt.Fprintf(r.out, "%s\t%s\n", name, oneLine(fmt.Sprintf(format, args...)))
}

func (r report) end() { _ = r.out.Flush() }

func nonEmpty(texts []string) []string {
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}
