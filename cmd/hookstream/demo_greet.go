package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/google/uuid"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/provider/yousign"
)

// greet says what runs where, and how to take part. Every command in it works as
// it stands.
func (d *demo) greet(p *program) error {
	body := greetingBody(time.Now())
	return greeting.Execute(p.stdout, map[string]string{
		"Version":   app.Version,
		"Command":   ownCommand(),
		"Ingress":   d.addrs.Ingress,
		"GRPC":      d.addrs.GRPC,
		"HTTP":      d.addrs.HTTP,
		"Yousign":   d.senders.yousignURL,
		"Ignisign":  d.senders.ignisignURL,
		"API":       d.senders.api.URL(),
		"Signature": yousign.Sign(d.senders.secret, []byte(body)),
		"Body":      body,
	})
}

var greeting = template.Must(template.New("greeting").Parse(`hookstream {{.Version}}: a gateway, both senders and a consumer, on this machine only. Ctrl-C ends it.

  ingress     http://{{.Ingress}}
  gRPC        {{.GRPC}}
  REST, docs  http://{{.HTTP}}/docs
  Ignisign    {{.API}} (simulated)

Send something of your own. Sent twice, it is published once:

  curl '{{.Yousign}}' \
    -H 'Content-Type: application/json' \
    -H 'X-Yousign-Signature-256: {{.Signature}}' \
    -d '{{.Body}}'

By a command, with ids of its own each time:

  {{.Command}} trigger yousign signer.declined \
    --server {{.GRPC}} --source demo-yousign
  {{.Command}} trigger ignisign SIGNATURE_PROOF.GENERATED \
    --simulator {{.API}} \
    --url '{{.Ignisign}}'

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

// greetingBody is a small webhook of Yousign that fits into a shell's quotes.
func greetingBody(now time.Time) string {
	return `{"event_id":"` + uuid.NewString() + `","event_name":"signer.done","event_time":"` + strconv.FormatInt(now.Unix(), 10) +
		`","sandbox":true,"data":{"signature_request":{"id":"` + uuid.NewString() + `","status":"ongoing","name":"Sent by hand"},"signer":{"status":"signed"}}}`
}
