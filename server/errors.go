package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/replay"
	"github.com/hookstream/hookstream/source"
	"github.com/hookstream/hookstream/subscription"
)

// errorDomain is the domain of every google.rpc.ErrorInfo.
const errorDomain = "hookstream.dev"

// internalMessage is all that a caller is told of an error that nobody foresaw.
const internalMessage = "internal error"

// retryDelay is when a caller of a gateway that cannot serve now should try
// again.
const retryDelay = time.Second

// ErrNotSupportedByProvider says that the provider of a source cannot do what
// was asked.
var ErrNotSupportedByProvider = errors.New("not supported by the source's provider")

// statusError makes the status of an error that a caller can act on, with the
// reason in a google.rpc.ErrorInfo. The message is shown to the caller.
func statusError(code codes.Code, reason hookstreamv1.ErrorReason, message string, details ...protoadapt.MessageV1) error {
	return detailed(code, message, append([]protoadapt.MessageV1{errorInfo(reason)}, details...)...)
}

func errorInfo(reason hookstreamv1.ErrorReason) *errdetails.ErrorInfo {
	return &errdetails.ErrorInfo{Reason: strings.TrimPrefix(reason.String(), "ERROR_REASON_"), Domain: errorDomain}
}

// Errors travel among the headers of HTTP/2, of which some clients take 8 KiB in
// all and fail without a word when there are more. The message is there twice.
const (
	maxMessageBytes    = 512
	maxViolationsBytes = 2 << 10
)

// detailed makes a status that any client can be sent, whatever of the request is
// quoted in it.
func detailed(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	message = shortened(message, maxMessageBytes)
	for i, detail := range details {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			details[i] = someOf(bad)
		}
	}
	st, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		return status.Error(code, message)
	}
	return st.Err()
}

// shortened answers the beginning of a text, and says that it is no more.
func shortened(text string, limit int) string {
	if text = strings.ToValidUTF8(text, "\uFFFD"); len(text) <= limit {
		return text
	}
	const cut = "…"
	end := limit - len(cut)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cut
}

// someOf answers the violations that there is room for, and how many more there
// are.
func someOf(bad *errdetails.BadRequest) *errdetails.BadRequest {
	out, room := &errdetails.BadRequest{}, maxViolationsBytes
	for i, v := range bad.GetFieldViolations() {
		short := &errdetails.BadRequest_FieldViolation{
			Field: shortened(v.GetField(), maxMessageBytes/2), Description: shortened(v.GetDescription(), maxMessageBytes),
		}
		if room -= proto.Size(short); room < 0 {
			short.Field, short.Description = "", fmt.Sprintf("and %d more", len(bad.GetFieldViolations())-i)
		}
		out.FieldViolations = append(out.FieldViolations, short)
		if room < 0 {
			break
		}
	}
	return out
}

// knownError is how a domain's error looks from outside. Without a message the
// text of the error itself is shown: it must be fit for that.
type knownError struct {
	is      error
	code    codes.Code
	reason  hookstreamv1.ErrorReason
	message string
}

// What is said of cursors, whoever noticed.
const (
	expiredMessage = "the log no longer holds the events after this position"
	unknownMessage = "the cursor belongs to another log: it was replaced or truncated, or this is another gateway"
)

