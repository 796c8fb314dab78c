package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/cloudevent"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// frameTimeout bounds how long a client may take to read what was written last, a
// page of memory or one delivery. While it does not read, its stream waits there.
const frameTimeout = 30 * time.Second

// subscribePath is where restStream is served.
const subscribePath = "/v1/events:subscribe"

// restStream is EventService.Subscribe over HTTP: as lines of JSON, or as
// server-sent events when the client accepts those, of CloudEvents when it accepts
// those. Every frame is flushed.
type restStream struct {
	mux          *runtime.ServeMux
	subscribe    subscriber
	cache        *jsonCache
	turns        turns
	frameTimeout time.Duration
}

// ServeHTTP streams until the client hangs up or the stream ends.
func (s *restStream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fromAnotherPage(r) {
		writeForeign(w, r)
		return
	}
	req, err := s.request(r)
	if err != nil {
		restError(r.Context(), nil, nil, w, r, err)
		return
	}
	if accepts(r, cloudevent.MediaJSON) {
		if err := fitsCloudEvents(req.GetView()); err != nil {
			restError(r.Context(), nil, nil, w, r, err)
			return
		}
	}
	if r.Method == http.MethodHead {
		s.newFrameWriter(w, r) // what GET would begin with
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if err := s.stream(ctx, w, r, req); err != nil {
		restError(ctx, nil, nil, w, r, err)
	}
}

// request reads what a stream is asked for.
func (s *restStream) request(r *http.Request) (*hookstreamv1.SubscribeRequest, error) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if err := ruleOf(method, subscribePath).check(r, nil); err != nil {
		return nil, err
	}
	req := new(hookstreamv1.SubscribeRequest)
	if method == http.MethodGet {
		if err := runtime.PopulateQueryParameters(req, r.URL.Query(), utilities.NewDoubleArray(nil)); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	} else if err := restJSON.NewDecoder(r.Body).Decode(req); err != nil && !errors.Is(err, io.EOF) {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	// A browser that reconnects sends the first URL again, and with it the last
	// id it has seen: that is where to go on, unless the server keeps the place.
	if last := r.Header.Get("Last-Event-ID"); last != "" && req.GetSubscription() == "" {
		if !utf8.ValidString(last) {
			return nil, badRequest("after_cursor", "the header Last-Event-ID is not UTF-8")
		}
		req.Start = &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: last}
	}
	return req, nil
}

// stream answers an error only when nothing was answered yet: an error before
// the first frame is an HTTP status like any other.
func (s *restStream) stream(ctx context.Context, w http.ResponseWriter, r *http.Request, req *hookstreamv1.SubscribeRequest) error {
	ctx, err := runtime.AnnotateIncomingContext(ctx, s.mux, r, hookstreamv1.EventService_Subscribe_FullMethodName)
	if err != nil {
		return err
	}
	var out *frameWriter
	err = s.subscribe(ctx, req, func(m any) error {
		if out == nil {
			out = s.newFrameWriter(w, r)
		}
		return out.send(m)
	})
	switch {
	case out == nil && err != nil:
		return err
	case out == nil: // it ended before its first frame
		out = s.newFrameWriter(w, r)
	case out.gone:
		return nil // nobody is left to hear how it ended
	}
	out.end(err)
	return nil
}
