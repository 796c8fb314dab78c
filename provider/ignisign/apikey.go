package ignisign

import (
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

var (
	_ provider.Reviewer    = Provider{}
	_ provider.Credentials = Provider{}
)

// Review refuses an environment that Ignisign does not have: its requests would
// name another.
func (Provider) Review(src *hookstreamv1.Source, written func(field string) bool) provider.Mistakes {
	env := src.GetIgnisign().GetAppEnv()
	if !written("ignisign.app_env") || env == "" || slices.Contains(appEnvs(), env) {
		return nil
	}
	return provider.Mistakes{{Field: "ignisign.app_env", Description: "no environment of Ignisign: there are " + strings.Join(appEnvs(), ", ")}}
}

// appEnvs are the environments that Ignisign has, in its spelling.
func appEnvs() []string {
	var names []string
	values := ignisignv1.AppEnv(0).Descriptor().Values()
	for i := range values.Len() {
		if value := values.Get(i); value.Number() != 0 {
			names = append(names, strings.TrimPrefix(string(value.Name()), "APP_ENV_"))
		}
	}
	if !slices.Contains(names, "TEST") { // Ignisign's quick start has it, where other pages say STAGING
		names = append(names, "TEST")
	}
	return names
}

// Given has nothing to do: nothing but the key itself is known of a key.
func (Provider) Given(*hookstreamv1.Source, func(field string) bool) {}

// Refresh tells what the API key is, without showing it. A key does not end.
func (Provider) Refresh(src *hookstreamv1.Source, _ time.Time) {
	if cfg := src.GetIgnisign(); cfg != nil {
		cfg.ApiKeyFingerprint = provider.Fingerprint(cfg.GetApiKey())
	}
}

// Retire has nothing to do: nothing is signed with a key.
func (Provider) Retire(_, _ *hookstreamv1.Source, _ time.Time) {}

// Rotate replaces the API key: the gateway asks Ignisign with it, and nothing is
// signed with the old one.
func (Provider) Rotate(src *hookstreamv1.Source, r provider.Rotation) (made string, err error) {
	var wrong provider.Mistakes
	if r.Credential == "" {
		wrong = append(wrong, provider.Mistake{Field: "secret", Description: "only Ignisign can make an API key: give the new one"})
	}
	if r.Overlap != nil && *r.Overlap > 0 {
		wrong = append(wrong, provider.Mistake{Field: "overlap", Description: "an API key replaces the old one at once"})
	}
	src.GetIgnisign().ApiKey = r.Credential
	return "", wrong.Err()
}

// Accepts reports whether a source has the API key of given.
func (p Provider) Accepts(src, given *hookstreamv1.Source) bool {
	return p.Rotated(src, given.GetIgnisign().GetApiKey())
}

// Rotated reports whether a key is the source's.
func (Provider) Rotated(src *hookstreamv1.Source, key string) bool {
	return key != "" && subtle.ConstantTimeCompare([]byte(key), []byte(src.GetIgnisign().GetApiKey())) == 1
}
