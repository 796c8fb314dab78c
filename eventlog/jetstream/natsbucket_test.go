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
