package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/hookstream/hookstream/app"
)

// encryptionKeyVariable holds the key that protects the sources' credentials.
const encryptionKeyVariable = "HOOKSTREAM_ENCRYPTION_KEY"

// A serveCommand has a flag for every field of app.Options.
type serveCommand struct {
	IngressAddr          string   `help:"Where senders post to: the only listener meant to face the internet." default:"${ingress_addr}" placeholder:"ADDR" group:"Listeners"`
	GRPCAddr             string   `name:"grpc-addr" help:"Where consumers subscribe." default:"${grpc_addr}" placeholder:"ADDR" group:"Listeners"`
	HTTPAddr             string   `name:"http-addr" help:"REST, its documentation, metrics and health." default:"${http_addr}" placeholder:"ADDR" group:"Listeners"`
	PProfAddr            string   `name:"pprof-addr" help:"Serve runtime profiles here." placeholder:"ADDR" group:"Listeners" hidden:""`
	AllowedHosts         []string `help:"Host names under which the HTTP listener may be reached, besides localhost and addresses: those of a proxy in front of it; * is any. Unless one is named, none on loopback and any elsewhere." placeholder:"HOST" group:"Listeners"`
	TLSCert              string   `name:"tls-cert" help:"PEM certificate for gRPC and HTTP." placeholder:"FILE" group:"Listeners"`
	TLSKey               string   `name:"tls-key" help:"PEM key of that certificate." placeholder:"FILE" group:"Listeners"`
	AllowUnauthenticated bool     `help:"Let other machines reach gRPC and HTTP, although nobody is asked who they are." group:"Listeners"`

	DataDir           string `help:"Everything the gateway keeps." default:"${data_dir}" placeholder:"DIR" group:"Keeping"`
	Durability        string `help:"What an acknowledged event survives: sync, the end of the machine; relaxed, the end of the process." enum:"sync,relaxed" default:"${durability}" placeholder:"sync|relaxed" group:"Keeping"`
	RetentionAge      span   `help:"Drop events older than this; 0s keeps them." default:"${retention_age}" placeholder:"DURATION" group:"Keeping"`
	RetentionBytes    size   `help:"Drop the oldest events above this size; 0 is no bound." default:"${retention_bytes}" placeholder:"SIZE" group:"Keeping"`
	RetentionEvents   int64  `help:"Drop the oldest events above this number; 0 is no bound." default:"${retention_events}" placeholder:"N" group:"Keeping"`
	DedupWindow       span   `help:"How long senders' event ids are remembered." default:"${dedup_window}" placeholder:"DURATION" group:"Keeping"`
	MinFreeBytes      size   `help:"Free disk below which senders are answered with 503." default:"${min_free_bytes}" placeholder:"SIZE" group:"Keeping"`
	EncryptionKeyFile string `help:"Key that protects the sources' credentials: 32 bytes in base64 or hex; not read when $HOOKSTREAM_ENCRYPTION_KEY is set; without either, a file in the data directory, made at the first start." placeholder:"FILE" group:"Keeping"`

	NATSURL         string `name:"nats-url" help:"Use this NATS cluster instead of the engine inside." placeholder:"URL" group:"NATS"`
	NATSCreds       string `name:"nats-creds" help:"Credentials file for it." placeholder:"FILE" group:"NATS"`
	NATSCA          string `name:"nats-ca" help:"PEM authorities to trust." placeholder:"FILE" group:"NATS"`
	NATSCert        string `name:"nats-cert" help:"PEM client certificate." placeholder:"FILE" group:"NATS"`
	NATSKey         string `name:"nats-key" help:"PEM key of that certificate." placeholder:"FILE" group:"NATS"`
	NATSDomain      string `name:"nats-domain" help:"JetStream domain to use, when it is not that of the server that is connected to." placeholder:"NAME" group:"NATS"`
	NATSInboxPrefix string `name:"nats-inbox-prefix" help:"What begins the subjects on which the gateway is answered, for a user who may not subscribe to _INBOX.>." placeholder:"SUBJECT" group:"NATS"`
	Replicas        int    `help:"Replicas of every stream on the cluster." default:"${replicas}" placeholder:"N" group:"NATS"`

	MaxBodyBytes    size           `help:"The largest body that is accepted." default:"${max_body_bytes}" placeholder:"SIZE" group:"Limits"`
	SourceRate      float64        `help:"Requests per second of a source that sets none; 0 is no bound." default:"${source_rate}" placeholder:"N" group:"Limits"`
	VerifyWait      time.Duration  `help:"How long a sender that has to be asked waits for its own verdict before it gets its 200." default:"${verify_wait}" placeholder:"DURATION" group:"Limits"`
	Verifiers       int            `help:"How many questions to senders are open at once." default:"${verifiers}" placeholder:"N" group:"Limits"`
	InboxMaxRows    int64          `help:"Requests that may wait for a sender's verdict." default:"${inbox_max_rows}" placeholder:"N" group:"Limits"`
	InboxMaxBytes   size           `help:"Their bytes." default:"${inbox_max_bytes}" placeholder:"SIZE" group:"Limits"`
	ParkedMaxBytes  size           `help:"What subscriptions may have parked, all together; 0 is no bound." default:"${parked_max_bytes}" placeholder:"SIZE" group:"Limits"`
	MaxConns        int            `name:"max-ingress-connections" help:"Connections of senders at once: silent ones are given up for new ones; 0 is a share of the descriptors that the process may have." default:"0" placeholder:"N" group:"Limits"`
	MaxConnsPerAddr int            `name:"max-connections-per-address" help:"How many of them one address may have; 0 is half." default:"0" placeholder:"N" group:"Limits"`
	TrustedProxies  []netip.Prefix `help:"Networks of proxies and balancers before the ingress, whose addresses stand for many senders." placeholder:"CIDR,..." group:"Limits"`

	MaxStreams  int           `help:"Open Subscribe streams." default:"${max_streams}" placeholder:"N" group:"Limits"`
	PeerTimeout time.Duration `help:"How long a stream of a subscription whose deliveries expire may settle none until it is ended." default:"${peer_timeout}" placeholder:"DURATION" group:"Limits"`
	DrainGrace  time.Duration `help:"How long streams get to go elsewhere when the gateway stops." default:"${drain_grace}" placeholder:"DURATION" group:"Limits"`

	LogFormat string     `help:"Form of the log on standard error." enum:"text,json" default:"text" placeholder:"text|json" group:"Log"`
	LogLevel  slog.Level `help:"The least level that is logged: debug, info, warn, error." default:"info" placeholder:"LEVEL" group:"Log"`
}

