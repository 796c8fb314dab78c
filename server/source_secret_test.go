package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider/yousign"
)

// promises are the secrets that a source must accept: the model of
// TestNoChangeOfASourceBreaksAPromise.
type promises struct {
	first string
	until map[string]time.Time // no time is for ever
}

// set is what a list that somebody gave promises.
func (p *promises) set(secrets ...string) {
	p.first, p.until = secrets[0], make(map[string]time.Time)
	for _, secret := range secrets {
		p.until[secret] = time.Time{}
	}
}

// rotate is what a rotation promises: the end of the overlap for what had none,
// and for everything else what was promised before. One to the secret that is
// first is a repetition.
func (p *promises) rotate(secret string, until time.Time) {
	if secret == p.first {
		return
	}
	for old, end := range p.until {
		if end.IsZero() {
			p.until[old] = until
		}
	}
	p.first, p.until[secret] = secret, time.Time{}
}

// held compares what is kept with what was promised. An overlap is counted from
// when the gateway had the call, not from when it was made.
func (p *promises) held(t *testing.T, cfg *yousignv1.SourceConfig) {
	t.Helper()
	forEver := 0
	for secret, end := range p.until {
		i := slices.Index(cfg.GetSecrets(), secret)
		if i < 0 {
			if end.IsZero() || end.After(time.Now()) {
				t.Errorf("%s is gone, promised until %v", secret, end)
			}
			continue
		}
		switch kept := cfg.GetSecretStates()[i].GetExpireTime(); {
		case end.IsZero() && kept != nil, !end.IsZero() && kept != nil && kept.AsTime().Before(end):
			t.Errorf("%s ends %v, promised until %v", secret, kept.AsTime(), end)
		case kept == nil:
			forEver++
		case end.IsZero() != (kept == nil), kept.AsTime().After(end.Add(time.Minute)):
			t.Errorf("%s ends %v, long after %v", secret, kept.AsTime(), end)
		}
	}
	if forEver == 0 {
		t.Error("no secret is left that does not end")
	}
}

// Whatever is done to a source, in whatever order and by whichever way, what was
// said of its secrets holds, and one is left that does not end.
func TestNoChangeOfASourceBreaksAPromise(t *testing.T) {
	g := start(t)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			w := &sourceChanges{t: t, g: g, id: fmt.Sprint("s", seed), random: random, promised: new(promises)}
			g.create(t, w.id, yousignSource("secret-0"))
			w.promised.set("secret-0")
			for step := range 25 {
				name := w.change()
				w.promised.held(t, g.kept(t, w.id).GetYousign())
				if t.Failed() {
					t.Fatalf("step %d: %s", step, name)
				}
			}
		})
	}
}

// sourceChanges makes random changes of one source, over gRPC and REST, and notes
// what each promised.
type sourceChanges struct {
	t        *testing.T
	g        *gateway
	id       string
	random   *rand.Rand
	promised *promises
}

func (w *sourceChanges) name() string { return "sources/" + w.id }

// secret is one of few, so that old ones come back.
func (w *sourceChanges) secret() string { return fmt.Sprint("secret-", w.random.IntN(6)) }

func (w *sourceChanges) secrets() []string {
	out := []string{w.secret()}
	if more := w.secret(); more != out[0] {
		out = append(out, more)
	}
	return out
}

// change makes one change, and names it.
func (w *sourceChanges) change() string {
	all := []struct {
		name string
		do   func()
	}{
		{"rotate", w.rotate},
		{"rotate over REST", w.rotateREST},
		{"set all that is set", func() { w.update(nil, w.secrets()) }},
		{"set by path", func() { w.update([]string{"yousign.secrets"}, w.secrets()) }},
		{"set by the path of the config", func() { w.update([]string{"yousign"}, w.secrets()) }},
		{"set over REST", func() { w.patch("", w.secrets()) }},
		{"set over REST by path", func() { w.patch("?updateMask=yousign.secrets", w.secrets()) }},
		{"change the name", func() { w.update([]string{"description"}, w.secrets()) }},
		{"change all but credentials", func() { w.update([]string{"*"}, nil) }},
		{"change the config but not its secrets", func() { w.update([]string{"yousign"}, nil) }},
		{"clear the secrets", func() { w.update([]string{"yousign.secrets"}, nil) }},
		{"change the name over REST", func() { w.patch("", nil) }},
		{"shadow", w.shadow},
		{"disable and enable", w.disable},
		{"list, look and try", w.validate},
	}
	c := all[w.random.IntN(len(all))]
	c.do()
	return c.name
}

