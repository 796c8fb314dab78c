package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/provider"
)

// greet says what runs where, and how to take part. Every command in it works as
// it stands.
func (d *demo) greet(p *program) error {
	g := greetingOf{Version: app.Version, Command: ownCommand(), Ingress: d.addrs.Ingress, GRPC: d.addrs.GRPC, HTTP: d.addrs.HTTP}
	for _, one := range d.senders.all {
		g.add(one)
	}
	return greeting.Execute(p.stdout, g)
}

// A greetingOf is what the greeting tells.
type greetingOf struct {
	Version, Command, Ingress, GRPC, HTTP string

	APIs     []apiLine
	Posts    []postLine // by hand
	Triggers []string   // arguments of the command
}

type apiLine struct{ Name, URL string }

type postLine struct {
	URL     string
	Headers []string
	Body    string
}

// add tells of a sender.
func (g *greetingOf) add(one demoSender) {
	if url := one.player.URL(); url != "" {
		g.APIs = append(g.APIs, apiLine{pad(one.Info().GetDisplayName(), len("REST, docs")), url})
	}
	typ := provider.ExampleType(one.Provider)
	if !signs(one.Provider) {
		g.Triggers = append(g.Triggers, fmt.Sprintf("%s %s \\\n    --simulator %s \\\n    --url '%s'", one.id(), typ, one.player.URL(), one.url))
		return
	}
	g.Triggers = append(g.Triggers, fmt.Sprintf("%s %s \\\n    --server %s --source %s", one.id(), typ, g.GRPC, one.source))
	if post, ok := one.byHand(time.Now()); ok {
		g.Posts = append(g.Posts, post)
	}
}

// byHand answers a small event that can be posted from a shell.
func (s demoSender) byHand(now time.Time) (post postLine, ok bool) {
	signer, ok := s.Provider.(provider.Signer)
	if !ok || s.Repertoire().ByHand == nil {
		return post, false
	}
	body := s.Repertoire().ByHand(now)
	header, err := signer.Sign(s.player.Source(), body)
	if err != nil {
		return post, false
	}
	post = postLine{URL: s.url, Body: string(body), Headers: []string{"Content-Type: application/json"}}
	for name := range header {
		post.Headers = append(post.Headers, name+": "+header.Get(name))
	}
	return post, true
}

var greeting = template.Must(template.New("greeting").Parse(`hookstream {{.Version}}: a gateway, both senders and a consumer, on this machine only. Ctrl-C ends it.

  ingress     http://{{.Ingress}}
  gRPC        {{.GRPC}}
  REST, docs  http://{{.HTTP}}/docs
{{range .APIs}}  {{.Name}}  {{.URL}} (simulated)
{{end}}
{{range .Posts}}Send something of your own. Sent twice, it is published once:

  curl '{{.URL}}' \
{{range .Headers}}    -H '{{.}}' \
{{end}}    -d '{{.Body}}'

{{end}}By a command, with ids of its own each time:

{{range .Triggers}}  {{$.Command}} trigger {{.}}
{{end}}
Subscribe from elsewhere:

  {{.Command}} tail --server {{.GRPC}} --type 'signer.*'
  grpcurl -plaintext -d '{"earliest":true}' {{.GRPC}} \
    hookstream.v1.EventService/Subscribe
  curl -N 'http://{{.HTTP}}/v1/events:subscribe?earliest=true'

What the senders send, as it comes out:

`))

// ownCommand is what a shell in this directory calls this program by: its name when
// it is on the PATH, else its path.
func ownCommand() string {
	exe, err := os.Executable()
	if err != nil {
		return "hookstream"
	}
	own, err := os.Stat(exe)
	if err != nil {
		return "hookstream"
	}
	if path, err := exec.LookPath("hookstream"); err == nil {
		if found, err := os.Stat(path); err == nil && os.SameFile(own, found) {
			return "hookstream"
		}
	}
	if dir, err := os.Getwd(); err == nil {
		if near, err := filepath.Rel(dir, exe); err == nil && !strings.HasPrefix(near, "..") {
			return shellWord("." + string(filepath.Separator) + near)
		}
	}
	return shellWord(exe)
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if strings.ContainsAny(s, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
