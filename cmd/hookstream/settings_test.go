package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
)

func parsed(t *testing.T, line string) (*commands, error) {
	t.Helper()
	c := newCommands()
	_, err := kong.Must(c, defaults()).Parse(strings.Fields(line))
	return c, err
}

// A setting of each kind arrives in the request, and in the mask of an update.
func TestFlagsOfSettings(t *testing.T) {
	c, err := parsed(t, "subscriptions create crm --description d --label a=b --label c=d --ordering by-entity --ack-deadline 90s --max-attempts 3 --backoff-min 0s --max-outstanding-bytes 1MiB")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Subscriptions.Create.subscription()
	want := &hookstreamv1.Subscription{
		Description: "d", Labels: map[string]string{"a": "b", "c": "d"}, Ordering: hookstreamv1.Ordering_ORDERING_BY_ENTITY,
		AckDeadline: &durationpb.Duration{Seconds: 90}, MaxAttempts: 3, BackoffMin: &durationpb.Duration{}, MaxOutstandingBytes: 1 << 20,
	}
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	c, err = parsed(t, "sources update billing --mode shadow --no-include-sensitive-fields --include-sensitive access --include-sensitive identity --no-labels --disabled-type a.* --max-rate 0.5")
	if err != nil {
		t.Fatal(err)
	}
	req, err := c.Sources.Update.request()
	source := &hookstreamv1.Source{
		Name: "sources/billing", DisabledTypes: []string{"a.*"}, MaxRequestsPerSecond: 0.5,
		VerificationMode: hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW,
		IncludeSensitive: []optionsv1.Sensitivity{optionsv1.Sensitivity_SENSITIVITY_ACCESS, optionsv1.Sensitivity_SENSITIVITY_IDENTITY},
	}
	paths := "labels disabled_types verification_mode include_sensitive_fields include_sensitive max_requests_per_second"
	if err != nil || !proto.Equal(req.GetSource(), source) || strings.Join(req.GetUpdateMask().GetPaths(), " ") != paths {
		t.Errorf("%v, %v", req, err)
	}
}

func TestFlagsOfSettingsRefuse(t *testing.T) {
	heavy.Test(t)
	for line, want := range map[string]string{
		"subscriptions update crm --label a=b --no-labels":                           "--label and --no-labels exclude each other",
		"sources update billing --disabled-type a.b --no-disabled-types":             "--disabled-type and --no-disabled-types exclude each other",
		"sources update billing --include-sensitive all":                             "--include-sensitive all: access, identity or none",
		"sources update billing --include-sensitive access --include-sensitive none": "--include-sensitive none: access, identity or none",
		"sources update billing --mode lenient":                                      "--mode must be one of",
		"sources update billing --keyless":                                           "unknown flag --keyless",
		"subscriptions update crm --ordering by-entity":                              "unknown flag --ordering",
		"subscriptions create crm --max-attempts 3000000000":                         "--max-attempts",
		"subscriptions update crm":                                                   "nothing to change was named",
	} {
		c, err := parsed(t, line)
		if err == nil {
			if _, err = c.Subscriptions.Update.request(); strings.HasPrefix(line, "sources") {
				_, err = c.Sources.Update.request()
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}
