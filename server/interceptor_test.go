package server

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func TestAPanicIsAnInternalErrorWithoutDetail(t *testing.T) {
	const secret = "the-value-in-the-panic"
	g := start(t, withEvents(&fakeEvents{
		get: func(context.Context, *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
			panic(errors.New(secret))
		},
		subscribe: func(req *hookstreamv1.SubscribeRequest, _ grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]) error {
			_ = []int{}[len(req.GetClientId())]
			return nil
		},
	}))
	_, err := g.events.GetEvent(t.Context(), &hookstreamv1.GetEventRequest{Name: "events/a-1"})
	wantInternal(t, err, secret)
	stream, err := g.events.Subscribe(t.Context(), &hookstreamv1.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantInternal(t, err, "index out of range")
	code, _, body := g.do(t, "GET", "/v1/events/a-1", "")
	if code != 500 || strings.Contains(body, secret) {
		t.Errorf("REST: %d %s", code, body)
	}
	if logs := g.logs.String(); strings.Contains(logs, secret) || !strings.Contains(logs, "index out of range") || !strings.Contains(logs, "interceptor_test.go") {
		t.Errorf("logs hold the panic's value, or not where it was:\n%s", logs)
	}
}

func wantInternal(t *testing.T, err error, secret string) {
	t.Helper()
	st := wantStatus(t, err, codes.Internal, "")
	if strings.Contains(st.Message(), secret) {
		t.Errorf("the message tells %q", st.Message())
	}
}

func TestAnUnknownErrorIsInternalWithoutDetail(t *testing.T) {
	g := start(t, withEvents(&fakeEvents{get: func(context.Context, *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
		return nil, errors.New("open /var/lib/secret-place: no such file")
	}}))
	_, err := g.events.GetEvent(t.Context(), &hookstreamv1.GetEventRequest{Name: "events/a-1"})
	st := wantStatus(t, err, codes.Internal, "")
	if strings.Contains(st.Message(), "secret-place") {
		t.Errorf("the message tells %q", st.Message())
	}
}

func TestAllViolationsAreListedAtOnce(t *testing.T) {
	g := start(t)
	_, err := g.sources.CreateSource(t.Context(), &hookstreamv1.CreateSourceRequest{
		SourceId: "Not_An_Id",
		Source: &hookstreamv1.Source{
			Description:          strings.Repeat("x", 513),
			DisabledTypes:        []string{""},
			MaxRequestsPerSecond: -1,
		},
	})
	st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	want := []string{"source.config", "source.description", "source.disabled_types[0]", "source.max_requests_per_second", "source_id"}
	if diff := cmp.Diff(want, violated(st)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestTheRequestOfAStreamIsChecked(t *testing.T) {
	g := start(t)
	stream, err := g.events.Subscribe(t.Context(), &hookstreamv1.SubscribeRequest{
		ClientId:    strings.Repeat("x", 513),
		FlowControl: &hookstreamv1.FlowControl{MaxBatchEvents: 5000},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	if diff := cmp.Diff([]string{"client_id", "flow_control.max_batch_events"}, violated(st)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestCallsHaveADeadline(t *testing.T) {
	g := start(t, withEvents(&fakeEvents{get: func(ctx context.Context, _ *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("a call without a deadline")
		}
		return new(hookstreamv1.Event), nil
	}}))
	if _, err := g.events.GetEvent(t.Context(), &hookstreamv1.GetEventRequest{Name: "events/a-1"}); err != nil {
		t.Fatal(err)
	}
}

func TestCallsAreCountedAndLoggedWithoutContent(t *testing.T) {
	var mu sync.Mutex
	calls := map[string]int{}
	g := start(t, func(o *Options, _ *HTTPOptions) {
		o.Metrics.Call = func(method string, code codes.Code, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			calls[method+" "+code.String()]++
		}
	})
	ctx := t.Context()
	g.sources.CreateSource(ctx, &hookstreamv1.CreateSourceRequest{SourceId: "billing", Source: yousignSource("the-secret-itself")})
	g.sources.GetSource(ctx, &hookstreamv1.GetSourceRequest{Name: "sources/the-missing-one"})
	g.do(t, "GET", "/v1/sources/billing", "")
	mu.Lock()
	defer mu.Unlock()
	want := map[string]int{
		"hookstream.v1.SourceService/CreateSource OK":    1,
		"hookstream.v1.SourceService/GetSource NotFound": 1,
		"hookstream.v1.SourceService/GetSource OK":       1,
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	logs := g.logs.String()
	for _, not := range []string{"the-secret-itself", "the-missing-one"} {
		if strings.Contains(logs, not) {
			t.Errorf("the log tells %q:\n%s", not, logs)
		}
	}
	for _, must := range []string{"reason=RESOURCE_NOT_FOUND", "peer=rest:127.0.0.1:", "peer=127.0.0.1:"} {
		if !strings.Contains(logs, must) {
			t.Errorf("the log lacks %q:\n%s", must, logs)
		}
	}
}
