package server

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/jsonline"
)

// restPeerHeader carries the address of an HTTP client to the services.
const restPeerHeader = "hookstream-rest-peer"

// restJSON is the JSON of the REST face: fields in lowerCamelCase, enums by
// name, default values left out. What is not in the schema is refused: a
// misspelt switch must not be taken for one that is not set.
var restJSON = &restMarshaler{runtime.JSONPb{
	MarshalOptions:   protojson.MarshalOptions{},
	UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
}}

// restMarshaler is one that writes everything on one line.
type restMarshaler struct{ runtime.JSONPb }

func (m *restMarshaler) Marshal(v any) ([]byte, error) {
	b, err := m.JSONPb.Marshal(v)
	return jsonline.Escape(b), err
}

func (m *restMarshaler) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		b, err := m.Marshal(v)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
}

// newREST makes the REST face of the services behind conn, and of the streams of s.
func newREST(conn *grpc.ClientConn, s *Server) (http.Handler, error) {
	mux := newRESTMux()
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		hookstreamv1.RegisterSourceServiceHandler,
		hookstreamv1.RegisterCatalogServiceHandler,
		hookstreamv1.RegisterEventServiceHandler,
		hookstreamv1.RegisterSubscriptionServiceHandler,
		hookstreamv1.RegisterRequestServiceHandler,
		hookstreamv1.RegisterAdminServiceHandler,
	} {
		if err := register(context.Background(), mux, conn); err != nil {
			return nil, fmt.Errorf("server: register REST: %w", err)
		}
	}
	routes := http.NewServeMux()
	routes.Handle(subscribePath, &restStream{
		mux:          mux,
		subscribe:    s.subscribe,
		cache:        new(jsonCache),
		turns:        newTurns(),
		frameTimeout: frameTimeout,
	})
	routes.Handle(backupPath, linesWhileRead(mux))
	routes.Handle(exportPath, &restExport{mux: mux, export: s.export, frameTimeout: frameTimeout})
	routes.Handle("/", unaryDeadlines(headAsGet(mux)))
	return onlyAllowed(readBody(bodyTimeout, routes)), nil
}

// newRESTMux says how REST is spoken.
func newRESTMux() *runtime.ServeMux {
	return runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, restJSON),
		runtime.WithErrorHandler(restError),
		runtime.WithRoutingErrorHandler(restRoutingError),
		runtime.WithMiddlewares(understood),
		runtime.WithMetadata(restMetadata),
		runtime.WithIncomingHeaderMatcher(restHeader),
		runtime.WithOutgoingHeaderMatcher(noHeader),
		runtime.WithOutgoingTrailerMatcher(noHeader),
		// A form is not JSON: what a browser may send across origins is refused.
		runtime.WithDisablePathLengthFallback(),
	)
}

func restMetadata(_ context.Context, r *http.Request) metadata.MD {
	return metadata.Pairs(restPeerHeader, r.RemoteAddr)
}

// restHeader names the headers that the services get to see.
func restHeader(name string) (string, bool) {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Traceparent", "Tracestate":
		return http.CanonicalHeaderKey(name), true
	}
	return "", false
}

func noHeader(string) (string, bool) { return "", false }
