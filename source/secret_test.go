package source_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/source"
)

func TestRotateSecret(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	hour, day := now.Add(time.Hour), now.Add(24*time.Hour)
	config := func(pairs ...any) *yousignv1.SourceConfig {
		cfg := &yousignv1.SourceConfig{}
		for i := 0; i < len(pairs); i += 2 {
			state := &yousignv1.SecretState{}
			if end, ok := pairs[i+1].(time.Time); ok {
				state.ExpireTime = timestamppb.New(end)
			}
			cfg.Secrets = append(cfg.Secrets, pairs[i].(string))
			cfg.SecretStates = append(cfg.SecretStates, state)
		}
		return cfg
	}
	tests := []struct {
		name  string
		cfg   *yousignv1.SourceConfig
		until time.Time
		want  *yousignv1.SourceConfig
	}{
		{"keeps the old for the overlap", config("old", nil), day, config("new", nil, "old", day)},
		{"drops the old without overlap", config("old", nil), now, config("new", nil)},
		{"keeps the last of two", config("old", nil, "older", day), day, config("new", nil, "old", day)},
		{"changes nothing when called again", config("new", nil, "old", hour), day, config("new", nil, "old", hour)},
		{"may end the old one sooner", config("new", nil, "old", day), hour, config("new", nil, "old", hour)},
		{"goes back to the old one", config("other", nil, "new", day), day, config("new", nil, "other", day)},
		{"begins with none", config(), day, config("new", nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source.RotateSecret(tt.cfg, "new", now, tt.until)
			if diff := cmp.Diff(tt.want, tt.cfg, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSetSecretsKeepsTheEndOfOneThatStays(t *testing.T) {
	end := timestamppb.New(time.Unix(1_700_000_000, 0))
	cfg := &yousignv1.SourceConfig{
		Secrets:      []string{"new", "old"},
		SecretStates: []*yousignv1.SecretState{{}, {ExpireTime: end}},
	}
	source.SetSecrets(cfg, []string{"old", "newest"})
	want := []*yousignv1.SecretState{{ExpireTime: end}, {}}
	if diff := cmp.Diff(want, cfg.GetSecretStates(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExpiredSecretsGoWithTheNextWrite(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	create(t, s, "billing", yousign("secret-new", "secret-old"))
	past := timestamppb.New(time.Now().Add(-time.Second))
	kept, err := s.Update(t.Context(), "billing", "", func(src *hookstreamv1.Source) error {
		src.DisplayName = "x"
		src.GetYousign().SecretStates[1].ExpireTime = past
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"secret-new"}, kept.GetYousign().GetSecrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if n := len(kept.GetYousign().GetSecretStates()); n != 1 {
		t.Errorf("%d states for one secret", n)
	}
}

func TestPublicHidesExpiredSecrets(t *testing.T) {
	src := yousign("secret-new", "secret-old")
	src.GetYousign().SecretStates = []*yousignv1.SecretState{
		{Fingerprint: "new"},
		{Fingerprint: "old", ExpireTime: timestamppb.New(time.Now().Add(-time.Second))},
	}
	states := source.Public(src).GetYousign().GetSecretStates()
	if len(states) != 1 || states[0].GetFingerprint() != "new" {
		t.Errorf("states %v", states)
	}
}
