package server

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// checkGiven refuses values of a source that can only be mistakes: they would be
// kept, and the sender be refused until somebody notices. Only what was written
// now is looked at (all of it when that is nil), so that a source that was kept
// by an earlier version can still be changed.
func checkGiven(src *hookstreamv1.Source, written map[string]bool) (v violations) {
	given := func(field string) bool { return written == nil || written[field] }
	if given("yousign.secrets") {
		for i, secret := range src.GetYousign().GetSecrets() {
			v.addSecret(fmt.Sprintf("yousign.secrets[%d]", i), secret)
		}
	}
	cfg := src.GetIgnisign()
	if given("ignisign.api_key") {
		v.addSecret("ignisign.api_key", cfg.GetApiKey())
	}
	if env := cfg.GetAppEnv(); given("ignisign.app_env") && env != "" && !slices.Contains(appEnvs(), env) {
		v.add("ignisign.app_env", "no environment of Ignisign: there are %s", strings.Join(appEnvs(), ", "))
	}
	return v
}

// addSecret says so when a secret begins or ends with what nobody sees: it came
// along from a page or a file, and no sender signs with it. What the secret is
// does not stand in the violation.
func (v *violations) addSecret(field, secret string) {
	first, _ := utf8.DecodeRuneInString(secret)
	last, _ := utf8.DecodeLastRuneInString(secret)
	switch {
	case secret == "":
	case unseen(first) && unseen(last):
		v.add(field, "begins and ends with white space or another character that cannot be seen, which is no part of a secret")
	case unseen(first):
		v.add(field, "begins with white space or another character that cannot be seen, which is no part of a secret")
	case unseen(last):
		v.add(field, "ends with white space or another character that cannot be seen, which is no part of a secret")
	}
}

func unseen(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }

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
