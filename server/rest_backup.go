package server

import (
	"net/http"
	"time"
)

// backupPath is where a backup is asked for over REST.
const backupPath = "/v1/admin:backup"

// linesWhileRead is for a stream of lines: each write ends in its time, where of
// another answer the whole does.
func linesWhileRead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&lineWriter{ResponseWriter: w}, r) })
}

type lineWriter struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader is called for what is no stream, as an error.
func (w *lineWriter) WriteHeader(code int) {
	w.begin(code)
	w.ResponseWriter.WriteHeader(code)
}

// Write writes.
func (w *lineWriter) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTimeout))
	return w.ResponseWriter.Write(b)
}

func (w *lineWriter) begin(code int) {
	if !w.begun && code == http.StatusOK {
		w.Header().Set("Content-Type", (jsonLines{}).contentType())
	}
	w.begun = true
}

// Flush is what streams want.
func (w *lineWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (w *lineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
