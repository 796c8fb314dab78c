package app_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
)

// A damaged byte of whatever JetStream keeps for the gateway, and a description that is
// gone, is told: either the start is refused, with the file and what to do, which mends
// it, or what is configured is still there, and senders are not told that it is not.
func TestDamagedByteAnywhere(t *testing.T) {
	heavy.Test(t)
	dir, path := everythingKept(t)
	files := 0
	for _, pattern := range []string{"meta.inf", "meta.sum", "msgs/*.blk", "msgs/index.db"} {
		names, err := filepath.Glob(filepath.Join(dir, "jetstream/[$]G/streams/*", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		files += len(names)
		for _, name := range names {
			file, err := filepath.Rel(dir, name)
			if err != nil {
				t.Fatal(err)
			}
			short := strings.TrimPrefix(file, "jetstream/$G/streams/")
			t.Run(short, func(t *testing.T) {
				t.Parallel()
				checkDamaged(t, dir, file, path, flipMiddle)
			})
			if strings.HasPrefix(pattern, "meta.") {
				t.Run(short+" gone", func(t *testing.T) {
					t.Parallel()
					checkDamaged(t, dir, file, path, os.Remove)
				})
			}
		}
	}
	if files < 8*4 {
		t.Errorf("there are %d files, want four of each of eight streams and buckets", files)
	}
}

// everythingKept is a data directory with something in each stream and bucket, as an
// orderly stop left it, and the path of a source of it.
func everythingKept(t *testing.T) (dir, path string) {
	t.Helper()
	o := options(t)
	g := start(t, o)
	api := startSimulator(t, simulate.Options{})
	esign := g.createSource("esign", ignisignSource(api, 0)).GetIngressPath()
	if status := postIgnisign(t, api, "http://"+g.Addrs().Ingress+esign, "kept", api.MintToken(api.App().ID, api.App().Env)); status != http.StatusOK {
		t.Fatalf("Ignisign was answered %d", status)
	}
	path = g.createSource("billing", yousignSource()).GetIngressPath()
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm&earliest=true", `{"selector": {"sources": ["billing"]}}`)
	for n, verdict := range []string{"ACK", "RETRY", "PARK"} {
		g.webhook(path, n)
		ds := g.mustREST("POST", "/v1/subscriptions/crm:pull", `{"wait": "10s", "clientId": "curl", "maxEvents": 1}`)["deliveries"].([]any)
		g.mustREST("POST", "/v1/subscriptions/crm:acknowledge",
			fmt.Sprintf(`{"settlements": [{"ackToken": %q, "verdict": "VERDICT_%s"}]}`, ds[0].(map[string]any)["ackToken"], verdict))
	}
	if status := g.post(path, "sha256=none", vectorBody); status != http.StatusUnauthorized {
		t.Fatalf("a forgery was answered %d", status)
	}
	g.refused("source:billing", 1)
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	return o.DataDir, path
}

// flipMiddle damages one byte of a file.
func flipMiddle(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 0x10
	return os.WriteFile(name, b, 0o600)
}

func checkDamaged(t *testing.T, from, file, path string, damage func(name string) error) {
	t.Helper()
	o := options(t)
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	if err := os.CopyFS(o.DataDir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(o.DataDir, "secret.key"), 0o600); err != nil { // CopyFS opens it to others
		t.Fatal(err)
	}
	if err := damage(filepath.Join(o.DataDir, file)); err != nil {
		t.Fatal(err)
	}
	status, err := posted(t, o, path)
	told := log.String()
	if mustRefuse(file) {
		if err == nil {
			t.Fatalf("it started, and told a sender %d", status)
		}
		told = err.Error()
	} else if err != nil || status != http.StatusOK {
		t.Fatalf("a sender was told %d: %v", status, err)
	}
	if filepath.Base(file) == "index.db" || canBeDoneWithout(file) {
		return // JetStream makes it anew from the records; nobody needs it
	}
	wanted := []string{"the data directory is damaged", filepath.Base(filepath.Dir(strings.Replace(file, "/msgs/", "/", 1)))}
	if mustRefuse(file) {
		wanted = append(wanted, "restore", "doctor --repair")
	}
	for _, want := range wanted {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not told: %s", want, told)
		}
	}
	if mustRefuse(file) {
		checkRepaired(t, o, path, strings.Contains(file, "/KV_HOOKSTREAM_SOURCES/msgs/"))
	}
}

// checkRepaired does what the operator is told to do: the gateway starts, and knows
// its sources unless it was they who were damaged.
func checkRepaired(t *testing.T, o app.Options, path string, sourcesGone bool) {
	t.Helper()
	if _, err := jetstream.CheckDir(o.DataDir, true); err != nil {
		t.Fatal(err)
	}
	o.Logger = slog.New(slog.DiscardHandler)
	status, err := posted(t, o, path)
	if err != nil || status != http.StatusOK && (!sourcesGone || status != http.StatusNotFound) {
		t.Errorf("after the repair a sender is told %d: %v", status, err)
	}
}

// mustRefuse reports whether the gateway would forget what it was told, without a file.
func mustRefuse(file string) bool {
	return !canBeDoneWithout(file) && (strings.Contains(file, "/meta.") || strings.Contains(file, "/KV_") && strings.HasSuffix(file, ".blk"))
}

// canBeDoneWithout reports whether a file is of what was refused, which keeps no gateway
// from starting.
func canBeDoneWithout(file string) bool { return strings.Contains(file, "/KV_HOOKSTREAM_LOOSE_") }

// posted starts a gateway and answers what a sender is told by it, or why it ended.
func posted(t *testing.T, o app.Options, path string) (status int, err error) {
	t.Helper()
	a, err := app.New(t.Context(), o)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended, told := make(chan error, 1), make(chan int, 1)
	go func() { ended <- a.Run(ctx) }()
	s := newSender("http://"+a.Addrs().Ingress+path, 1)
	go func() { told <- s.try(10) }()
	select {
	case status = <-told:
		cancel()
		return status, <-ended
	case err = <-ended:
		return 0, err
	}
}
