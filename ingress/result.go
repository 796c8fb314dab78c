package ingress

import "net/http"

// A Result is what became of a request, for metrics and logs. There is a small
// fixed set of them, and each has one answer.
type Result int

// The zero Result says that it is not known yet.
const (
	resultNone Result = iota
	// Published: verified and in the log.
	Published
	// Duplicate: the event was in the log already.
	Duplicate
	// PublishedFailed: a source in shadow mode, not genuine, published as such.
	PublishedFailed
	// Pending: stored; the verdict is not known yet.
	Pending
	// DisabledType: the source does not want events of this type.
	DisabledType
	// Malformed: not JSON, or nothing to ask its sender with, and nobody vouches for
	// it.
	Malformed
	// BrokenBody: the body ended early or its framing was wrong.
	BrokenBody
	// Forged: the sender does not vouch for it.
	Forged
	// NotForSource: it names another application than its source's.
	NotForSource
	// NotFound: no such source, or a wrong key.
	NotFound
	// WrongMethod: not POST, or not GET where health is told.
	WrongMethod
	// TooSlow: the body did not come in time.
	TooSlow
	// TooLarge: the body is over the limit.
	TooLarge
	// WrongContentType: not JSON by its header, or encoded.
	WrongContentType
	// NotHTTP: nothing that HTTP/1.1 allows, or a body of which nothing came.
	NotHTTP
	// HeaderTooLarge: request line and headers are over the limit.
	HeaderTooLarge
	// RateLimited: the source is over its rate.
	RateLimited
	// Disabled: the source is switched off.
	Disabled
	// Misconfigured: the provider of the source could not be made.
	Misconfigured
	// Overloaded: too many requests or large bodies at once.
	Overloaded
	// Full: there is no room in the log or in the inbox.
	Full
	// Unavailable: it could not be stored.
	Unavailable
	// Healthy: a balancer asked, and requests would be kept.
	Healthy
	// Unready: a balancer asked, and requests would not be kept now.
	Unready
	// GivenUp: the verifier found no verdict in all the time it had. Never an
	// answer.
	GivenUp
	resultEnd
)

// answer is how a result looks to the sender. Texts are fixed: nothing of a
// request is ever sent back.
type answer struct {
	name       string
	status     int
	text       string
	retryAfter string // seconds
}

// Retry-After in seconds, by how soon things may have changed.
const (
	retryNow   = "1"
	retrySoon  = "10"
	retryLater = "300"
)

var answers = [resultEnd]answer{
	resultNone:       {"none", http.StatusServiceUnavailable, "not available, try again", retrySoon},
	Published:        {name: "published", status: http.StatusOK},
	Duplicate:        {name: "duplicate", status: http.StatusOK},
	PublishedFailed:  {name: "published_failed", status: http.StatusOK},
	Pending:          {name: "pending", status: http.StatusOK},
	DisabledType:     {name: "disabled_type", status: http.StatusOK},
	Malformed:        {"malformed", http.StatusBadRequest, "the body is not JSON or has no envelope", ""},
	BrokenBody:       {"broken_body", http.StatusBadRequest, "the body is not complete", ""},
	Forged:           {"forged", http.StatusUnauthorized, "not genuine", ""},
	NotForSource:     {"not_for_source", http.StatusUnauthorized, "not genuine", ""},
	NotFound:         {"not_found", http.StatusNotFound, "not found", ""},
	WrongMethod:      {"wrong_method", http.StatusMethodNotAllowed, "this method is not for this path", ""},
	TooSlow:          {"too_slow", http.StatusRequestTimeout, "the body came too slowly", ""},
	TooLarge:         {"too_large", http.StatusRequestEntityTooLarge, "the body is too large", ""},
	WrongContentType: {"wrong_content_type", http.StatusUnsupportedMediaType, "the body must be application/json without encoding", ""},
	NotHTTP:          {"not_http", http.StatusBadRequest, "not an HTTP request", ""},
	HeaderTooLarge:   {"header_too_large", http.StatusRequestHeaderFieldsTooLarge, "the headers are too large", ""},
	RateLimited:      {"rate_limited", http.StatusTooManyRequests, "too many requests", retryNow},
	Disabled:         {"disabled", http.StatusServiceUnavailable, "the source is disabled", retryLater},
	Misconfigured:    {"misconfigured", http.StatusServiceUnavailable, "not available, try again", retryLater},
	Overloaded:       {"overloaded", http.StatusServiceUnavailable, "not available, try again", retryNow},
	Full:             {"full", http.StatusServiceUnavailable, "not available, try again", retrySoon},
	Unavailable:      {"unavailable", http.StatusServiceUnavailable, "not available, try again", retrySoon},
	Healthy:          {name: "healthy", status: http.StatusOK},
	Unready:          {"unready", http.StatusServiceUnavailable, "not available, try again", retrySoon},
	GivenUp:          {"given_up", http.StatusServiceUnavailable, "not available, try again", retrySoon},
}

// Results lists every result, for metrics that must exist before they count.
func Results() []Result {
	var rs []Result
	for r := Published; r < resultEnd; r++ {
		rs = append(rs, r)
	}
	return rs
}

// String is a word for a metric's label.
func (r Result) String() string { return answers[r].name }

// Status is the HTTP status of the answer.
func (r Result) Status() int { return answers[r].status }

// parseResult reads what String wrote; resultNone when it is not known here.
func parseResult(name string) Result {
	for r := Published; r < resultEnd; r++ {
		if answers[r].name == name {
			return r
		}
	}
	return resultNone
}
