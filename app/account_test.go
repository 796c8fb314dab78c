package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/eventlog/natstest"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
)

// account is that of a gateway at a server of NATS whose configuration is changed and
// loaded again while the gateway runs.
type account struct {
	t           *testing.T
	srv         *server.Server
	file, dir   string
	permissions string // those that are documented
}

func changeable(t *testing.T) *account {
	a := &account{t: t, file: filepath.Join(t.TempDir(), "nats.conf"), dir: t.TempDir(), permissions: natstest.DocumentedPermissions(t)}
	a.write("enabled", a.permissions, "secret")
	o, err := server.ProcessConfigFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	if a.srv, err = server.NewServer(o); err != nil {
		t.Fatal(err)
	}
	a.srv.Start()
	t.Cleanup(func() { a.srv.Shutdown(); a.srv.WaitForShutdown() })
	if !a.srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server did not start")
	}
	return a
}

func (a *account) write(jetstream, permissions, password string) {
	conf := fmt.Sprintf(`
listen: "127.0.0.1:-1"
max_payload: 2MB
jetstream { store_dir: %q }
accounts { HS { jetstream: %s, users: [ { user: gateway, password: %s
%s
} ] } }
`, a.dir, jetstream, password, permissions)
	if err := os.WriteFile(a.file, []byte(conf), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// reload has the server go by another configuration.
func (a *account) reload(jetstream, permissions, password string) {
	a.t.Helper()
	a.write(jetstream, permissions, password)
	if err := a.srv.Reload(); err != nil {
		a.t.Fatal(err)
	}
}

func (g *gateway) readyz() (int, string) {
	resp, err := http.Get("http://" + g.Addrs().HTTP + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(b))
}

// What is taken from the account of a gateway that runs, by a new configuration of the
// servers, is named by readiness; senders are answered 503 where it is needed, and what
// was answered 200 all the same comes. It goes on by itself when it is given back.
func TestWhatAnAccountLoses(t *testing.T) {
	heavy.Test(t)
	without := func(subjects ...string) func(*account) {
		return func(a *account) {
			p := a.permissions
			for _, s := range subjects {
				if !strings.Contains(p, s) {
					t.Fatal(s)
				}
				p = strings.ReplaceAll(p, s, `"nothing.at.all"`)
			}
			a.reload("enabled", p, "secret")
		}
	}
	for name, c := range map[string]struct {
		lose    func(*account)
		says    string // of readiness
		refuses bool   // senders are answered 503
	}{
		"publishing":             {without(`"hookstream.>"`), `Publish to "hookstream.events.billing.signer.done"`, true},
		"state":                  {without(`"$JS.API.STREAM.*.HOOKSTREAM_EVENTS"`), "STREAM.INFO.HOOKSTREAM_EVENTS", false},
		"pulling":                {without(`"$JS.API.CONSUMER.MSG.NEXT.HOOKSTREAM_EVENTS.>"`), "CONSUMER.MSG.NEXT.HOOKSTREAM_EVENTS", false},
		"acknowledging":          {without(`"$JS.ACK.HOOKSTREAM_EVENTS.>"`), "$JS.ACK.HOOKSTREAM_EVENTS", false},
		"configuring":            {without(`"$KV.HOOKSTREAM_SOURCES.>"`), "$KV.HOOKSTREAM_SOURCES", false},
		"all answers":            {without(`"_INBOX.>"`), "Subscription to", true},
		"hearing other gateways": {without(`"hookstream.gateways.>"`), `Subscription to "hookstream.gateways`, false},
		"JetStream":              {func(a *account) { a.reload("disabled", a.permissions, "secret") }, "not enabled", true},
		"room":                   {func(a *account) { a.reload("{max_store: 1KB}", a.permissions, "secret") }, "resource limits exceeded for account", true},
		"its password":           {func(a *account) { a.reload("enabled", a.permissions, "other") }, "authorization violation", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := changeable(t)
			w := a.world(t)
			w.send()
			w.lose(func() { c.lose(a) }, c.says, c.refuses)
			a.reload("enabled", a.permissions, "secret")
			w.recover()
		})
	}
}

// accountWorld is a gateway with a source, a sender and a subscription.
type accountWorld struct {
	*gateway
	sender *sender
	next   int
	kept   []string // events that were answered 200
	seen   map[string]bool
}

func (a *account) world(t *testing.T) *accountWorld {
	o := options(t)
	o.NATSURL = strings.Replace(a.srv.ClientURL(), "nats://", "nats://gateway:secret@", 1)
	o.EncryptionKey = strings.Repeat("ab", 32)
	g := start(t, o)
	src := g.createSource("billing", yousignSource())
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm&earliest=true", `{"ackDeadline": "5s"}`)
	return &accountWorld{gateway: g, sender: newSender("http://"+g.Addrs().Ingress+src.GetIngressPath(), 1), seen: make(map[string]bool)}
}

// send posts one event, and notes it when it was answered 200.
func (w *accountWorld) send() (status int) {
	status = w.sender.try(w.next)
	if status == http.StatusOK {
		w.kept = append(w.kept, eventID(w.next))
	}
	w.next++
	return status
}

// use does what the gateway's users do, as far as it goes.
func (w *accountWorld) use() (sent int) {
	sent = w.send()
	w.consume(time.Second)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	_, _ = hookstreamv1.NewSourceServiceClient(w.conn).CreateSource(ctx, &hookstreamv1.CreateSourceRequest{
		SourceId: fmt.Sprint("s", w.next), Source: yousignSource(),
	})
	return sent
}

// consume pulls and acknowledges, and notes what is done.
func (w *accountWorld) consume(wait time.Duration) {
	ctx, cancel := context.WithTimeout(w.t.Context(), wait+4*time.Second)
	defer cancel()
	subs := hookstreamv1.NewSubscriptionServiceClient(w.conn)
	pulled, err := subs.Pull(ctx, &hookstreamv1.PullRequest{Name: "subscriptions/crm", MaxEvents: 10, Wait: durationpb.New(wait)})
	if err != nil || len(pulled.GetDeliveries()) == 0 {
		return
	}
	req := &hookstreamv1.AcknowledgeRequest{Name: "subscriptions/crm"}
	for _, d := range pulled.GetDeliveries() {
		req.Settlements = append(req.Settlements, &hookstreamv1.Settlement{AckToken: d.GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_ACK})
	}
	acked, err := subs.Acknowledge(ctx, req)
	if err != nil {
		return
	}
	for i, r := range acked.GetResults() {
		if r.GetOutcome() == hookstreamv1.AckOutcome_ACK_OUTCOME_DONE {
			w.seen[pulled.GetDeliveries()[i].GetEvent().GetProviderEventId()] = true
		}
	}
}

// lose takes something away, and waits until readiness says so, and senders are
// answered as they should be.
func (w *accountWorld) lose(take func(), says string, refuses bool) {
	w.t.Helper()
	take()
	for begun := time.Now(); ; {
		sent := w.use()
		code, why := w.readyz()
		if sent != http.StatusOK && sent != http.StatusServiceUnavailable {
			w.t.Fatalf("a sender is answered %d", sent)
		}
		if code == http.StatusServiceUnavailable && strings.Contains(why, says) && refuses == (sent == http.StatusServiceUnavailable) {
			return
		}
		if time.Since(begun) > time.Minute {
			w.t.Fatalf("a sender is answered %d, readiness %d %s; it should say %s", sent, code, why, says)
		}
	}
}

// recover waits until the gateway is ready, and everything comes that was answered 200.
func (w *accountWorld) recover() {
	w.t.Helper()
	w.await("it is ready", func() bool { code, _ := w.readyz(); return code == http.StatusOK })
	w.await("a sender is answered 200", func() bool { return w.send() == http.StatusOK })
	w.await("all that was kept is handed out and acknowledged", func() bool {
		w.consume(time.Second)
		for _, id := range w.kept {
			if !w.seen[id] {
				return false
			}
		}
		return true
	})
}

func (w *accountWorld) await(what string, ok func() bool) {
	w.t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			code, why := w.readyz()
			w.t.Fatalf("not after a minute: %s; readiness: %d %s; %d of %d seen", what, code, why, len(w.seen), len(w.kept))
		}
	}
}
