package app_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/provider/yousign"
)

func (g *gateway) requests() hookstreamv1.RequestServiceClient {
	return hookstreamv1.NewRequestServiceClient(g.conn)
}

// refused waits until so many requests are kept that are as a filter says, and answers
// them.
func (g *gateway) refused(filter string, n int) (all []*hookstreamv1.Request) {
	g.t.Helper()
	wait(g.t, fmt.Sprintf("%d requests are kept", n), func() bool {
		all = nil
		for token := ""; ; {
			got, err := g.requests().ListRequests(g.t.Context(), &hookstreamv1.ListRequestsRequest{Filter: filter, PageSize: 30, PageToken: token})
			if status.Code(err) == codes.Unavailable {
				return false // it starts
			}
			if err != nil {
				g.t.Fatal(err)
			}
			all = append(all, got.GetRequests()...)
			if token = got.GetNextPageToken(); token == "" {
				return len(all) >= n
			}
		}
	})
	return all
}

// promoteAll promotes page by page.
func (g *gateway) promoteAll(filter string, only bool) *hookstreamv1.PromoteRequestsResponse {
	g.t.Helper()
	sum := new(hookstreamv1.PromoteRequestsResponse)
	for token := ""; ; {
		got, err := g.requests().PromoteRequests(g.t.Context(), &hookstreamv1.PromoteRequestsRequest{Filter: filter, PageSize: 30, PageToken: token, ValidateOnly: only})
		if err != nil {
			g.t.Fatal(err)
		}
		sum.PublishedRequests += got.GetPublishedRequests()
		sum.DuplicateRequests += got.GetDuplicateRequests()
		sum.PendingRequests += got.GetPendingRequests()
		sum.LeftRequests += got.GetLeftRequests()
		sum.Verdicts = append(sum.Verdicts, got.GetVerdicts()...)
		if token = got.GetNextPageToken(); token == "" {
			return sum
		}
	}
}

// wants fails unless so many were published, found to be duplicates and left.
func (g *gateway) wantPromoted(what string, got *hookstreamv1.PromoteRequestsResponse, published, duplicates, left int32) {
	g.t.Helper()
	if got.GetPublishedRequests() != published || got.GetDuplicateRequests() != duplicates || got.GetLeftRequests() != left || len(got.GetVerdicts()) != int(published+duplicates+left) {
		g.t.Errorf("%s: %d published, %d duplicates, %d left, %d verdicts; want %d, %d, %d", what,
			got.GetPublishedRequests(), got.GetDuplicateRequests(), got.GetLeftRequests(), len(got.GetVerdicts()), published, duplicates, left)
	}
}

func signedBody(n int) (signature, body string) {
	body = fmt.Sprintf(`{"event_id":%q,"event_name":"signer.done","event_time":"1772439061","sandbox":true,"data":{"signer":{"id":%q}}}`, eventID(n), eventID(n))
	return yousign.Sign(secret, []byte(body)), body
}

// wrongSource is one that was given the secret wrong.
func (g *gateway) wrongSource(id string) *hookstreamv1.Source {
	src := yousignSource()
	src.GetYousign().Secrets = []string{`"` + secret + `"`}
	return g.createSource(id, src)
}

func (g *gateway) correctSecret(id string) {
	g.t.Helper()
	g.mustREST("PATCH", "/v1/sources/"+id+"?updateMask=yousign.secrets", fmt.Sprintf(`{"yousign":{"secrets":[%q]}}`, secret))
}

