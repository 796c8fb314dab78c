package app_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// What earlier gateways kept is read: sources with their secrets, subscriptions with
// their place, events with and without a proof. The directories in testdata/before
// are what those gateways left, each with eight events of two sources, three of them
// settled.
func TestDirectoriesOfBefore(t *testing.T) {
	for name, proof := range map[string]bool{"without-proofs": false, "with-proofs": true} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.RetentionAge = 0
			unpack(t, filepath.Join("testdata/before", name+".tar.gz"), o.DataDir)
			g := start(t, o)
			g.readsEventsOfBefore(proof)
			g.knowsSourcesOfBefore()
			g.goesOnWithSubscriptionsOfBefore()
		})
	}
}

func (g *gateway) knowsSourcesOfBefore() {
	g.t.Helper()
	sources := hookstreamv1.NewSourceServiceClient(g.conn)
	billing, err := sources.GetSource(g.t.Context(), &hookstreamv1.GetSourceRequest{Name: "sources/billing"})
	if err != nil {
		g.t.Fatal(err)
	}
	if billing.GetDescription() != "The billing" || billing.GetLabels()["team"] != "x" || billing.GetYousign() == nil || billing.GetUid() == "" {
		g.t.Errorf("read as %v", billing)
	}
	if _, err := sources.SendSourceTestEvent(g.t.Context(), &hookstreamv1.SendSourceTestEventRequest{Name: billing.GetName()}); err != nil {
		g.t.Errorf("signed with a secret of before: %v", err)
	}
	sign, err := sources.GetSource(g.t.Context(), &hookstreamv1.GetSourceRequest{Name: "sources/sign"})
	if err != nil {
		g.t.Fatal(err)
	}
	if sign.GetIgnisign().GetAppId() == "" || sign.GetIgnisign().GetApiBaseUrl() != "http://127.0.0.1:28090" {
		g.t.Errorf("read as %v", sign)
	}
}

func (g *gateway) readsEventsOfBefore(proof bool) {
	g.t.Helper()
	providers := make(map[string]int)
	events := (&sheet{t: g.t, g: g}).events("")
	for _, e := range events {
		providers[e.GetProvider()]++
		if e.GetDecodeState() != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE || e.GetPayload() == nil || e.GetVerification().GetState() != hookstreamv1.Verification_STATE_VERIFIED {
			g.t.Errorf("read as %v", e)
		}
		got := g.verifyAgain(e.GetName())
		switch {
		case proof && got.GetOutcome() != genuineNow:
			g.t.Errorf("its proof says %v", got)
		case !proof && got.GetReason() != "proof_not_kept":
			g.t.Errorf("without a proof %v", got)
		}
	}
	if len(events) != 8 || len(providers) != 2 {
		g.t.Errorf("%d events, of %v", len(events), providers)
	}
}

func (g *gateway) goesOnWithSubscriptionsOfBefore() {
	g.t.Helper()
	subs := hookstreamv1.NewSubscriptionServiceClient(g.conn)
	work, err := subs.GetSubscription(g.t.Context(), &hookstreamv1.GetSubscriptionRequest{Name: "subscriptions/work"})
	if err != nil {
		g.t.Fatal(err)
	}
	if work.GetDescription() != "all work" || work.GetBackoffMin().AsDuration() != 7*time.Second || work.GetMaxAttempts() != 3 {
		g.t.Errorf("read as %v", work)
	}
	order, err := subs.GetSubscription(g.t.Context(), &hookstreamv1.GetSubscriptionRequest{Name: "subscriptions/order"})
	if err != nil {
		g.t.Fatal(err)
	}
	if order.GetOrdering() != hookstreamv1.Ordering_ORDERING_BY_ENTITY || len(order.GetSelector().GetTypes()) != 1 {
		g.t.Errorf("read as %v", order)
	}
	// Three were settled then, and one came since.
	for left := 8 - 3 + 1; left > 0; {
		got, err := subs.Pull(g.t.Context(), &hookstreamv1.PullRequest{Name: work.GetName()})
		if err != nil || len(got.GetDeliveries()) == 0 || len(got.GetDeliveries()) > left {
			g.t.Fatalf("%d are left, handed out are %d: %v", left, len(got.GetDeliveries()), err)
		}
		left -= len(got.GetDeliveries())
		ack := &hookstreamv1.AcknowledgeRequest{Name: work.GetName()}
		for _, d := range got.GetDeliveries() {
			ack.Settlements = append(ack.Settlements, &hookstreamv1.Settlement{AckToken: d.GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_ACK})
		}
		if _, err := subs.Acknowledge(g.t.Context(), ack); err != nil {
			g.t.Fatal(err)
		}
	}
}

// unpack makes of an archive the directory that it was made of.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
