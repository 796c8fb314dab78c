package source

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/yousign"
)

func yousignSource(secrets ...string) *hookstreamv1.Source {
	return &hookstreamv1.Source{Config: &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{Secrets: secrets}}}
}

// newStore answers a store that keeps nothing.
func newStore(t *testing.T) *Store {
	t.Helper()
	set, err := provider.NewSet(yousign.Provider{})
	if err != nil {
		t.Fatal(err)
	}
	return &Store{providers: set}
}

// A secret that is dropped by whatever change is kept as retired, newest first; a
// secret that comes back is not retired; a caller's list counts for nothing.
func TestDroppedSecretsAreRetired(t *testing.T) {
	store := newStore(t)
	src := store.Draft("a", yousignSource("first-secret"))
	set := func(secrets ...string) func(*hookstreamv1.Source) error {
		return func(s *hookstreamv1.Source) error { yousign.SetSecrets(s.GetYousign(), secrets); return nil }
	}
	for _, step := range []struct {
		change func(*hookstreamv1.Source) error
		want   []string
	}{
		{set("second-secret"), []string{"first-secret"}},
		{set("third-secret", "second-secret"), []string{"first-secret"}},
		{set("third-secret"), []string{"second-secret", "first-secret"}},
		{func(s *hookstreamv1.Source) error {
			s.GetYousign().RetiredSecrets = []*yousignv1.RetiredSecret{{Secret: "made-up"}}
			s.Disabled = true
			return nil
		}, []string{"second-secret", "first-secret"}},
		{set("first-secret"), []string{"third-secret", "second-secret"}},
	} {
		next, err := store.apply(src, step.change)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range next.GetYousign().GetRetiredSecrets() {
			got = append(got, r.GetSecret())
			if r.GetRetireTime() == nil {
				t.Error("retired at no time")
			}
		}
		if len(got) != len(step.want) || len(got) > 0 && (got[0] != step.want[0] || got[len(got)-1] != step.want[len(got)-1]) {
			t.Errorf("%v, want %v", got, step.want)
		}
		src = next
	}
	if shown := store.Public(src); len(shown.GetYousign().GetRetiredSecrets()) != 0 {
		t.Errorf("%v is shown", shown)
	}
	if made := store.Draft("b", src); len(made.GetYousign().GetRetiredSecrets()) != 0 {
		t.Error("a caller made retired secrets")
	}
}

// One that expired is retired as of then.
func TestExpiredSecretsAreRetired(t *testing.T) {
	store := newStore(t)
	src := store.Draft("a", yousignSource("new-secret", "old-secret"))
	end := time.Now().Add(-time.Hour)
	src.GetYousign().SecretStates[1].ExpireTime = timestamppb.New(end)
	next, err := store.apply(src, func(*hookstreamv1.Source) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	retired := next.GetYousign().GetRetiredSecrets()
	if len(retired) != 1 || retired[0].GetSecret() != "old-secret" || !retired[0].GetRetireTime().AsTime().Equal(end) {
		t.Errorf("%v", retired)
	}
}