// knownErrors in the order in which they are tried.
var knownErrors = []knownError{
	{
		event.ErrCursorInvalid, codes.InvalidArgument, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_INVALID,
		"the cursor was not made by this software, or was altered",
	},
	{
		hub.ErrCursorExpired, codes.OutOfRange, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED, expiredMessage,
	},
	{
		hub.ErrCursorUnknown, codes.DataLoss, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_UNKNOWN, unknownMessage,
	},
	{
		subscription.ErrCursorExpired, codes.OutOfRange, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED, expiredMessage,
	},
	{
		subscription.ErrCursorUnknown, codes.DataLoss, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_UNKNOWN, unknownMessage,
	},
	{hub.ErrDraining, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_DRAINING, "the gateway is going down"},
	{
		hub.ErrTooManyStreams, codes.ResourceExhausted, hookstreamv1.ErrorReason_ERROR_REASON_TOO_MANY_STREAMS,
		"too many streams are open on this gateway",
	},
	{source.ErrNotFound, codes.NotFound, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_NOT_FOUND, ""},
	{source.ErrExists, codes.AlreadyExists, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_EXISTS, ""},
	{source.ErrEtagMismatch, codes.Aborted, hookstreamv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, ""},
	{source.ErrClosed, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_DRAINING, "the gateway is going down"},
	{
		subscription.ErrTooManyConsumers, codes.ResourceExhausted, hookstreamv1.ErrorReason_ERROR_REASON_TOO_MANY_STREAMS,
		"too many consumers are connected to this gateway",
	},
	{subscription.ErrNotFound, codes.NotFound, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_NOT_FOUND, ""},
	{subscription.ErrExists, codes.AlreadyExists, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_EXISTS, ""},
	{subscription.ErrEtagMismatch, codes.Aborted, hookstreamv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, ""},
	{subscription.ErrPaused, codes.FailedPrecondition, hookstreamv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_PAUSED, "the subscription is paused"},
	{subscription.ErrDeleted, codes.NotFound, hookstreamv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_DELETED, "the subscription was deleted"},
	{subscription.ErrDraining, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_DRAINING, "the gateway is going down"},
	{
		subscription.ErrUnresponsive, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_CONSUMER_UNRESPONSIVE,
		"deliveries of this stream expired, and none was settled for as long as the gateway waits",
	},
	{subscription.ErrClosed, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_DRAINING, "the gateway is going down"},
	{
		source.ErrUnreadable, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE,
		"the source is kept in a form that this gateway cannot read: a newer one wrote it; upgrade this gateway",
	},
	{
		subscription.ErrUnreadable, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE,
		"the subscription is kept in a form that this gateway cannot read: a newer one wrote it; upgrade this gateway",
	},
	{replay.ErrNotFound, codes.NotFound, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_NOT_FOUND, ""},
	{replay.ErrExists, codes.AlreadyExists, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_EXISTS, ""},
	{replay.ErrOver, codes.FailedPrecondition, hookstreamv1.ErrorReason_ERROR_REASON_REPLAY_OVER, "the replay is over"},
	{replay.ErrTooMany, codes.ResourceExhausted, hookstreamv1.ErrorReason_ERROR_REASON_TOO_MANY_REPLAYS, ""},
	{
		replay.ErrBehind, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE,
		"the history of this gateway does not know the newest events yet",
	},
	{ErrNotSupportedByProvider, codes.FailedPrecondition, hookstreamv1.ErrorReason_ERROR_REASON_NOT_SUPPORTED_BY_PROVIDER, ""},
	{eventlog.ErrNotFound, codes.NotFound, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_NOT_FOUND, "not found"},
	{eventlog.ErrConflict, codes.Aborted, hookstreamv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, "changed by somebody else meanwhile"},
	{eventlog.ErrTooLarge, codes.InvalidArgument, hookstreamv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "too large to be kept"},
	{eventlog.ErrNoBackup, codes.FailedPrecondition, hookstreamv1.ErrorReason_ERROR_REASON_BACKUP_REFUSED, ""},
	{eventlog.ErrFull, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_STORE_FULL, "the log has no room left"},
	{
		eventlog.ErrUnavailable, codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE,
		"the log cannot be read or written now",
	},
}

// status is statusOf for the interceptors.
func (s *Server) status(ctx context.Context, err error) error {
	return statusOf(ctx, s.opts.Logger, err)
}

// statusOf is the one place where errors become statuses. A status stays as it
// is; an error of a domain is shown by its reason; anything else becomes
// Internal with a fixed text, and is logged here, once.
func statusOf(ctx context.Context, logger *slog.Logger, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err
	}
	if done := ctx.Err(); done != nil {
		return status.FromContextError(done).Err()
	}
	var selector *hub.SelectorError
	if errors.As(err, &selector) {
		return selectorStatus(selector)
	}
	var withheld *hub.WithheldError
	if errors.As(err, &withheld) {
		return statusError(codes.FailedPrecondition, hookstreamv1.ErrorReason_ERROR_REASON_SENSITIVE_FIELDS_WITHHELD,
			withheld.Source+" does not include sensitive fields, which this view holds: see Source.include_sensitive_fields")
	}
	if st := subscriptionStatus(err); st != nil {
		return st
	}
	for _, known := range knownErrors {
		if errors.Is(err, known.is) {
			return known.status(ctx, logger, err)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return statusError(codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE, "gave up waiting", retryInfo())
	}
	var wrapped interface{ GRPCStatus() *status.Status }
	if errors.As(err, &wrapped) {
		return wrapped.GRPCStatus().Err()
	}
	logger.ErrorContext(ctx, internalMessage, "err", err)
	return status.Error(codes.Internal, internalMessage)
}

func (k knownError) status(ctx context.Context, logger *slog.Logger, err error) error {
	if k.message == "" {
		k.message = err.Error()
	}
	if k.code != codes.Unavailable {
		return statusError(k.code, k.reason, k.message)
	}
	if k.ours() {
		// The caller is told that it is our fault; why is for the operator.
		logger.WarnContext(ctx, "a call failed", "err", err)
	}
	return statusError(k.code, k.reason, k.message, retryInfo())
}

// ours reports whether it is our fault that a call failed which would not have at
// another time.
func (k knownError) ours() bool {
	return k.reason != hookstreamv1.ErrorReason_ERROR_REASON_DRAINING && k.reason != hookstreamv1.ErrorReason_ERROR_REASON_CONSUMER_UNRESPONSIVE
}

func retryInfo() *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)}
}

// selectorStatus shows everything that is wrong with the selector of a request.
func selectorStatus(err *hub.SelectorError) error {
	reason := hookstreamv1.ErrorReason_ERROR_REASON_REQUEST_INVALID
	if err.OnlyFilter() {
		reason = hookstreamv1.ErrorReason_ERROR_REASON_FILTER_INVALID
	}
	bad := &errdetails.BadRequest{}
	for _, v := range err.Violations {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: "selector." + v.Field, Description: v.Description,
		})
	}
	first := err.Violations[0]
	return statusError(codes.InvalidArgument, reason, "selector."+first.Field+": "+first.Description, bad)
}
