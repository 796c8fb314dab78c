package server

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// restError answers an error as a google.rpc.Status in JSON.
func restError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	st := status.Convert(err)
	if body, ok := r.Body.(*restBody); ok && st.Code() == codes.InvalidArgument && len(st.Details()) == 0 {
		// Refused before it reached a service, by whom we do not quote.
		st = status.Convert(body.err())
	}
	writeStatus(w, runtime.HTTPStatusFromCode(st.Code()), st.Err())
}

// restRoutingError answers a request that no method takes.
func restRoutingError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, httpStatus int) {
	if httpStatus == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allowedMethods(r.URL.Path))
		writeStatus(w, httpStatus, status.Error(codes.Unimplemented, r.Method+" is not among the methods of this path: see /openapi.json"))
		return
	}
	writeNotFound(w, r)
}

// onlyGet answers 405 to what is neither GET nor HEAD.
func onlyGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeStatus(w, http.StatusMethodNotAllowed, status.Error(codes.Unimplemented, r.Method+" is not among the methods of this path: GET, HEAD"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// writeNotFound answers whoever looks for something that is not there.
func writeNotFound(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, http.StatusNotFound, statusError(codes.NotFound,
		hookstreamv1.ErrorReason_ERROR_REASON_RESOURCE_NOT_FOUND, "there is no such path: see /docs or /openapi.json for those there are"))
}

// writeStatus answers err, which is a status, under the given HTTP status.
func writeStatus(w http.ResponseWriter, httpStatus int, err error) {
	st := status.Convert(err)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	if after := retryAfter(st); after != "" {
		header.Set("Retry-After", after)
	}
	w.WriteHeader(httpStatus)
	_, _ = w.Write(append(statusJSON(st), '\n'))
}

// statusJSON encodes a status, without its details when one of them is of a type
// that this program does not know.
func statusJSON(st *status.Status) []byte {
	if b, err := restJSON.Marshal(st.Proto()); err == nil {
		return b
	}
	b, _ := restJSON.Marshal(status.New(st.Code(), strings.ToValidUTF8(st.Message(), "\uFFFD")).Proto())
	return b
}

// retryAfter answers whole seconds when the status says when to try again.
func retryAfter(st *status.Status) string {
	for _, detail := range st.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			return strconv.Itoa(int(math.Ceil(retry.GetRetryDelay().AsDuration().Seconds())))
		}
	}
	return ""
}
