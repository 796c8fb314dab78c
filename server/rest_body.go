package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// maxBodyBytes bounds the JSON of a request.
	maxBodyBytes = 1 << 20
	// bodyTimeout bounds how long a client may take to send it.
	bodyTimeout = 20 * time.Second
	// answerTimeout bounds a call and the sending of its answer.
	answerTimeout = unaryTimeout + 30*time.Second
)

// bodyDeadline bounds how long a body may take to come that nobody reads: net/http
// waits for the rest of it, without end, after a request was answered.
func bodyDeadline(within time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within))
		}
		next.ServeHTTP(w, r)
	})
}

// readBody reads the body whole before anything is done with it, so that its
// size, the time it takes and its form are checked in one place.
func readBody(within time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBodyBytes {
			// Before a byte is taken, and before one that waits to be told to
			// continue is asked for.
			writeBodyError(w, &http.MaxBytesError{Limit: maxBodyBytes})
			return
		}
		if r.ContentLength > 0 && !mayHaveBody(r.Method) {
			w.Header().Set("Connection", "close")
			writeStatus(w, http.StatusBadRequest, badRequest("", noBody))
			return
		}
		connection := http.NewResponseController(w)
		_ = connection.SetReadDeadline(time.Now().Add(within))
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
		if err != nil {
			writeBodyError(w, err)
			return
		}
		_ = connection.SetReadDeadline(time.Time{})
		if err := checkJSON(body); err != nil {
			writeStatus(w, http.StatusBadRequest, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// noBody is what a method says that takes none.
const noBody = "this method takes no body: give its fields as query parameters"

// mayHaveBody tells by the HTTP method alone: those of the schema that have one are
// POST and PATCH. Whether a path has such a method is told elsewhere.
func mayHaveBody(httpMethod string) bool {
	switch httpMethod {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return false
	}
	return true
}

// checkJSON refuses what the decoder would read only the beginning of. An empty
// body is an empty request.
func checkJSON(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var raw json.RawMessage
	err := json.Unmarshal(body, &raw)
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.Is(json.NewDecoder(bytes.NewReader(body)).Decode(&raw), io.ErrUnexpectedEOF):
		return badRequest("", "the body is not JSON: it ends too early")
	case errors.As(err, &syntax):
		return badRequest("", "the body is not JSON: see its byte %d", syntax.Offset)
	}
	return badRequest("", "the body is not JSON")
}

func writeBodyError(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	httpStatus, message := http.StatusRequestTimeout, "the body did not arrive in time"
	if errors.As(err, &tooLarge) {
		httpStatus, message = http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB"
	}
	w.Header().Set("Connection", "close")
	writeStatus(w, httpStatus, statusError(codes.InvalidArgument, hookstreamv1.ErrorReason_ERROR_REASON_REQUEST_INVALID, message))
}

// unaryDeadlines bounds the answer of a call, so that a client that does not
// read holds nothing for long.
func unaryDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
		next.ServeHTTP(w, r)
	})
}
