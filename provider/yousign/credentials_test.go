package yousign

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
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
		{"keeps what was promised", config("old", nil, "older", hour), day, config("new", nil, "old", day, "older", hour)},
		{"keeps what was promised for longer", config("old", nil, "older", day), hour, config("new", nil, "old", hour, "older", day)},
		{"keeps what was promised without overlap", config("old", nil, "older", day), now, config("new", nil, "older", day)},
		{"drops what has ended", config("old", nil, "older", now), day, config("new", nil, "old", day)},
		{"changes nothing when called again", config("new", nil, "old", hour), day, config("new", nil, "old", hour)},
		{"ends nothing sooner when called again", config("new", nil, "old", day), hour, config("new", nil, "old", day)},
		{"ends all that have no end", config("old", nil, "other", nil), day, config("new", nil, "old", day, "other", day)},
		{"goes back to the old one", config("other", nil, "new", day), day, config("new", nil, "other", day)},
		{"begins with none", config(), day, config("new", nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := RotateSecret(tt.cfg, "new", now, tt.until); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tt.cfg, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A list that somebody sets has no end, also where it names a secret that was
// about to be dropped: going back to it is why it is named.
func TestSecretsThatAreSetHaveNoEnd(t *testing.T) {
	cfg := &yousignv1.SourceConfig{
		Secrets:      []string{"new", "old"},
		SecretStates: []*yousignv1.SecretState{{}, {ExpireTime: timestamppb.New(time.Unix(1_700_000_000, 0))}},
	}
	SetSecrets(cfg, []string{"old", "newest"})
	if diff := cmp.Diff([]*yousignv1.SecretState{{}, {}}, cfg.GetSecretStates(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A rotation that would have to drop a secret before its time is refused.
func TestRotateSecretDropsNothingThatWasPromised(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	cfg := &yousignv1.SourceConfig{}
	for i := range MaxSecrets {
		if err := RotateSecret(cfg, fmt.Sprint("secret-", i), now, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	before := proto.CloneOf(cfg)
	err := RotateSecret(cfg, "one-more", now, now.Add(time.Hour))
	if !errors.Is(err, ErrTooManySecrets) || strings.Contains(err.Error(), "secret-") {
		t.Errorf("answered %v", err)
	}
	if diff := cmp.Diff(before, cfg, protocmp.Transform()); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	// The same one again needs no room, and a drop of the current one makes some.
	if err := RotateSecret(cfg, cfg.GetSecrets()[0], now, now); err != nil {
		t.Error(err)
	}
	if err := RotateSecret(cfg, "one-more", now, now); err != nil {
		t.Error(err)
	}
	if err := RotateSecret(cfg, "later", now.Add(time.Hour), now.Add(2*time.Hour)); err != nil || len(cfg.GetSecrets()) != 2 {
		t.Errorf("after the others have ended: %v, %d secrets", err, len(cfg.GetSecrets()))
	}
}
