// Package providertest holds every provider to what provider.Verifier promises,
// over requests kept in files.
//
// A file is a txtar archive of one request. Its comment says why it is there;
// it must not be empty. Sections:
//
//	-- header --        header lines as sent, may be absent
//	-- body --          the body, without the line break that ends the section
//	-- receive_time --  RFC 3339, may be absent: 2026-03-02T08:20:00Z
//	-- want --          what must come of it, one `word: value` a line
//
// Words: inspect (ok, malformed, not_for_source), topic, action, environment,
// event_id, dedup_key, entity, occur_time (RFC 3339, or zero), attempt, outcome
// (genuine, rejected, undecided), method, reason, secret_index. What is not
// named is not compared. Verify is asked whether or not Inspect is content, and
// only when an outcome is wanted.
//
// A request that is genuine is tampered with besides, so that a Verify that accepts
// everything fails without a file that says so. A fake API of a remote provider must know
// its tokens from others.
package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// Run tests a provider with each request in dir, the files named *.txtar. At least
// one must be genuine.
func Run(t *testing.T, verifier provider.Verifier, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests in %s: %v", dir, err)
	}
	genuine := false
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			c, err := readCase(file)
			if err != nil {
				t.Fatal(err)
			}
			genuine = genuine || c.want["outcome"] == "genuine"
			check(t, verifier, c)
		})
	}
	if !genuine {
		t.Errorf("no request in %s is genuine: one that a source would take must be there", dir)
	}
}

func check(t *testing.T, verifier provider.Verifier, c *testCase) {
	body := bytes.Clone(c.request.Body)
	got := map[string]string{}
	info, err := verifier.Inspect(c.request)
	if !bytes.Equal(body, c.request.Body) {
		t.Error("Inspect changed the body")
	}
	anothers(c.request.Body) // what is answered must not change with the body
	describeInfo(got, info, err)
	copy(c.request.Body, body)
	promisesOfInspect(t, c, info, err)
	if c.want["outcome"] != "" {
		v := verifier.Verify(context.Background(), c.request, info)
		describeVerdict(got, v)
		promisesOfVerify(t, v)
		if v.Outcome == provider.Genuine {
			for _, complaint := range forgeable(verifier, c.request, v.Coverage) {
				t.Error("verify: " + complaint)
			}
		}
	}
	for word, want := range c.want {
		if got[word] != want {
			t.Errorf("%s: got %q, want %q", word, got[word], want)
		}
	}
	if !bytes.Equal(body, c.request.Body) {
		t.Error("Verify changed the body")
	}
	if t.Failed() {
		t.Logf("why: %s", c.why)
	}
}

// anothers does to a body what the next request does whose body is read into the
// same memory.
func anothers(body []byte) {
	for i := range body {
		body[i] = '?'
	}
}

// promisesOfInspect checks what holds for every request.
func promisesOfInspect(t *testing.T, c *testCase, info provider.Info, err error) {
	if err != nil {
		if !errors.Is(err, provider.ErrMalformed) && !errors.Is(err, provider.ErrNotForSource) {
			t.Errorf("inspect: an error of no kind: %v", err)
		}
		if tells(err.Error(), string(c.request.Body)) {
			t.Errorf("inspect: the error holds a part of the body: %v", err)
		}
		return
	}
	if info.DedupKey == "" || len(info.DedupKey) > 128 {
		t.Errorf("inspect: a key of %d bytes", len(info.DedupKey))
	}
}

// promisesOfVerify checks what holds for every verdict.
func promisesOfVerify(t *testing.T, v provider.Verdict) {
	if v.Outcome == provider.Genuine && v.Coverage == hookstreamv1.Verification_COVERAGE_UNSPECIFIED {
		t.Error("verify: genuine, and it is not said what of the request is vouched for")
	}
}

// tells reports whether a message quotes the body: any string in it of 8
// characters or more.
func tells(message, body string) bool {
	return slices.ContainsFunc(strings.Split(body, `"`), func(part string) bool {
		return len(part) >= 8 && strings.Contains(message, part)
	})
}

func describeInfo(got map[string]string, info provider.Info, err error) {
	got["inspect"] = "ok"
	switch {
	case errors.Is(err, provider.ErrMalformed):
		got["inspect"] = "malformed"
	case errors.Is(err, provider.ErrNotForSource):
		got["inspect"] = "not_for_source"
	case err != nil:
		got["inspect"] = err.Error()
	}
	for word, text := range map[string]string{
		"topic": info.Topic, "action": info.Action, "environment": info.Environment,
		"event_id": info.EventID, "dedup_key": info.DedupKey, "entity": info.Entity,
	} {
		got[word] = strings.Clone(text) // as it is now
	}
	got["occur_time"] = "zero"
	if !info.OccurTime.IsZero() {
		got["occur_time"] = info.OccurTime.UTC().Format(time.RFC3339)
	}
	got["attempt"] = fmt.Sprint(info.Attempt)
}

func describeVerdict(got map[string]string, v provider.Verdict) {
	got["outcome"] = map[provider.Outcome]string{
		provider.Undecided: "undecided", provider.Genuine: "genuine", provider.Rejected: "rejected",
	}[v.Outcome]
	got["method"], got["reason"] = v.Method, v.Reason
	got["secret_index"] = fmt.Sprint(v.SecretIndex)
}