// defaults are values of flags that are said elsewhere: most are those of
// app.Options.
func defaults() kong.Vars {
	o := app.DefaultOptions()
	return kong.Vars{
		"ingress_addr":     o.IngressAddr,
		"grpc_addr":        o.GRPCAddr,
		"http_addr":        o.HTTPAddr,
		"data_dir":         o.DataDir,
		"durability":       o.Durability,
		"retention_age":    span(o.RetentionAge).String(),
		"retention_bytes":  size(o.RetentionBytes).String(),
		"retention_events": strconv.FormatInt(o.RetentionEvents, 10),
		"dedup_window":     span(o.DedupWindow).String(),
		"min_free_bytes":   size(o.MinFreeBytes).String(),
		"replicas":         strconv.Itoa(o.Replicas),
		"max_body_bytes":   size(o.MaxBodyBytes).String(),
		"source_rate":      strconv.FormatFloat(o.SourceRate, 'f', -1, 64),
		"verify_wait":      o.VerifyWait.String(),
		"verifiers":        strconv.Itoa(o.Verifiers),
		"inbox_max_rows":   strconv.FormatInt(o.InboxMaxRows, 10),
		"inbox_max_bytes":  size(o.InboxMaxBytes).String(),
		"parked_max_bytes": size(o.ParkedMaxBytes).String(),
		"max_streams":      strconv.Itoa(o.MaxStreams),
		"peer_timeout":     o.PeerTimeout.String(),
		"drain_grace":      o.DrainGrace.String(),
		"triggered":        strings.Join(ids(triggered()), ","),
		"triggered_words":  strings.Join(ids(triggered()), " or "),
	}
}

