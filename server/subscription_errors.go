package server

import (
	"errors"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// subscriptionStatus shows those errors of subscriptions that say more than one
// thing, and is nil for all others.
func subscriptionStatus(err error) error {
	var invalid *subscription.InvalidError
	var conflict *subscription.ConflictError
	switch {
	case errors.As(err, &invalid):
		return settingsStatus(invalid)
	case errors.As(err, &conflict):
		return conflictStatus(conflict)
	case errors.Is(err, subscription.ErrPageToken):
		var v violations
		v.add("page_token", "not a token of this list")
		return v.err()
	}
	return nil
}

// settingsStatus shows everything that is wrong with settings.
func settingsStatus(err *subscription.InvalidError) error {
	var v violations
	ofFilter := 0
	for _, violation := range err.Violations {
		v.add("subscription."+violation.Field, "%s", violation.Description)
		if violation.Field == "selector.filter" {
			ofFilter++
		}
	}
	if ofFilter == 0 || ofFilter < len(v) {
		return v.err()
	}
	return statusError(codes.InvalidArgument, hookstreamv1.ErrorReason_ERROR_REASON_FILTER_INVALID,
		v[0].GetField()+": "+v[0].GetDescription(), &errdetails.BadRequest{FieldViolations: v})
}

// conflictStatus names the fields that differ, for people and for programs.
func conflictStatus(err *subscription.ConflictError) error {
	info := errorInfo(hookstreamv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_DIFFERS)
	info.Metadata = map[string]string{"fields": strings.Join(err.Fields, ",")}
	return detailed(codes.FailedPrecondition, err.Error(), info)
}
