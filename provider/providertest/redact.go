package providertest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hookstream/hookstream/event"
)

// CheckRedaction holds what event.RedactWire makes of a message in wire form
// against what event.Redact makes of the message, whatever kinds are shown, and
// answers how many paths it found with none shown: -1 when it could not tell.
func CheckRedaction(t testing.TB, m proto.Message, wire []byte) int {
	t.Helper()
	for shown := event.AllKinds; shown > 0; shown-- {
		checkRedaction(t, m, wire, shown)
	}
	return checkRedaction(t, m, wire, 0)
}

func checkRedaction(t testing.TB, m proto.Message, wire []byte, shown event.Kinds) int {
	t.Helper()
	want := proto.Clone(m)
	wantPaths := event.Redact(want, shown)
	wire, paths, ok := event.RedactWire(m.ProtoReflect().Descriptor(), slices.Clone(wire), shown)
	if !ok {
		return -1
	}
	got := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(wire, got); err != nil {
		t.Fatalf("redacted: %v", err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("redacted:\n%s", diff)
	}
	if diff := cmp.Diff(wantPaths, paths); diff != "" {
		t.Errorf("redacted paths:\n%s", diff)
	}
	return len(paths)
}
