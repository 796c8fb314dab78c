// Package app joins the parts of the gateway into one that starts and stops.
package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/subscription"
)

// Version is the version of this build: that of the file VERSION, and the commit.
var Version = hookstream.Version()

// Options say how a gateway runs. Every field is a flag of `hookstream serve`.
type Options struct {
	// IngressAddr is where senders post to: the only listener that is meant to
	// face the internet. Addresses are host:port; port 0 takes a free one.
	IngressAddr string
	// GRPCAddr is where consumers subscribe.
	GRPCAddr string
	// HTTPAddr serves REST, its documentation, metrics and health.
	HTTPAddr string
	// PProfAddr serves runtime profiles, for whoever measures. Empty: nowhere.
	PProfAddr string
	// AllowedHosts are host names under which HTTPAddr may be reached, besides
	// localhost and addresses; `*` is any. None named is none on loopback, and any
	// elsewhere.
	AllowedHosts []string
	// TLSCert and TLSKey are PEM files for GRPCAddr and HTTPAddr. Both or none.
	TLSCert, TLSKey string
	// AllowUnauthenticated lets GRPCAddr and HTTPAddr be reached from other
	// machines although the API asks nobody who they are.
	AllowUnauthenticated bool

	// DataDir holds everything the gateway keeps.
	DataDir string
	// Durability of the embedded engine: `sync` or `relaxed`.
	Durability string
	// NATSURL is an existing NATS cluster to use instead of the embedded engine.
	NATSURL string
	// NATSCreds is a credentials file for it; NATSCA, NATSCert and NATSKey are
	// PEM files for TLS with it.
	NATSCreds, NATSCA, NATSCert, NATSKey string
	// NATSDomain is the JetStream domain to use, when it is another than that of the
	// server that is connected to.
	NATSDomain string
	// NATSInboxPrefix begins the subjects on which the gateway is answered, for users
	// who may not subscribe to `_INBOX.>`. Empty: `_INBOX`.
	NATSInboxPrefix string
	// Replicas of every stream on that cluster.
	Replicas int
	// RetentionAge, RetentionBytes and RetentionEvents bound the log. 0: no bound.
	RetentionAge    time.Duration
	RetentionBytes  int64
	RetentionEvents int64
	// DedupWindow is how long a sender's event ids are remembered.
	DedupWindow time.Duration
	// MinFreeBytes of disk below which requests are answered with 503.
	MinFreeBytes int64

	// MaxBodyBytes is the largest body that is accepted.
	MaxBodyBytes int
	// VerifyWait is how long a sender waits for the answer of a remote
	// verification before it gets its 200.
	VerifyWait time.Duration
	// SourceRate is the most requests per second of a source that sets none.
	// 0: no bound.
	SourceRate float64
	// InboxMaxRows and InboxMaxBytes bound what waits for a remote verification.
	InboxMaxRows  int64
	InboxMaxBytes int64
	// ParkedMaxBytes bounds what subscriptions have parked. 0: no bound.
	ParkedMaxBytes int64
	// Verifiers is how many remote verifications run at once.
	Verifiers int

	// MaxConns is the most connections of the ingress. 0: a share of the descriptors
	// that the process may have.
	MaxConns int
	// MaxConnsPerAddress is how many of them one address may have, half of them when 0.
	// It does not hold for TrustedProxies, behind which there are many senders.
	MaxConnsPerAddress int
	TrustedProxies     []netip.Prefix
	// MaxStreams is the most open Subscribe streams.
	MaxStreams int
	// PeerTimeout is for how long a stream of a subscription whose deliveries expire
	// may settle none until it is ended: nobody seems to be there.
	PeerTimeout time.Duration
	// DrainGrace is how long streams get to go elsewhere when the gateway stops.
	DrainGrace time.Duration

	// EncryptionKey protects the sources' credentials at rest: 32 bytes in
	// base64 or hex. Empty: EncryptionKeyFile is used. Comes from the
	// environment, never from a flag.
	EncryptionKey string
	// EncryptionKeyFile holds that key. Empty: a file in DataDir, made at the
	// first start. With NATSURL one of the two is required: all gateways must
	// share it.
	EncryptionKeyFile string

	// Logger takes the gateway's log. Required.
	Logger *slog.Logger
}

// DefaultOptions are a gateway on loopback with the embedded engine.
func DefaultOptions() Options {
	log := jetstream.DefaultOptions()
	return Options{
		IngressAddr:     "127.0.0.1:8080",
		GRPCAddr:        "127.0.0.1:9090",
		HTTPAddr:        "127.0.0.1:9091",
		DataDir:         log.Dir,
		Durability:      string(log.Durability),
		Replicas:        log.Replicas,
		RetentionAge:    log.MaxAge,
		RetentionBytes:  log.MaxBytes,
		RetentionEvents: log.MaxEvents,
		DedupWindow:     log.DedupWindow,
		MinFreeBytes:    log.MinFreeBytes,
		MaxBodyBytes:    1 << 20,
		VerifyWait:      2 * time.Second,
		SourceRate:      2000,
		InboxMaxRows:    log.InboxMaxRows,
		InboxMaxBytes:   log.InboxMaxBytes,
		ParkedMaxBytes:  log.ParkedMaxBytes,
		Verifiers:       64,
		MaxStreams:      20_000,
		PeerTimeout:     subscription.DefaultPeerTimeout,
		DrainGrace:      5 * time.Second,
		Logger:          slog.New(slog.DiscardHandler),
	}
}