func (w *sourceChanges) rotate() {
	overlap := []time.Duration{0, time.Hour, 5 * 24 * time.Hour}[w.random.IntN(3)]
	secret, until := w.secret(), time.Now().Add(overlap)
	for range 1 + w.random.IntN(2) { // an answer may be lost
		_, err := w.g.sources.RotateSourceSecret(w.t.Context(), &hookstreamv1.RotateSourceSecretRequest{
			Name: w.name(), Secret: secret, Overlap: durationpb.New(overlap),
		})
		w.rotated(secret, until, err)
	}
}

func (w *sourceChanges) rotateREST() {
	secret, until := w.secret(), time.Now().Add(yousign.DefaultOverlap)
	code, _, body := w.g.do(w.t, "POST", "/v1/"+w.name()+":rotateSecret", `{"secret":"`+secret+`"}`)
	if code != 200 && !strings.Contains(body, yousign.ErrTooManySecrets.Error()) {
		w.t.Fatalf("%d %s", code, body)
	}
	if code == 200 {
		w.promised.rotate(secret, until)
	}
}

// rotated notes a rotation, which may be refused for one reason only.
func (w *sourceChanges) rotated(secret string, until time.Time, err error) {
	w.t.Helper()
	switch {
	case err == nil:
		w.promised.rotate(secret, until)
	case !strings.Contains(err.Error(), yousign.ErrTooManySecrets.Error()):
		w.t.Fatal(err)
	}
}

func (w *sourceChanges) update(paths, secrets []string) {
	src := yousignSource(secrets...)
	src.Name = w.name()
	_, err := w.g.sources.UpdateSource(w.t.Context(), &hookstreamv1.UpdateSourceRequest{
		Source: src, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
	})
	switch cleared := slices.Contains(paths, "yousign.secrets") && secrets == nil; {
	case cleared != (err != nil):
		w.t.Fatalf("%v with %v: %v", paths, secrets, err)
	case err == nil && len(secrets) > 0 && !slices.Contains(paths, "description"):
		w.promised.set(secrets...)
	}
}

func (w *sourceChanges) patch(query string, secrets []string) {
	body := fmt.Sprintf(`{"description":"n%d"`, w.random.IntN(100))
	if secrets != nil {
		body += `,"yousign":{"secrets":["` + strings.Join(secrets, `","`) + `"]}`
		w.promised.set(secrets...)
	}
	if code, _, answer := w.g.do(w.t, "PATCH", "/v1/"+w.name()+query, body+"}"); code != 200 {
		w.t.Fatalf("%d %s", code, answer)
	}
}

