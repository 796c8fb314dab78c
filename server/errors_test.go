package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/source"
	"github.com/hookstream/hookstream/subscription"
)

// Whoever would change what a newer gateway has written is told that, and not that
// the log is out of reach, which no upgrade of a gateway mends.
func TestWhatANewerGatewayWroteIsSaid(t *testing.T) {
	for _, err := range []error{source.ErrUnreadable, subscription.ErrUnreadable} {
		st := wantStatus(t, statusOf(t.Context(), slog.New(slog.DiscardHandler), fmt.Errorf("crm: %w", err)), codes.Unavailable, "STORE_UNAVAILABLE")
		if !strings.Contains(st.Message(), "a newer one wrote it") {
			t.Errorf("%v is told as %q", err, st.Message())
		}
	}
}

func TestStatusOfDomainErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   codes.Code
		reason string
		retry  bool
		logged bool
	}{
		{event.ErrCursorInvalid, codes.InvalidArgument, "CURSOR_INVALID", false, false},
		{hub.ErrCursorExpired, codes.OutOfRange, "CURSOR_EXPIRED", false, false},
		{hub.ErrCursorUnknown, codes.DataLoss, "CURSOR_UNKNOWN", false, false},
		{&hub.WithheldError{Source: "sources/a"}, codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD", false, false},
		{hub.ErrDraining, codes.Unavailable, "DRAINING", true, false},
		{hub.ErrTooManyStreams, codes.ResourceExhausted, "TOO_MANY_STREAMS", false, false},
		{source.ErrNotFound, codes.NotFound, "RESOURCE_NOT_FOUND", false, false},
		{source.ErrExists, codes.AlreadyExists, "RESOURCE_EXISTS", false, false},
		{source.ErrEtagMismatch, codes.Aborted, "ETAG_MISMATCH", false, false},
		{ErrNotSupportedByProvider, codes.FailedPrecondition, "NOT_SUPPORTED_BY_PROVIDER", false, false},
		{source.ErrUnreadable, codes.Unavailable, "STORE_UNAVAILABLE", true, true},
		{subscription.ErrUnreadable, codes.Unavailable, "STORE_UNAVAILABLE", true, true},
		{eventlog.ErrNotFound, codes.NotFound, "RESOURCE_NOT_FOUND", false, false},
		{eventlog.ErrFull, codes.Unavailable, "STORE_FULL", true, true},
		{eventlog.ErrUnavailable, codes.Unavailable, "STORE_UNAVAILABLE", true, true},
		{fmt.Errorf("%w: %w", eventlog.ErrUnavailable, context.DeadlineExceeded), codes.Unavailable, "STORE_UNAVAILABLE", true, true},
		{errors.New("password=hunter2"), codes.Internal, "", false, true},
	} {
		var logs bytes.Buffer
		got := statusOf(t.Context(), slog.New(slog.NewTextHandler(&logs, nil)), fmt.Errorf("reading: %w", c.err))
		st := wantStatus(t, got, c.code, c.reason)
		if retry := strings.Contains(fmt.Sprint(st.Details()), "retry_delay"); retry != c.retry {
			t.Errorf("%v: retry %v", c.err, retry)
		}
		if lines := strings.Count(logs.String(), "\n"); (lines == 1) != c.logged || lines > 1 {
			t.Errorf("%v: logged %d times", c.err, lines)
		}
		if strings.Contains(st.Message(), "hunter2") {
			t.Errorf("%v: shown as %q", c.err, st.Message())
		}
		for _, d := range st.Details() {
			if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() != "hookstream.dev" {
				t.Errorf("%v: domain %q", c.err, info.GetDomain())
			}
		}
	}
}

func TestStatusOfStatusAndContext(t *testing.T) {
	discard := slog.New(slog.DiscardHandler)
	own := statusError(codes.Aborted, hookstreamv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, "m")
	if got := statusOf(t.Context(), discard, own); !errors.Is(got, own) {
		t.Errorf("a status became %v", got)
	}
	if err := statusOf(t.Context(), discard, nil); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := statusOf(ctx, discard, fmt.Errorf("%w: gone", eventlog.ErrUnavailable)); status.Code(got) != codes.Canceled {
		t.Errorf("the caller hung up: %v", got)
	}
}

// Every reason that is mapped is in the schema, and each sentinel is mapped once.
func TestKnownErrors(t *testing.T) {
	for i, k := range knownErrors {
		if k.reason == hookstreamv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
			t.Errorf("%v has no reason", k.is)
		}
		for _, other := range knownErrors[:i] {
			if errors.Is(k.is, other.is) {
				t.Errorf("%v is mapped twice", k.is)
			}
		}
	}
}
