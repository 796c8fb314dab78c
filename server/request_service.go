package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/request"
	"github.com/hookstream/hookstream/source"
)

// Requests are what RequestService shows, and lets in.
type Requests interface {
	// Store answers where they are kept; nil while that cannot be used.
	Store() *request.Store
	// ShowsBody reports whether bodies of a source may be shown.
	ShowsBody(source string) bool
	// CatchUp has what is known of sources be as of now.
	CatchUp(ctx context.Context) error
	// Again looks at a request again. It publishes what is genuine, as promoted at a
	// time if one is given, and notes what the request became.
	Again(ctx context.Context, r *request.Request, at time.Time) (*hookstreamv1.RequestVerdict, error)
	// Examine adds to a verdict what was looked at, and what most likely happened.
	Examine(ctx context.Context, r *request.Request, v *hookstreamv1.RequestVerdict)
}

// requestService is the RequestService: one file a method.
type requestService struct {
	hookstreamv1.UnimplementedRequestServiceServer
	requests Requests
	logger   *slog.Logger
}

// errRequests says that what is kept is not known yet.
func errRequests() error {
	return statusError(codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE,
		"what was refused cannot be read yet", retryInfo())
}

// open answers the store once all is known that it keeps.
func (s *requestService) open(ctx context.Context) (*request.Store, error) {
	store := s.requests.Store()
	if store == nil {
		return nil, errRequests()
	}
	wait, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	select {
	case <-store.Ready():
		return store, nil
	case <-wait.Done():
		return nil, errRequests()
	}
}

// requestPrefix begins the names of requests.
const requestPrefix = "requests/"

func noRequest(name string) error {
	return statusError(codes.NotFound, hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_NOT_FOUND,
		fmt.Sprintf("there is no %s, or others have its place", name))
}

// GetRequest answers one request.
func (s *requestService) GetRequest(ctx context.Context, req *hookstreamv1.GetRequestRequest) (*hookstreamv1.Request, error) {
	if err := check(req).err(); err != nil {
		return nil, err
	}
	store, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	r, err := store.Get(ctx, strings.TrimPrefix(req.GetName(), requestPrefix))
	if errors.Is(err, request.ErrNotFound) {
		return nil, noRequest(req.GetName())
	}
	if err != nil {
		return nil, errors.Join(eventlog.ErrUnavailable, err)
	}
	out := shownRequest(r)
	if req.GetView() == hookstreamv1.RequestView_REQUEST_VIEW_FULL {
		if !s.requests.ShowsBody(out.GetSource()) {
			return nil, &hub.WithheldError{Source: out.GetSource()}
		}
		out.Body = r.Body
	}
	return out, nil
}

// shownRequest is what is shown of a request, without its body. Its proof is not.
func shownRequest(r *request.Request) *hookstreamv1.Request {
	out := &hookstreamv1.Request{
		Name: requestPrefix + r.ID, Cause: shownCause(r.Cause), Reason: r.Reason, Detail: strings.Join(r.Evidence, "; "),
		ReceiveTime: timestamppb.New(r.FirstTime), LastReceiveTime: timestamppb.New(r.LastTime), Count: r.Count,
		Method: text(r.Method), Path: text(r.Path), SizeBytes: r.Size, Sha256: r.SHA256, BodyCut: r.Cut,
		HttpStatus: int32(r.Status), Latency: durationpb.New(r.Latency), ProofSpent: r.Spent, Event: r.Event,
	}
	if r.Source != request.Nowhere {
		out.Source = source.Name(r.Source)
	}
	if r.Remote.IsValid() {
		out.RemoteAddress = r.Remote.String()
	}
	if !r.PromoteTime.IsZero() {
		out.PromoteTime = timestamppb.New(r.PromoteTime)
	}
	for _, l := range r.Header {
		out.Headers = append(out.Headers, &hookstreamv1.RawRequest_Header{Name: l.Name, Value: text(string(l.Value))})
	}
	return out
}

// text is what the schema takes for text, of what may be anything.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

const causePrefix = "REFUSAL_CAUSE_"

func shownCause(c request.Cause) hookstreamv1.RefusalCause {
	return hookstreamv1.RefusalCause(hookstreamv1.RefusalCause_value[causePrefix+strings.ToUpper(string(c))])
}
