package client

import (
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// ErrSilent says that a stream stood still although heartbeats were promised: the
// peer is gone without a word. It goes to OnError; the stream is opened again.
var ErrSilent = errors.New("nothing heard for too long")

// Reason answers why the gateway refused or ended something, for errors of this
// package and of any call to the gateway. ERROR_REASON_UNSPECIFIED when err has
// no reason, or one that this version does not know: decide by its code then.
func Reason(err error) hookstreamv1.ErrorReason {
	info := detail[*errdetails.ErrorInfo](err)
	if info.GetDomain() != "hookstream.dev" {
		return hookstreamv1.ErrorReason_ERROR_REASON_UNSPECIFIED
	}
	return hookstreamv1.ErrorReason(hookstreamv1.ErrorReason_value["ERROR_REASON_"+info.GetReason()])
}

// retryDelay is how long the gateway asked to wait; 0: it did not say.
func retryDelay(err error) time.Duration {
	return detail[*errdetails.RetryInfo](err).GetRetryDelay().AsDuration()
}

// detail answers err's first detail of type T.
func detail[T any](err error) (found T) {
	st, ok := status.FromError(err)
	if !ok {
		return found
	}
	for _, d := range st.Details() {
		if d, ok := d.(T); ok {
			return d
		}
	}
	return found
}

// mendable reports whether the same call may succeed later.
//
// INTERNAL, UNKNOWN and CANCELLED, which the gateway hardly sends, are what
// proxies and reset connections look like. A service that ends for good because
// a proxy was restarted is worse than one that asks again, with pauses.
func mendable(err error) bool {
	if errors.Is(err, ErrSilent) || errors.Is(err, errHandedOver) || errors.Is(err, errEnded) {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded,
		codes.Internal, codes.Unknown, codes.Canceled:
		return true
	case codes.FailedPrecondition:
		return Reason(err) == hookstreamv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_PAUSED
	default:
		return false
	}
}