// A source was given its secret wrong, and its sender sent for a while. The secret
// corrected, all of it is found genuine, and published in the order in which it came, each
// once, also when that is done again, over a restart, and while the sender repeats itself.
func TestTheWrongSecretIsMended(t *testing.T) {
	n := 50
	if heavy.Full() {
		n = 1000
	}
	o := options(t)
	g := start(t, o)
	path := g.wrongSource("billing").GetIngressPath()
	for i := range n {
		signature, body := signedBody(i)
		if got := g.post(path, signature, body); got != http.StatusUnauthorized {
			t.Fatalf("answered %d", got)
		}
	}
	forged := "sha256=" + strings.Repeat("ab", 32)
	if got := g.post(path, forged, `{"event_name":"signer.done"}`); got != http.StatusUnauthorized {
		t.Fatalf("answered %d", got)
	}
	all := g.refused("source:billing cause:forged", n+1)
	if len(all) != n+1 || !slices.IsSortedFunc(all, func(a, b *hookstreamv1.Request) int {
		return b.GetLastReceiveTime().AsTime().Compare(a.GetLastReceiveTime().AsTime())
	}) {
		t.Fatalf("%d are listed, or not the newest first", len(all))
	}
	g.checkShown(all[1], path)

	re, err := g.requests().ReverifyRequests(t.Context(), &hookstreamv1.ReverifyRequestsRequest{Filter: "source:billing", PageSize: 1000})
	if err != nil || re.GetNotGenuineRequests() != int32(n+1) || re.GetGenuineRequests() != 0 {
		t.Fatalf("before it is corrected: %v, %v", re.GetGenuineRequests(), err)
	}
	if v := re.GetVerdicts()[0]; !strings.Contains(v.GetEvidence(), "fits the secret without the quotes around it") || len(v.GetSteps()) == 0 {
		t.Errorf("what happened: %v", v)
	}
	g.wantPromoted("before it is corrected", g.promoteAll("source:billing", false), 0, 0, int32(n+1))

	g.correctSecret("billing")
	re, err = g.requests().ReverifyRequests(t.Context(), &hookstreamv1.ReverifyRequestsRequest{Filter: "source:billing", PageSize: 1000})
	if err != nil || re.GetNotGenuineRequests() != 1 || re.GetGenuineRequests() != int32(n) {
		t.Fatalf("once it is: %d genuine, %v", re.GetGenuineRequests(), err)
	}
	g.wantPromoted("only looked at", g.promoteAll("source:billing", true), int32(n), 0, 1)
	// The sender repeats the last three.
	var repeating sync.WaitGroup
	for i := n - 3; i < n; i++ {
		repeating.Go(func() {
			signature, body := signedBody(i)
			if got := g.post(path, signature, body); got != http.StatusOK {
				t.Errorf("repeated, it is answered %d", got)
			}
		})
	}
	first := g.promoteAll("source:billing", false)
	repeating.Wait()
	if first.GetPublishedRequests()+first.GetDuplicateRequests() != int32(n) || first.GetLeftRequests() != 1 || first.GetPublishedRequests() < int32(n-3) {
		t.Errorf("%d published, %d duplicates, %d left", first.GetPublishedRequests(), first.GetDuplicateRequests(), first.GetLeftRequests())
	}
	g.wantPromoted("again", g.promoteAll("source:billing", false), 0, int32(n), 1)
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}

	g = start(t, o)
	if all := g.refused("promoted:yes", n); len(all) != n || all[0].GetEvent() == "" || all[0].GetPromoteTime() == nil {
		t.Errorf("%d are marked, the first as %v", len(all), all[0])
	}
	g.wantPromoted("after a restart", g.promoteAll("", false), 0, int32(n), 1)
	got := g.everything(n)
	repeated := 0
	for i, e := range got {
		if e.GetVerification().GetState() != hookstreamv1.Verification_STATE_VERIFIED {
			t.Errorf("%s is %v", e.GetProviderEventId(), e.GetVerification())
		}
		if e.GetVerification().GetPromoteTime() == nil {
			repeated++ // its sender was faster
		}
		if i < n-3 && (e.GetVerification().GetPromoteTime() == nil || e.GetProviderEventId() != eventID(i)) {
			// Those that were repeated may stand anywhere.
			if slices.Contains([]string{eventID(n - 3), eventID(n - 2), eventID(n - 1)}, e.GetProviderEventId()) {
				continue
			}
			before := got[max(i-1, 0)].GetProviderEventId()
			if e.GetProviderEventId() < before && before < eventID(n-3) {
				t.Errorf("event %d is %s, after %s", i, e.GetProviderEventId(), before)
			}
		}
	}
	if repeated != int(first.GetDuplicateRequests()) {
		t.Errorf("%d are not marked as promoted, want %d", repeated, first.GetDuplicateRequests())
	}
}

