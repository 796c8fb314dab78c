package app_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hookstream/hookstream/app"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// With a certificate, gRPC and HTTP are served over TLS and not without it.
func TestTLS(t *testing.T) {
	ca := newAuthority(t, t.TempDir())
	ca.issue(t, "server")
	o := options(t)
	o.TLSCert, o.TLSKey = ca.file("server.pem"), ca.file("server.key")
	g := start(t, o) // its own connection is without TLS
	text, err := os.ReadFile(ca.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	trust := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}

	conn, err := grpc.NewClient(g.Addrs().GRPC, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := hookstreamv1.NewCatalogServiceClient(conn).ListProviders(t.Context(), &hookstreamv1.ListProvidersRequest{}); err != nil {
		t.Errorf("gRPC over TLS: %v", err)
	}
	if _, err := hookstreamv1.NewCatalogServiceClient(g.conn).ListProviders(t.Context(), &hookstreamv1.ListProvidersRequest{}); err == nil {
		t.Error("gRPC is answered without TLS")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	resp, err := client.Get("https://" + g.Addrs().HTTP + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HTTP over TLS: %d", resp.StatusCode)
	}
}

func TestTLSFilesThatAreNotThere(t *testing.T) {
	o := options(t)
	o.TLSCert, o.TLSKey = "no.pem", "no.key"
	if _, err := app.New(t.Context(), o); err == nil {
		t.Error("it starts without its certificate")
	}
}
