package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// TestSender sends samples through the way in. It is called by many calls at
// once.
type TestSender interface {
	// SendTest posts a correctly signed sample of the type, which is in the
	// catalog, or of the most usual one when it is empty, to the ingress of src,
	// which holds its credentials, and says what was answered. An answer other than 200 is no error. The error wraps
	// ErrNotSupportedByProvider when only the provider could sign one.
	SendTest(ctx context.Context, src *hookstreamv1.Source, typ string) (*hookstreamv1.SendSourceTestEventResponse, error)
}

// sourceService is the SourceService: one file a method.
type sourceService struct {
	hookstreamv1.UnimplementedSourceServiceServer

	store *source.Store
	// check says what a source lacks to be used; its error is shown to the
	// caller.
	check func(*hookstreamv1.Source) error
	tests TestSender
	types []*hookstreamv1.EventType
}
