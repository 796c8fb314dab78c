package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
	ignisignprovider "github.com/hookstream/hookstream/provider/ignisign"
	yousignprovider "github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/source"
)

const (
	yousignSecret = "a-secret-nobody-may-see"
	ignisignKey   = "skv2_an-api-key-nobody-may-see"
)

func openBucket(t *testing.T) eventlog.Bucket {
	t.Helper()
	o := jetstream.DefaultOptions()
	o.Dir = t.TempDir()
	engine, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	bucket, err := engine.Bucket(t.Context(), "SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

// providers are those that look after credentials.
func providers(t *testing.T) *provider.Set {
	t.Helper()
	set, err := provider.NewSet(yousignprovider.Provider{}, ignisignprovider.Provider{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func openStore(t *testing.T, b eventlog.Bucket, key source.Key) *source.Store {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := source.Open(t.Context(), b, key, providers(t), logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func yousign(secrets ...string) *hookstreamv1.Source {
	return &hookstreamv1.Source{Config: &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{Secrets: secrets}}}
}

func ignisign() *hookstreamv1.Source {
	return &hookstreamv1.Source{Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{
		AppId: "appId_1", AppEnv: "PRODUCTION", ApiKey: ignisignKey,
	}}}
}

func create(t *testing.T, s *source.Store, id string, src *hookstreamv1.Source) *hookstreamv1.Source {
	t.Helper()
	created, err := s.Create(t.Context(), id, src)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func TestSourcesSurviveARestart(t *testing.T) {
	bucket, key := openBucket(t), source.NewKey()
	first := openStore(t, bucket, key)
	want := []*hookstreamv1.Source{
		create(t, first, "billing", yousign(yousignSecret)),
		create(t, first, "crm", ignisign()),
	}
	first.Close()
	second := openStore(t, bucket, key)
	if diff := cmp.Diff(want, second.List(), protocmp.Transform()); diff != "" {
		t.Errorf("other sources than were kept (-want +got):\n%s", diff)
	}
	got, err := second.Get("crm")
	if err != nil {
		t.Fatal(err)
	}
	if got.GetIgnisign().GetApiKey() != ignisignKey {
		t.Error("the API key was not kept")
	}
	if _, err := second.Get("other"); !errors.Is(err, source.ErrNotFound) {
		t.Errorf("an unknown source: %v", err)
	}
}

// stored answers the raw values in the bucket.
func stored(t *testing.T, b eventlog.Bucket) map[string]eventlog.Change {
	t.Helper()
	out := make(map[string]eventlog.Change)
	ctx, cancel := context.WithCancel(t.Context())
	b.Watch(ctx, func(c eventlog.Change) { out[c.Key] = c }, cancel)
	return out
}

func TestCredentialsAreNotStoredInClear(t *testing.T) {
	bucket := openBucket(t)
	s := openStore(t, bucket, source.NewKey())
	create(t, s, "billing", yousign(yousignSecret))
	for id, c := range stored(t, bucket) {
		if bytes.Contains(c.Value, []byte(yousignSecret)) {
			t.Errorf("%s holds its secret in clear", id)
		}
	}
}

func TestAnotherKeyIsRefusedByName(t *testing.T) {
	bucket := openBucket(t)
	create(t, openStore(t, bucket, source.NewKey()), "billing", yousign(yousignSecret))
	_, err := source.Open(t.Context(), bucket, source.NewKey(), providers(t), nil)
	if !errors.Is(err, source.ErrWrongKey) {
		t.Errorf("opened with another key: %v", err)
	}
	if !strings.Contains(fmt.Sprint(err), `"billing"`) {
		t.Errorf("the error does not say which source: %v", err)
	}
}

func TestAValueMovedToAnotherSourceIsRefused(t *testing.T) {
	bucket, key := openBucket(t), source.NewKey()
	s := openStore(t, bucket, key)
	create(t, s, "billing", yousign(yousignSecret))
	create(t, s, "crm", ignisign())
	s.Close()
	values := stored(t, bucket)
	if _, err := bucket.Update(t.Context(), "crm", values["billing"].Value, values["crm"].Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Open(t.Context(), bucket, key, providers(t), nil); err == nil || !strings.Contains(err.Error(), `"crm"`) {
		t.Errorf("took the configuration of another source: %v", err)
	}
}

func TestADamagedValueIsRefused(t *testing.T) {
	bucket, key := openBucket(t), source.NewKey()
	s := openStore(t, bucket, key)
	create(t, s, "billing", yousign(yousignSecret))
	s.Close()
	for _, at := range []int{0, 2, 5, 20, 60} {
		c := stored(t, bucket)["billing"]
		damaged := bytes.Clone(c.Value)
		damaged[at] ^= 1
		rev, err := bucket.Update(t.Context(), "billing", damaged, c.Revision)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Open(t.Context(), bucket, key, providers(t), nil); err == nil {
			t.Errorf("took a value with byte %d changed", at)
		}
		if _, err := bucket.Update(t.Context(), "billing", c.Value, rev); err != nil {
			t.Fatal(err)
		}
	}
	openStore(t, bucket, key) // whole again
}

func TestCreateMakesNamePathAndFingerprint(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	given := yousign(yousignSecret)
	given.Name, given.Etag, given.IngressPath = "sources/other", "x", "/webhooks/other"
	given.GetYousign().SecretStates = []*yousignv1.SecretState{{ExpireTime: timestamppb.New(time.Unix(1, 0))}}
	src := create(t, s, "billing", given)
	if src.GetName() != "sources/billing" || src.GetEtag() == "" || src.GetCreateTime() == nil {
		t.Errorf("incomplete: %v", s.Public(src))
	}
	key, ok := strings.CutPrefix(src.GetIngressPath(), "/webhooks/billing/")
	if !ok || len(key) != 26 || key != source.IngressKey(src) {
		t.Errorf("ingress path %q", src.GetIngressPath())
	}
	states := src.GetYousign().GetSecretStates()
	if len(states) != 1 || len(states[0].GetFingerprint()) != 8 || states[0].GetExpireTime() != nil {
		t.Errorf("secret states %v", states)
	}
	if other := create(t, s, "other", yousign(yousignSecret)); source.IngressKey(other) == key {
		t.Error("two sources with one key")
	}
	open := yousign(yousignSecret)
	open.Keyless = true
	if got := create(t, s, "open", open).GetIngressPath(); got != "/webhooks/open" {
		t.Errorf("keyless: %q", got)
	}
	if _, err := s.Create(t.Context(), "open", open); !errors.Is(err, source.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
}

func TestAChangeIsInForceWhenTheCallReturns(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	create(t, s, "old", ignisign())
	var mu sync.Mutex
	told := map[string]*hookstreamv1.Source{}
	cancel := s.Subscribe(func(id string, src *hookstreamv1.Source) {
		time.Sleep(time.Millisecond) // who tells others takes a moment
		mu.Lock()
		defer mu.Unlock()
		told[id] = src
	})
	now := func(id string) *hookstreamv1.Source {
		mu.Lock()
		defer mu.Unlock()
		return told[id]
	}
	if now("old") == nil {
		t.Error("an existing source was not told")
	}
	created := create(t, s, "billing", yousign(yousignSecret))
	if !proto.Equal(now("billing"), created) {
		t.Error("a new source was not told")
	}
	if _, err := s.Update(t.Context(), "billing", "", disable); err != nil {
		t.Fatal(err)
	}
	if !now("billing").GetDisabled() {
		t.Error("a change was not told")
	}
	if err := s.Delete(t.Context(), "billing", ""); err != nil {
		t.Fatal(err)
	}
	if now("billing") != nil {
		t.Error("a deletion was not told")
	}
	cancel()
	create(t, s, "late", ignisign())
	if now("late") != nil {
		t.Error("told after the subscription ended")
	}
}

// late is a bucket whose watch tells of changes only when the gate is open.
type late struct {
	eventlog.Bucket

	gate chan struct{}
}

func (b *late) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	return b.Bucket.Watch(ctx, func(c eventlog.Change) { <-b.gate; fn(c) }, ready)
}

func TestAChangeWaitsForTheWatch(t *testing.T) {
	bucket := &late{Bucket: openBucket(t), gate: make(chan struct{})}
	s := openStore(t, bucket, source.NewKey())
	time.AfterFunc(50*time.Millisecond, func() { close(bucket.gate) })
	create(t, s, "billing", yousign(yousignSecret))
	if _, err := s.Get("billing"); err != nil {
		t.Errorf("created and not in force: %v", err)
	}
}

func disable(src *hookstreamv1.Source) error { src.Disabled = true; return nil }

func TestUpdateTouchesOnlyWhatMayChange(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	before := create(t, s, "billing", yousign(yousignSecret))
	after, err := s.Update(t.Context(), "billing", before.GetEtag(), func(src *hookstreamv1.Source) error {
		src.Name, src.IngressPath, src.Keyless, src.CreateTime = "sources/x", "/x", true, nil
		src.Description = "Billing"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := proto.CloneOf(before)
	want.Description, want.Etag, want.UpdateTime = "Billing", after.GetEtag(), after.GetUpdateTime()
	if diff := cmp.Diff(want, after, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if after.GetEtag() == before.GetEtag() {
		t.Error("the etag did not change")
	}
	same, err := s.Update(t.Context(), "billing", "", func(*hookstreamv1.Source) error { return nil })
	if err != nil || same.GetEtag() != after.GetEtag() {
		t.Errorf("a change of nothing wrote: %v, %v", same.GetEtag(), err)
	}
	refused := errors.New("no")
	if _, err := s.Update(t.Context(), "billing", "", func(*hookstreamv1.Source) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("refused by the change: %v", err)
	}
}

func TestAnOldEtagIsRefused(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	old := create(t, s, "billing", yousign(yousignSecret)).GetEtag()
	if _, err := s.Update(t.Context(), "billing", old, disable); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), "billing", old, disable); !errors.Is(err, source.ErrEtagMismatch) {
		t.Errorf("update: %v", err)
	}
	if _, err := s.Preview(t.Context(), "billing", old, disable); !errors.Is(err, source.ErrEtagMismatch) {
		t.Errorf("preview: %v", err)
	}
	if err := s.Delete(t.Context(), "billing", old); !errors.Is(err, source.ErrEtagMismatch) {
		t.Errorf("delete: %v", err)
	}
	if err := s.Delete(t.Context(), "billing", ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "billing", ""); !errors.Is(err, source.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if again := create(t, s, "billing", yousign(yousignSecret)); again.GetEtag() == old {
		t.Error("a source made anew has the etag of the old one")
	}
}

// Two gateways change one source at the same time: every change must count.
func TestNoChangeIsLostAmongGateways(t *testing.T) {
	bucket, key := openBucket(t), source.NewKey()
	gateways := []*source.Store{openStore(t, bucket, key), openStore(t, bucket, key)}
	create(t, gateways[0], "billing", yousign(yousignSecret))
	waitFor(t, func() bool { _, err := gateways[1].Get("billing"); return err == nil })
	const each = 20
	var wg sync.WaitGroup
	for _, s := range gateways {
		for range each {
			wg.Go(func() {
				if _, err := s.Update(t.Context(), "billing", "", count); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, s := range gateways {
		waitFor(t, func() bool {
			src, err := s.Get("billing")
			return err == nil && src.GetLabels()["n"] == strconv.Itoa(2*each)
		})
	}
}

func count(src *hookstreamv1.Source) error {
	n, _ := strconv.Atoi(src.GetLabels()["n"])
	src.Labels = map[string]string{"n": strconv.Itoa(n + 1)}
	return nil
}

func TestOtherGatewaysFollow(t *testing.T) {
	bucket, key := openBucket(t), source.NewKey()
	one, other := openStore(t, bucket, key), openStore(t, bucket, key)
	create(t, one, "billing", yousign(yousignSecret))
	waitFor(t, func() bool { _, err := other.Get("billing"); return err == nil })
	if err := one.Delete(t.Context(), "billing", ""); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, err := other.Get("billing"); return errors.Is(err, source.ErrNotFound) })
}

// brittle is a bucket whose watches can be broken, as by a cluster that goes
// away.
type brittle struct {
	eventlog.Bucket

	mu   sync.Mutex
	stop context.CancelFunc
	gate chan struct{} // closed: watching is possible
}

func (b *brittle) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	<-b.gate
	ctx, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	b.stop = cancel
	b.mu.Unlock()
	b.Bucket.Watch(ctx, func(c eventlog.Change) {
		if c.Value != nil { // markers of deletions do not last for ever
			fn(c)
		}
	}, ready)
	return eventlog.ErrUnavailable
}

func TestAWatchThatBreaksIsMadeUpFor(t *testing.T) {
	bucket, key := openBucket(t), source.NewKey()
	one := openStore(t, bucket, key)
	create(t, one, "deleted-meanwhile", ignisign())
	create(t, one, "changed-meanwhile", ignisign())
	weak := &brittle{Bucket: bucket, gate: make(chan struct{})}
	close(weak.gate)
	other := openStore(t, weak, key)

	weak.gate = make(chan struct{})
	weak.mu.Lock()
	weak.stop()
	weak.mu.Unlock()
	if err := one.Delete(t.Context(), "deleted-meanwhile", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Update(t.Context(), "changed-meanwhile", "", disable); err != nil {
		t.Fatal(err)
	}
	create(t, one, "created-meanwhile", ignisign())
	if _, err := other.Get("deleted-meanwhile"); err != nil {
		t.Errorf("forgot its sources as soon as the bucket was away: %v", err)
	}
	close(weak.gate)
	waitFor(t, func() bool {
		a, b := one.List(), other.List()
		return cmp.Equal(a, b, protocmp.Transform())
	})
}

// waitFor returns when cond holds.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited too long")
		}
	}
}

func TestPublicHoldsNoCredential(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	for id, src := range map[string]*hookstreamv1.Source{"billing": yousign(yousignSecret), "crm": ignisign()} {
		kept := create(t, s, id, src)
		public := s.Public(kept)
		b, err := proto.Marshal(public)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("nobody-may-see")) {
			t.Errorf("%s: holds a credential: %v", id, public)
		}
		if public.GetIngressPath() == "" || public.GetEtag() == "" {
			t.Errorf("%s: lacks what an operator needs: %v", id, public)
		}
		if proto.Equal(kept, public) {
			t.Errorf("%s: Public changed its argument", id)
		}
	}
}

// A source that is made under the name of a deleted one is another, which its uid
// tells; whatever a caller says of it.
func TestEverySourceHasItsOwnUID(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	src := yousign(yousignSecret)
	src.Uid = "of a caller"
	first := create(t, s, "billing", src)
	if _, err := uuid.Parse(first.GetUid()); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "billing", ""); err != nil {
		t.Fatal(err)
	}
	if second := create(t, s, "billing", src); second.GetUid() == first.GetUid() {
		t.Errorf("both are %s", first.GetUid())
	}
}

// However many gateways are started at once with the same declaration, one of them
// makes the source and all have it.
func TestEnsureMakesASourceOnce(t *testing.T) {
	bucket, key := openBucket(t), source.NewKey()
	stores := []*source.Store{openStore(t, bucket, key), openStore(t, bucket, key), openStore(t, bucket, key)}
	uids, made := make([]string, 12), make([]bool, 12)
	var all sync.WaitGroup
	for i := range uids {
		all.Go(func() {
			src, created, err := stores[i%len(stores)].Ensure(t.Context(), "billing", yousign(yousignSecret))
			if err != nil {
				t.Error(err)
			}
			uids[i], made[i] = src.GetUid(), created
		})
	}
	all.Wait()
	count := 0
	for i := range uids {
		if uids[i] != uids[0] {
			t.Errorf("one has %s, another %s", uids[0], uids[i])
		}
		if made[i] {
			count++
		}
	}
	if count != 1 {
		t.Errorf("made %d times", count)
	}
}