// Validate tells what cannot work, all at once, in words for the operator.
func (o Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for name, addr := range map[string]string{"ingress": o.IngressAddr, "gRPC": o.GRPCAddr, "HTTP": o.HTTPAddr} {
		_, _, err := net.SplitHostPort(addr)
		check(err == nil, "the %s address %q is not host:port", name, addr)
	}
	check((o.TLSCert == "") == (o.TLSKey == ""), "TLS needs both a certificate and a key")
	if o.PProfAddr != "" {
		_, _, err := net.SplitHostPort(o.PProfAddr)
		check(err == nil, "the pprof address %q is not host:port", o.PProfAddr)
	}
	for name, addr := range map[string]string{"gRPC": o.GRPCAddr, "HTTP": o.HTTPAddr, "pprof": o.PProfAddr} {
		check(o.AllowUnauthenticated || isLoopback(addr),
			"the %s address %s can be reached from other machines, and the API asks nobody who they are; put it behind something that does and say --allow-unauthenticated", name, addr)
	}
	check((o.NATSCert == "") == (o.NATSKey == ""), "TLS to NATS needs both a certificate and a key")
	check(o.NATSURL != "" || o.NATSCreds == "" && o.NATSCA == "" && o.NATSCert == "", "credentials for NATS need --nats-url")
	check(o.NATSURL != "" || o.NATSDomain == "" && o.NATSInboxPrefix == "", "--nats-domain and --nats-inbox-prefix need --nats-url")
	check(o.NATSInboxPrefix == "" || isSubject(o.NATSInboxPrefix), "the prefix of inboxes is a subject without wildcards, which %q is not", o.NATSInboxPrefix)
	check(o.NATSURL == "" || o.EncryptionKey != "" || o.EncryptionKeyFile != "",
		"gateways that share a cluster must share the key that protects the sources' credentials: set HOOKSTREAM_ENCRYPTION_KEY or --encryption-key-file")
	check(o.MaxBodyBytes >= minBodyBytes && o.MaxBodyBytes <= 16<<20, "the largest body must be 1 KiB to 16 MiB")
	check(o.VerifyWait > 0 && o.VerifyWait <= 30*time.Second, "the wait for a verification must be up to 30 s")
	check(o.SourceRate >= 0, "the rate of a source must not be negative")
	check(o.Verifiers >= 1 && o.Verifiers <= 4096, "verifiers must be 1 to 4096")
	check(o.MaxConns >= 0 && o.MaxConnsPerAddress >= 0, "the number of connections must not be negative")
	check(o.MaxStreams >= 1, "at least one stream must be allowed")
	check(o.PeerTimeout >= time.Second && o.PeerTimeout <= 24*time.Hour, "the time that a silent consumer is given must be 1 s to 24 h")
	check(o.DrainGrace >= 0 && o.DrainGrace <= 10*time.Minute, "the grace for streams must be up to 10 minutes")
	if err := o.log().Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true // told elsewhere
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isSubject reports whether something can be published on.
func isSubject(s string) bool {
	return !strings.ContainsAny(s, "*> \t\r\n") && !slices.Contains(strings.Split(s, "."), "")
}

const (
	// rawOverhead is what an event adds to its body: metadata and headers.
	rawOverhead = 256 << 10
	// natsOverhead is what the max_payload of a NATS server must have beyond a body.
	natsOverhead = rawOverhead + jetstream.PayloadOverhead
	minBodyBytes = 1 << 10
)

// log are the options of the engine. Validate has been called.
func (o Options) log() jetstream.Options {
	l := jetstream.DefaultOptions()
	l.Version = Version
	l.Dir, l.Durability = o.DataDir, jetstream.Durability(o.Durability)
	l.URL, l.Domain, l.Replicas = o.NATSURL, o.NATSDomain, o.Replicas
	l.MaxAge, l.MaxBytes, l.MaxEvents = o.RetentionAge, o.RetentionBytes, o.RetentionEvents
	l.DedupWindow, l.MinFreeBytes = o.DedupWindow, o.MinFreeBytes
	l.MaxEntryBytes = o.MaxBodyBytes + rawOverhead
	l.InboxMaxRows, l.InboxMaxBytes, l.ParkedMaxBytes = o.InboxMaxRows, o.InboxMaxBytes, o.ParkedMaxBytes
	l.Logger = o.Logger
	return l
}