func (w *sourceChanges) shadow() {
	_, err := w.g.sources.UpdateSource(w.t.Context(), &hookstreamv1.UpdateSourceRequest{
		Source: &hookstreamv1.Source{Name: w.name(), VerificationMode: hookstreamv1.VerificationMode(1 + w.random.IntN(2))},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *sourceChanges) disable() {
	if _, err := w.g.sources.DisableSource(w.t.Context(), &hookstreamv1.DisableSourceRequest{Name: w.name()}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.g.sources.EnableSource(w.t.Context(), &hookstreamv1.EnableSourceRequest{Name: w.name()}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *sourceChanges) validate() {
	src := yousignSource("secret-tried")
	src.Name = w.name()
	if _, err := w.g.sources.UpdateSource(w.t.Context(), &hookstreamv1.UpdateSourceRequest{Source: src, ValidateOnly: true}); err != nil {
		w.t.Fatal(err)
	}
}

// The same rotation again, because its answer was lost, changes nothing, with its
// etag too; an etag that was read before somebody else's rotation is refused.
func TestARotationMayBeRepeated(t *testing.T) {
	for _, src := range []*hookstreamv1.Source{yousignSource("secret-old"), ignisignSource("key-old")} {
		g := start(t)
		old := g.create(t, "billing", src)
		req := &hookstreamv1.RotateSourceSecretRequest{Name: old.GetName(), Secret: "secret-new", Etag: old.GetEtag()}
		first, err := g.sources.RotateSourceSecret(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		again, err := g.sources.RotateSourceSecret(t.Context(), req)
		if err != nil || again.GetSource().GetEtag() != first.GetSource().GetEtag() {
			t.Errorf("repeated: %v, %v", again, err)
		}
		req.Secret = "secret-other"
		_, err = g.sources.RotateSourceSecret(t.Context(), req)
		wantStatus(t, err, codes.Aborted, "ETAG_MISMATCH")
		code, _, body := g.do(t, "POST", "/v1/sources/billing:rotateSecret", `{"secret":"secret-other","etag":"`+old.GetEtag()+`"}`)
		if code != 409 || !strings.Contains(body, "ETAG_MISMATCH") {
			t.Errorf("REST: %d %s", code, body)
		}
	}
}

// A secret with white space around it would be refused for as long as it takes
// somebody to see what cannot be seen. Wherever it is given, the field is named
// and the secret is not.
func TestASecretWithWhiteSpaceAroundItIsRefused(t *testing.T) {
	g := start(t)
	g.create(t, "y", yousignSource("secret-one"))
	g.create(t, "i", ignisignSource("key-one"))
	ctx := t.Context()
	for _, secret := range []string{" hidden-secret", "hidden-secret\n", "\thidden-secret ", "hidden-secret\u00a0", "\ufeffhidden-secret", "hidden-secret\u200b"} {
		y, i := yousignSource("secret-one", secret), ignisignSource(secret)
		var errs []error
		add := func(_ any, err error) { errs = append(errs, err) }
		add(g.sources.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: "new", Source: y}))
		add(g.sources.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: "new", Source: i}))
		y.Name, i.Name = "sources/y", "sources/i"
		add(g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: y}))
		add(g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: i}))
		add(g.sources.UpdateSource(ctx, &hookstreamv1.UpdateSourceRequest{Source: i, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"ignisign.apiKey"}}}))
		add(g.sources.RotateSourceSecret(ctx, &hookstreamv1.RotateSourceSecretRequest{Name: y.Name, Secret: secret}))
		add(g.sources.RotateSourceSecret(ctx, &hookstreamv1.RotateSourceSecretRequest{Name: i.Name, Secret: secret}))
		var fields []string
		for _, err := range errs {
			fields = append(fields, violated(wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID"))...)
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("%q is shown: %v", secret, err)
			}
		}
		want := []string{
			"source.yousign.secrets[1]", "source.ignisign.api_key", "source.yousign.secrets[1]",
			"source.ignisign.api_key", "source.ignisign.api_key", "secret", "secret",
		}
		if diff := cmp.Diff(want, fields); diff != "" {
			t.Errorf("%q (-want +got):\n%s", secret, diff)
		}
	}
	code, _, body := g.do(t, "POST", "/v1/sources/y:rotateSecret", `{"secret":"hidden-secret\n"}`)
	if code != 400 || strings.Contains(body, "hidden") {
		t.Errorf("REST: %d %s", code, body)
	}
}

// An environment that Ignisign does not have is refused with those it has.
func TestAnUnknownEnvironmentIsRefused(t *testing.T) {
	g := start(t)
	g.create(t, "crm", ignisignSource("key-one"))
	src := ignisignSource("key-one")
	src.GetIgnisign().AppEnv = "prd"
	_, created := g.sources.CreateSource(t.Context(), &hookstreamv1.CreateSourceRequest{SourceId: "new", Source: src})
	src.Name = "sources/crm"
	_, updated := g.sources.UpdateSource(t.Context(), &hookstreamv1.UpdateSourceRequest{
		Source: src, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"ignisign.app_env"}},
	})
	for _, err := range []error{created, updated} {
		st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
		if !strings.Contains(st.Message(), "DEVELOPMENT, STAGING, PRODUCTION") {
			t.Errorf("says %q", st.Message())
		}
	}
	for _, env := range []string{"DEVELOPMENT", "STAGING", "PRODUCTION", "TEST"} { // the last one is in its quick start
		src := ignisignSource("key-one")
		src.GetIgnisign().AppEnv = env
		g.create(t, "is-"+strings.ToLower(env), src)
	}
}

// What cannot change need not be repeated when everything else is set.
func TestEverythingOfAKeylessSourceIsSet(t *testing.T) {
	g := start(t)
	src := yousignSource("secret-one")
	src.Keyless, src.Description = true, "before"
	g.create(t, "billing", src)
	code, _, body := g.do(t, "PATCH", "/v1/sources/billing?updateMask=*", `{"description":"after","yousign":{}}`)
	kept := g.kept(t, "billing")
	if code != 200 || !kept.GetKeyless() || kept.GetDescription() != "after" {
		t.Errorf("%d %s; kept %v", code, body, kept.GetDescription())
	}
	code, _, body = g.do(t, "PATCH", "/v1/sources/billing?updateMask=keyless", `{}`)
	if code != 400 || !strings.Contains(body, "never changes") {
		t.Errorf("%d %s", code, body)
	}
}
