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
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/subscription"
)

// restricted runs a server whose user may do what the permissions say.
func restricted(t *testing.T, permissions string) jetstream.Options {
	srv := natsServer(t, fmt.Sprintf(`
jetstream { store_dir: %q }
accounts { HS { jetstream: enabled, users: [ { user: gateway, password: secret
%s
} ] } }
`, t.TempDir(), permissions))
	return asGateway(t, srv)
}

// atLeaf runs a server with the domain "hub", and one that is a leaf of it with a
// domain of its own, whose user may do what the permissions say.
func atLeaf(t *testing.T, permissions string) jetstream.Options {
	hub := natsServer(t, fmt.Sprintf(`
jetstream { store_dir: %q, domain: hub }
leafnodes { listen: "127.0.0.1:-1", authorization { user: leaf, password: secret, account: HS } }
accounts { HS { jetstream: enabled, users: [ { user: leaf, password: secret } ] } }
`, t.TempDir()))
	leaf := natsServer(t, fmt.Sprintf(`
jetstream { store_dir: %q, domain: leaf }
leafnodes { remotes: [ { url: "nats-leaf://leaf:secret@%s", account: HS } ] }
accounts { HS { jetstream: enabled, users: [ { user: gateway, password: secret
%s
} ] } }
`, t.TempDir(), leafAddr(t, hub), permissions))
	for deadline := time.Now().Add(20 * time.Second); leaf.NumLeafNodes() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the leaf does not come to the hub")
		}
	}
	return asGateway(t, leaf)
}

func leafAddr(t *testing.T, srv *server.Server) string {
	z, err := srv.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", z.LeafNode.Port)
}

// natsServer runs a server of that configuration.
func natsServer(t *testing.T, conf string) *server.Server {
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte("listen: \"127.0.0.1:-1\"\n"+conf), 0o600); err != nil {
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
	return srv
}

func asGateway(t *testing.T, srv *server.Server) jetstream.Options {
	o := options(t, t.TempDir())
	o.URL, o.NATS = srv.ClientURL(), []nats.Option{nats.UserInfo("gateway", "secret")}
	return o
}

// With the permissions that the documentation gives, everything works that a
// subscription does, and the server refuses nothing.
func TestDocumentedPermissions(t *testing.T) {
	t.Parallel()
	checkAllWorks(t, restricted(t, natstest.DocumentedPermissions(t)))
}

// A domain of JetStream, and inboxes of another name, are used wherever something is
// asked: the user may use nothing else.
func TestDomainAndInboxPrefix(t *testing.T) {
	heavy.Test(t)
	t.Parallel()
	o := atLeaf(t, inDomain(natstest.DocumentedPermissions(t)))
	o.Domain, o.NATS = "hub", append(o.NATS, nats.CustomInboxPrefix("hs.inbox"))
	checkAllWorks(t, o)
	for what, change := range map[string]func(*jetstream.Options){
		"domain":  func(o *jetstream.Options) { o.Domain = "" },
		"another": func(o *jetstream.Options) { o.Domain = "elsewhere" },
		"inbox":   func(o *jetstream.Options) { o.NATS = o.NATS[:1] },
	} {
		bad := o
		bad.Dir = t.TempDir()
		change(&bad)
		e, err := jetstream.Open(t.Context(), bad)
		if err == nil {
			_ = e.Close()
		}
		if !errors.Is(err, jetstream.ErrRefused) {
			t.Errorf("%s: the start ends with: %v", what, err)
		}
	}
}

// A domain that is not there, and a server without JetStream, end the start and are
// named.
func TestNoJetStream(t *testing.T) {
	t.Parallel()
	unknown := restricted(t, "")
	unknown.Domain = "elsewhere"
	without := asGateway(t, natsServer(t, "authorization { user: gateway, password: secret }"))
	for want, o := range map[string]jetstream.Options{`domain "elsewhere"`: unknown, "has no JetStream": without} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second) // less than a cluster has to form
			defer cancel()
			_, err := jetstream.Open(ctx, o)
			if !errors.Is(err, jetstream.ErrRefused) || !strings.Contains(err.Error(), want) {
				t.Errorf("the start ends with: %v", err)
			}
		})
	}
}

// inDomain changes the permissions as the documentation says.
func inDomain(permissions string) string {
	return strings.NewReplacer("$JS.API.", "$JS.hub.API.", "$KV.", "$JS.hub.API.$KV.", `"_INBOX.>"`, `"hs.inbox.>"`).Replace(permissions)
}

// checkAllWorks does everything that two gateways do with subscriptions.
func checkAllWorks(t *testing.T, o jetstream.Options) {
	t.Helper()
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
			all := natstest.DocumentedPermissions(t)
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

// Replicas that the server cannot make are told at once as well.
func TestPermanentRefusalEndsTheStart(t *testing.T) {
	t.Parallel()
	o := restricted(t, natstest.DocumentedPermissions(t))
	o.Replicas = 3
	begun := time.Now()
	if _, err := jetstream.Open(t.Context(), o); err == nil || time.Since(begun) > 30*time.Second {
		t.Errorf("three replicas on one node: %v after %s", err, time.Since(begun))
	}
}
