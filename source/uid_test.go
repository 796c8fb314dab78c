package source

import (
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// What an earlier version stored has no uid, and is shown with one that stays: on
// every gateway, after every start, and when it is stored again.
func TestASourceOfBeforeHasAUID(t *testing.T) {
	s := newStore(t)
	old := s.Draft("billing", yousignSource("first-secret"))
	read := func(src *hookstreamv1.Source) *hookstreamv1.Source {
		t.Helper()
		value, err := encode("billing", src)
		if err != nil {
			t.Fatal(err)
		}
		src, err = decode("billing", value, 7)
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	first := read(old)
	if _, err := uuid.Parse(first.GetUid()); err != nil {
		t.Fatal(err)
	}
	changed, err := s.apply(first, func(src *hookstreamv1.Source) error {
		src.Description, src.Uid = "x", "of a caller"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []*hookstreamv1.Source{read(old), read(changed)} {
		if src.GetUid() != first.GetUid() {
			t.Errorf("%s, was %s", src.GetUid(), first.GetUid())
		}
	}
	later := proto.CloneOf(old)
	later.CreateTime.Nanos++
	if read(later).GetUid() == first.GetUid() {
		t.Error("another source of the name has the same uid")
	}
}
