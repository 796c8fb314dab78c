package jetstream

import (
	"errors"
	"testing"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/nats-io/nats.go/jetstream"
)

// A change that another overtook is a conflict, and tried again, also when it was
// overtaken on its way to the replicas.
func TestOvertakenChangeIsAConflict(t *testing.T) {
	for _, code := range []jetstream.ErrorCode{jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant} {
		if err := bucketError(&jetstream.APIError{Code: 400, ErrorCode: code}); !errors.Is(err, eventlog.ErrConflict) {
			t.Errorf("code %d: %v, want %v", code, err, eventlog.ErrConflict)
		}
	}
}

// When a replica that lags does not know of a deletion, nats.go takes the key for one
// that exists: the leader decides.
func TestTheLeaderDecidesWhetherAKeyExists(t *testing.T) {
	o := DefaultOptions()
	o.Dir, o.Durability = t.TempDir(), DurabilityRelaxed
	bucket, err := openForTest(t, o).Bucket(t.Context(), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	b := bucket.(*natsBucket)
	rev, err := b.Create(t.Context(), "a", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.createDeleted(t.Context(), "a", []byte("2"), jetstream.ErrKeyExists); !errors.Is(err, jetstream.ErrKeyExists) {
		t.Errorf("of a key that exists: %v", err)
	}
	if err := b.Delete(t.Context(), "a", rev); err != nil {
		t.Fatal(err)
	}
	if _, err := b.createDeleted(t.Context(), "a", []byte("3"), jetstream.ErrKeyExists); err != nil {
		t.Errorf("of a key that was deleted: %v", err)
	}
	if c, err := b.Now(t.Context(), "a"); err != nil || string(c.Value) != "3" {
		t.Errorf("it is %q, %v", c.Value, err)
	}
}