func (c *serveCommand) options(p *program) app.Options {
	o := app.DefaultOptions()
	o.IngressAddr, o.GRPCAddr, o.HTTPAddr = c.IngressAddr, c.GRPCAddr, c.HTTPAddr
	o.PProfAddr, o.AllowedHosts = c.PProfAddr, c.AllowedHosts
	o.TLSCert, o.TLSKey, o.AllowUnauthenticated = c.TLSCert, c.TLSKey, c.AllowUnauthenticated
	o.DataDir, o.Durability = c.DataDir, c.Durability
	o.RetentionAge, o.RetentionBytes, o.RetentionEvents = time.Duration(c.RetentionAge), int64(c.RetentionBytes), c.RetentionEvents
	o.DedupWindow, o.MinFreeBytes = time.Duration(c.DedupWindow), int64(c.MinFreeBytes)
	o.EncryptionKey, o.EncryptionKeyFile = p.getenv(encryptionKeyVariable), c.EncryptionKeyFile
	o.NATSURL, o.NATSCreds, o.NATSCA, o.NATSCert, o.NATSKey = c.NATSURL, c.NATSCreds, c.NATSCA, c.NATSCert, c.NATSKey
	o.NATSDomain, o.NATSInboxPrefix, o.Replicas = c.NATSDomain, c.NATSInboxPrefix, c.Replicas
	o.MaxBodyBytes, o.SourceRate, o.VerifyWait, o.Verifiers = int(c.MaxBodyBytes), c.SourceRate, c.VerifyWait, c.Verifiers
	o.InboxMaxRows, o.InboxMaxBytes, o.ParkedMaxBytes = c.InboxMaxRows, int64(c.InboxMaxBytes), int64(c.ParkedMaxBytes)
	o.MaxConns, o.MaxConnsPerAddress, o.TrustedProxies = c.MaxConns, c.MaxConnsPerAddr, c.TrustedProxies
	o.MaxStreams, o.PeerTimeout, o.DrainGrace = c.MaxStreams, c.PeerTimeout, c.DrainGrace
	o.Logger = c.logger(p)
	return o
}

func (c *serveCommand) logger(p *program) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.stderr, options))
}

// Run serves until ctx ends, which is no error.
func (c *serveCommand) Run(ctx context.Context, p *program) error {
	options := c.options(p)
	if err := options.Validate(); err != nil {
		return usageError{hinted(severalLines(err), "hookstream serve --help lists the options")}
	}
	c.makeRoomForSyncs(p)
	gateway, err := app.New(ctx, options)
	if err != nil {
		return startError(err, "another gateway may be running; --ingress-addr, --grpc-addr and --http-addr take other ports")
	}
	if isTerminal(p.stdout) {
		c.greet(p, gateway.Addrs())
	}
	return gateway.Run(ctx)
}

// makeRoomForSyncs lets Go run on one thread more than it would choose: of those,
// one is in an fdatasync most of the time, and is missed until the runtime notices,
// which takes it a good part of a sync. An operator who has chosen a number is
// obeyed.
func (c *serveCommand) makeRoomForSyncs(p *program) {
	if c.NATSURL == "" && c.Durability == "sync" && p.getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// greet tells people what runs where, and what to do next.
func (c *serveCommand) greet(p *program, addrs app.Addrs) {
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	fmt.Fprintf(p.stdout, "hookstream %s: ingress http://%s, gRPC %s, REST and docs %s://%s/docs\n",
		app.Version, addrs.Ingress, addrs.GRPC, scheme, addrs.HTTP)
	server := ""
	if addrs.GRPC != app.DefaultOptions().GRPCAddr {
		server = " --server " + addrs.GRPC
	}
	if c.TLSCert != "" {
		server += " --tls"
	}
	fmt.Fprintf(p.stdout, "  a place for a sender to post to:  hookstream sources create %s billing --generate-secret%s\n", exampleProvider(), server)
	fmt.Fprintf(p.stdout, "  follow what arrives:              hookstream tail%s\n", server)
}

// startError says what may be done when what a command runs does not start: where
// ports are taken, what the command says.
func startError(err error, taken string) error {
	switch text := err.Error(); {
	case strings.Contains(text, "address already in use"):
		return hinted(err, "%s", taken)
	case strings.Contains(text, "permission denied"):
		return hinted(err, "may this user write to --data-dir, and use these ports?")
	}
	return err
}

// severalLines shows joined errors one below the other.
func severalLines(err error) error {
	lines := strings.Split(err.Error(), "\n")
	if len(lines) == 1 {
		return err
	}
	return errors.New("several options cannot work:\n  " + strings.Join(lines, "\n  "))
}
