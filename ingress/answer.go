package ingress

import (
	"encoding/json"
	"net/http"
)

// Header values are shared by all answers; nobody may change them.
var (
	jsonType  = []string{"application/json"}
	allowPost = []string{http.MethodPost}
	closeConn = []string{"close"}
)

// bodies holds the answers' bodies.
var bodies = func() (b [resultEnd][]byte) {
	for r, a := range answers {
		b[r] = []byte("{}")
		if a.text != "" {
			b[r], _ = json.Marshal(map[string]string{"error": a.text})
		}
	}
	return b
}()

// write sends the answer. When the body was not read to its end the connection
// is not used again: otherwise net/http would read on, at the sender's pace,
// before it answers.
func write(w http.ResponseWriter, r Result, bodyRead bool) {
	a, h := &answers[r], w.Header()
	h["Content-Type"] = jsonType
	if a.retryAfter != "" {
		h["Retry-After"] = []string{a.retryAfter}
	}
	if r == WrongMethod {
		h["Allow"] = allowPost
	}
	if !bodyRead {
		h["Connection"] = closeConn
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(bodies[r]) // a sender that is gone asks again
}