// everything answers the log, in which each of n events must be once.
func (g *gateway) everything(n int) (all []*hookstreamv1.Event) {
	g.t.Helper()
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}})
	seen := make(map[string]int)
	for {
		resp, err := stream.Recv()
		if err != nil {
			g.t.Fatal(err)
		}
		for _, d := range resp.GetBatch().GetDeliveries() {
			all = append(all, d.GetEvent())
			seen[d.GetEvent().GetProviderEventId()]++
		}
		if resp.GetCaughtUp() == nil {
			continue
		}
		if len(all) != n || len(seen) != n {
			g.t.Errorf("%d events of %d ids, want %d", len(all), len(seen), n)
		}
		return all
	}
}

// checkShown looks at what is shown of one request, and that nothing of it is a secret.
func (g *gateway) checkShown(r *hookstreamv1.Request, path string) {
	t := g.t
	t.Helper()
	got, err := g.requests().GetRequest(t.Context(), &hookstreamv1.GetRequestRequest{Name: r.GetName()})
	if err != nil {
		t.Fatal(err)
	}
	key := path[strings.LastIndex(path, "/")+1:]
	for _, text := range []string{got.String(), r.String(), fmt.Sprint(g.mustREST("GET", "/v1/"+r.GetName(), ""))} {
		for _, private := range []string{secret, key, "sha256=", "Signature"} {
			if strings.Contains(text, private) {
				t.Errorf("%q is shown: %s", private, text)
			}
		}
	}
	if got.GetSource() != "sources/billing" || got.GetReason() != "signature_mismatch" || got.GetHttpStatus() != 401 || got.GetCount() != 1 || got.GetRemoteAddress() != "127.0.0.1" ||
		len(got.GetSha256()) != 64 || got.GetSizeBytes() == 0 || len(got.GetBody()) != 0 || got.GetPath() != "/webhooks/billing" || got.GetCause() != hookstreamv1.RefusalCause_REFUSAL_CAUSE_FORGED {
		t.Errorf("shown: %v", got)
	}
	full := &hookstreamv1.GetRequestRequest{Name: r.GetName(), View: hookstreamv1.RequestView_REQUEST_VIEW_FULL}
	if _, err := g.requests().GetRequest(t.Context(), full); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("its body: %v", err)
	}
	g.mustREST("PATCH", "/v1/sources/billing?updateMask=includeSensitiveFields", `{"includeSensitiveFields":true}`)
	if got, err := g.requests().GetRequest(t.Context(), full); err != nil || int64(len(got.GetBody())) != got.GetSizeBytes() {
		t.Errorf("its body, of a source that shows it: %d bytes, %v", len(got.GetBody()), err)
	}
	if _, err := g.requests().GetRequest(t.Context(), &hookstreamv1.GetRequestRequest{Name: "requests/0123456789abcdef"}); status.Code(err) != codes.NotFound {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := g.requests().ListRequests(t.Context(), &hookstreamv1.ListRequestsRequest{Filter: "sauce:billing"}); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "column 1") {
		t.Errorf("a filter that is none: %v", err)
	}
}

// A flood of forgeries at one source pushes out nothing that another one refused, and the
// disk stays under its bound.
func TestAFloodAtOneSourceLeavesTheOtherItsRequests(t *testing.T) {
	n := 3000
	if heavy.Full() {
		n = 1_000_000
	}
	g := start(t, options(t))
	flooded, path := g.createSource("flooded", yousignSource()).GetIngressPath(), g.wrongSource("billing").GetIngressPath()
	var flood sync.WaitGroup
	for w := range 4 {
		flood.Go(func() {
			s := newSender("http://"+g.Addrs().Ingress+flooded, 1)
			for i := range n / 4 {
				if got := s.forge(fmt.Appendf(nil, `{"event_id":"%d-%d","event_name":"signer.done"}`, w, i)); got != http.StatusUnauthorized {
					t.Errorf("a forgery is answered %d", got)
					return
				}
			}
		})
	}
	for i := range 10 {
		signature, body := signedBody(i)
		if got := g.post(path, signature, body); got != http.StatusUnauthorized {
			t.Errorf("answered %d", got)
		}
		time.Sleep(20 * time.Millisecond) // somewhere in the flood
	}
	flood.Wait()
	g.refused("source:billing", 10)
	g.correctSecret("billing")
	g.wantPromoted("in a flood", g.promoteAll("source:billing", false), 10, 0, 0)
	g.everything(10)
	if kept := len(g.refused("source:flooded", 1)); kept > 2000 {
		t.Errorf("%d of the flood are kept", kept)
	}
}

