package source_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/source"
)

// What an earlier version stored, a source whose only secret has ended, is kept
// as it is by a change of something else.
func TestTheLastSecretIsNotDropped(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	create(t, s, "billing", yousign("secret-old"))
	past := timestamppb.New(time.Now().Add(-time.Second))
	for _, name := range []string{"x", "y"} {
		kept, err := s.Update(t.Context(), "billing", "", func(src *hookstreamv1.Source) error {
			src.Description = name
			src.GetYousign().SecretStates[0].ExpireTime = past
			return nil
		})
		if err != nil || len(kept.GetYousign().GetSecrets()) != 1 {
			t.Fatalf("kept %d secrets, %v", len(kept.GetYousign().GetSecrets()), err)
		}
		if states := s.Public(kept).GetYousign().GetSecretStates(); len(states) != 1 {
			t.Errorf("shows %v", states)
		}
	}
}

func TestExpiredSecretsGoWithTheNextWrite(t *testing.T) {
	s := openStore(t, openBucket(t), source.NewKey())
	create(t, s, "billing", yousign("secret-new", "secret-old"))
	past := timestamppb.New(time.Now().Add(-time.Second))
	kept, err := s.Update(t.Context(), "billing", "", func(src *hookstreamv1.Source) error {
		src.Description = "x"
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
	states := openStore(t, openBucket(t), source.NewKey()).Public(src).GetYousign().GetSecretStates()
	if len(states) != 1 || states[0].GetExpireTime() != nil {
		t.Errorf("states %v", states)
	}
}
