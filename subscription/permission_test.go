package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/subscription"
)

// documented answers the permissions of docs/operating.md as they stand there.
func documented(t *testing.T) string {
	data, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), "```\npermissions: {")
	block, _, end := strings.Cut(rest, "\n```")
	if !ok || !end {
		t.Fatal("docs/operating.md says nothing of permissions")
	}
	return "permissions: {" + block
}

// restricted runs a server whose user may do what the permissions say.
func restricted(t *testing.T, permissions string) jetstream.Options {
	path := filepath.Join(t.TempDir(), "nats.conf")
	conf := fmt.Sprintf(`
listen: "127.0.0.1:-1"
jetstream { store_dir: %q }
accounts { HS { jetstream: enabled, users: [ { user: gateway, password: secret
%s
} ] } }
`, t.TempDir(), permissions)
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	so, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	so.NoSigs, so.NoLog = true, true
	srv, err := server.NewServer(so)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server did not start")
	}
	o := options(t, t.TempDir())
	o.URL, o.NATS = srv.ClientURL(), []nats.Option{nats.UserInfo("gateway", "secret")}
	return o
}

// With the permissions that the documentation gives, everything works that a
// subscription does, and the server refuses nothing.
func TestDocumentedPermissions(t *testing.T) {
	t.Parallel()
	o := restricted(t, documented(t))
	e := openEngine(t, o)
	o.Dir = t.TempDir()
	second := openEngine(t, o)
	if _, err := e.Bucket(t.Context(), "SOURCES"); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, log: e.Events(), a: openGateway(t, e, "a"), b: openGateway(t, second, "b")}
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		id := fmt.Sprintf("crm-%d", ordering)
		r.publish("", "signature_requests/1")
		r.create(id, subscription.Settings{Ordering: ordering})
		ds := pull(t, r.a, id, 1)
		park := subscription.Settlement{Token: ds[0].Token, Verdict: subscription.Park, Reason: "test"}
		if res := settle(t, r.b, park); res.Outcome != subscription.Parked {
			t.Errorf("parking at the other gateway: outcome %d", res.Outcome)
		}
		if n, err := r.a.ReplayParked(t.Context(), id, subscription.Selection{All: true}, false); n != 1 || err != nil {
			t.Errorf("%d replayed, %v", n, err)
		}
		for _, d := range pull(t, r.a, id, 1) {
			for _, v := range []subscription.Verdict{subscription.Extend, subscription.Ack} {
				res := settle(t, r.a, subscription.Settlement{Token: d.Token, Verdict: v})
				if res.Outcome != subscription.Done {
					t.Errorf("verdict %d: outcome %d", v, res.Outcome)
				}
				if v == subscription.Extend {
					d.Token = res.Token
				}
			}
		}
		if _, err := r.a.PurgeParked(t.Context(), id, subscription.Selection{All: true}, false); err != nil {
			t.Error(err)
		}
		if _, err := r.a.State(t.Context(), id); err != nil {
			t.Error(err)
		}
		if err := r.a.Delete(t.Context(), id, ""); err != nil {
			t.Error(err)
		}
	}
	if err := r.a.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(e.Denied(), second.Denied()); err != nil {
		t.Error(err)
	}
}

// What the server does not allow ends the start at once, and is named: each line
// of the documented permissions is needed.
func TestMissingPermissionEndsTheStart(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{
		`"hookstream.>"`, `"$JS.API.STREAM.*.HOOKSTREAM_EVENTS"`, `"$JS.ACK.HOOKSTREAM_EVENTS.>"`, `"$KV.HOOKSTREAM_SUBSCRIPTIONS.>"`,
		`"hookstream.gateway.>"`, `"hookstream.gateways.>"`, `"hookstream.outcome.*"`,
		`"$JS.API.STREAM.*.HOOKSTREAM_ATTEMPTS"`, `"$JS.API.STREAM.MSG.GET.HOOKSTREAM_ATTEMPTS"`,
		`"$JS.API.CONSUMER.*.HOOKSTREAM_ATTEMPTS.>"`, `"$JS.API.CONSUMER.MSG.NEXT.HOOKSTREAM_ATTEMPTS.>"`,
		`"$JS.API.STREAM.*.KV_HOOKSTREAM_SUBSCRIPTIONS"`, `"$JS.API.STREAM.MSG.GET.KV_HOOKSTREAM_SUBSCRIPTIONS"`,
		`"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.HOOKSTREAM_EVENTS.>"`,
	} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			all := documented(t)
			if !strings.Contains(all, missing) {
				t.Fatal("it is not documented")
			}
			o := restricted(t, strings.Replace(all, missing, `"nothing.at.all"`, 1))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			e, err := jetstream.Open(ctx, o)
			if err == nil {
				_ = e.Close()
			}
			if !errors.Is(err, jetstream.ErrRefused) {
				t.Fatalf("the start ends with: %v", err)
			}
			for _, part := range strings.Split(strings.Trim(missing, `"*.>`), "*") {
				if !strings.Contains(err.Error(), strings.Trim(part, ".")) {
					t.Errorf("the start ends without a word of %s: %v", part, err)
				}
			}
		})
	}
}

// Replicas that the server cannot make, and a server without JetStream, are told
// at once as well.
func TestPermanentRefusalEndsTheStart(t *testing.T) {
	t.Parallel()
	o := restricted(t, documented(t))
	o.Replicas = 3
	begun := time.Now()
	if _, err := jetstream.Open(t.Context(), o); err == nil || time.Since(begun) > 30*time.Second {
		t.Errorf("three replicas on one node: %v after %s", err, time.Since(begun))
	}
}