// forge posts a body with a signature that is none of the source's.
func (s *sender) forge(body []byte) int {
	req, err := http.NewRequest(http.MethodPost, s.url, strings.NewReader(string(body)))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Yousign-Signature-256", yousign.Sign("none", body))
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// Requests of a source that was deleted are not those of another of its name.
func TestRequestsOfASourceThatWasDeleted(t *testing.T) {
	g := start(t, options(t))
	path := g.wrongSource("billing").GetIngressPath()
	signature, body := signedBody(1)
	if got := g.post(path, signature, body); got != http.StatusUnauthorized {
		t.Fatalf("answered %d", got)
	}
	g.refused("source:billing", 1)
	g.mustREST("DELETE", "/v1/sources/billing", "")
	for _, made := range []bool{false, true} {
		if made {
			g.createSource("billing", yousignSource())
		}
		got := g.promoteAll("source:billing", false)
		g.wantPromoted("of a source that is gone", got, 0, 0, 1)
		if reason := got.GetVerdicts()[0].GetReason(); reason != "source_gone" {
			t.Errorf("made again %v: %s", made, reason)
		}
	}
	g.everything(0)
}

// On a cluster whose account may not have the bucket of what was refused, everything else
// goes on, and the log says so; with the permissions that are documented it is kept.
func TestAGatewayGoesOnWithoutABucketForRequests(t *testing.T) {
	a := changeable(t)
	for _, allowed := range []bool{false, true} {
		t.Run(fmt.Sprint("allowed ", allowed), func(t *testing.T) {
			p := a.permissions
			if !allowed {
				p = strings.ReplaceAll(p, "HOOKSTREAM_LOOSE_REQUESTS", "NOTHING")
			}
			a.reload("enabled", p, "secret")
			said := new(lockedLog)
			o := options(t)
			o.NATSURL = strings.Replace(a.srv.ClientURL(), "nats://", "nats://gateway:secret@", 1)
			o.EncryptionKey = strings.Repeat("ab", 32)
			o.Logger = slog.New(slog.NewTextHandler(said, nil))
			g := start(t, o)
			id := fmt.Sprintf("billing-%v", allowed)
			path := g.wrongSource(id).GetIngressPath()
			signature, body := signedBody(1)
			if allowed {
				wait(t, "it is kept", func() bool {
					g.post(path, signature, body)
					got, err := g.requests().ListRequests(t.Context(), &hookstreamv1.ListRequestsRequest{Filter: "source:" + id})
					return err == nil && len(got.GetRequests()) == 1
				})
			} else {
				wait(t, "the log says so", func() bool { return strings.Contains(said.String(), "cannot be kept, trying again") })
				if got := g.post(path, signature, body); got != http.StatusUnauthorized {
					t.Errorf("answered %d", got)
				}
				if _, err := g.requests().ListRequests(t.Context(), &hookstreamv1.ListRequestsRequest{}); status.Code(err) != codes.Unavailable {
					t.Errorf("a list: %v", err)
				}
			}
			g.correctSecret(id)
			if got := g.post(path, signature, body); got != http.StatusOK {
				t.Errorf("answered %d", got)
			}
			if code, why := g.readyz(); code != http.StatusOK {
				t.Errorf("it is not ready: %s", why)
			}
			if refused := strings.Contains(said.String(), "NATS does not allow"); refused == allowed {
				t.Errorf("the log says: %s", said)
			}
		})
	}
}

// lockedLog is what a gateway says.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
