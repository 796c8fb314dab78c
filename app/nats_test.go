package app_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/hookstream/hookstream/app"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A NATS server that asks for TLS, a client certificate and a credentials file
// gets them; without any of them the gateway does not start.
func TestNATSWithTLSAndCredentials(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	ca.issue(t, "server")
	ca.issue(t, "client")
	creds, auth := newAccount(t, dir)
	url := startSecuredNATS(t, ca, auth)

	good := options(t)
	good.NATSURL, good.EncryptionKey = url, strings.Repeat("ab", 32)
	good.NATSCreds = creds
	good.NATSCA, good.NATSCert, good.NATSKey = ca.file("ca.pem"), ca.file("client.pem"), ca.file("client.key")
	for what, change := range map[string]func(*app.Options){
		"authority":   func(o *app.Options) { o.NATSCA = "" },
		"certificate": func(o *app.Options) { o.NATSCert, o.NATSKey = "", "" },
		"credentials": func(o *app.Options) { o.NATSCreds = "" },
	} {
		bad := good
		bad.DataDir = t.TempDir()
		change(&bad)
		if a, err := app.New(t.Context(), bad); err == nil {
			t.Errorf("it starts without the %s", what)
			_ = a.Close()
		}
	}

	g := start(t, good)
	src := g.createSource("billing", yousignSource())
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if status := g.post(src.GetIngressPath(), vectorSignature, vectorBody); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	if e := next(t, stream); e.GetType() != "signer.done" {
		t.Errorf("event %v", e)
	}
}

// authority signs certificates for loopback.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir string) *authority {
	a := &authority{dir: dir}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = template, newKey(t)
	a.write(t, "ca", template, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) issue(t *testing.T, name string) {
	a.write(t, name, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, newKey(t))
}

func (a *authority) write(t *testing.T, name string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file(name+".pem"), "CERTIFICATE", der)
	writePEM(t, a.file(name+".key"), "EC PRIVATE KEY", keyDER)
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// natsAuth is what the server must know of the account.
type natsAuth struct {
	operator *jwt.OperatorClaims
	system   string // public key of the system account
	resolver *server.MemAccResolver
}

// newAccount makes an operator, an account with JetStream and a user, and
// answers the user's credentials file.
func newAccount(t *testing.T, dir string) (file string, auth natsAuth) {
	operator, _ := nkeys.CreateOperator()
	account, _ := nkeys.CreateAccount()
	user, _ := nkeys.CreateUser()
	opPub, _ := operator.PublicKey()
	accPub, _ := account.PublicKey()
	userPub, _ := user.PublicKey()

	opClaims := jwt.NewOperatorClaims(opPub)
	accClaims := jwt.NewAccountClaims(accPub)
	accClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accJWT, err := accClaims.Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	system, _ := nkeys.CreateAccount()
	sysPub, _ := system.PublicKey()
	sysJWT, err := jwt.NewAccountClaims(sysPub).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	userJWT, err := jwt.NewUserClaims(userPub).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, _ := user.Seed()
	creds, err := jwt.FormatUserConfig(userJWT, seed)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "user.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	resolver := new(server.MemAccResolver)
	if err := errors.Join(resolver.Store(accPub, accJWT), resolver.Store(sysPub, sysJWT)); err != nil {
		t.Fatal(err)
	}
	return file, natsAuth{operator: opClaims, system: sysPub, resolver: resolver}
}

func startSecuredNATS(t *testing.T, ca *authority, auth natsAuth) (url string) {
	cert, err := tls.LoadX509KeyPair(ca.file("server.pem"), ca.file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	text, err := os.ReadFile(ca.file("ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal("no authority", err)
	}
	addr := startNATS(t, &server.Options{
		MaxPayload:       8 << 20,
		TrustedOperators: []*jwt.OperatorClaims{auth.operator}, AccountResolver: auth.resolver, SystemAccount: auth.system,
		TLS: true, TLSVerify: true, TLSTimeout: 5,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12},
	})
	return "tls://" + addr
}

// A NATS server that takes less than the largest body is told of at the start, and
// one that takes next to nothing ends it: a gateway that is ready and refuses every
// sender would be noticed by senders only.
func TestNATSThatTakesLittle(t *testing.T) {
	for name, c := range map[string]struct {
		maxPayload int32
		refused    bool
		said       string
	}{
		"enough":          {2 << 20, false, ""},
		"NATS's default":  {1 << 20, false, "accepted_bytes=753664"},
		"less than a KiB": {288<<10 + 1000, true, "bodies of 1000 bytes"},
		"nothing":         {128 << 10, true, "bodies of 0 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(lockedText)
			o := options(t)
			o.NATSURL, o.EncryptionKey = "nats://"+startNATS(t, &server.Options{MaxPayload: c.maxPayload}), strings.Repeat("ab", 32)
			o.Logger = slog.New(slog.NewTextHandler(log, nil))
			a, err := app.New(t.Context(), o)
			if err == nil {
				err = a.Close()
			} else if c.refused {
				_, err = io.WriteString(log, err.Error())
			}
			if err != nil || (a == nil) != c.refused {
				t.Errorf("it starts: %v, and ends with %v", a != nil, err)
			}
			if said := log.String(); !strings.Contains(said, c.said) || strings.Contains(said, "max_payload") != (c.said != "") {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// lockedText is a log that may be read while others write.
type lockedText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startNATS starts a server of the options, with a store and a port of its own.
func startNATS(t *testing.T, o *server.Options) (url string) {
	t.Helper()
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	o.JetStream, o.StoreDir = true, t.TempDir()
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server did not start")
	}
	return s.Addr().String()
}
