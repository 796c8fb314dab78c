package ignisign

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"
)

// Paths of the two calls, below the version.
const (
	pathCheck = "/tokens/webhook-verification/checking-consumption"
	pathAuth  = "/auth/app-api"
)

const (
	// questionTimeout bounds one call from dialling to the answer's last byte.
	questionTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read: a verdict takes some hundred
	// bytes, and the event that may come along some thousand.
	maxAnswer = 64 << 10
	// maxRetryAfter is the longest pause we let ourselves be asked for.
	maxRetryAfter = time.Hour
)

// checkQuestion asks for a verdict. One page of Ignisign's documentation calls
// the first field verificationToken; its SDK, which works, says token.
type checkQuestion struct {
	Token  string `json:"token"`
	AppID  string `json:"appId"`
	AppEnv string `json:"appEnv"`
}

// authQuestion asks for a short-lived token in exchange for an older API key.
type authQuestion struct {
	AppID  string `json:"appId"`
	AppEnv string `json:"appEnv"`
	Secret string `json:"secret"`
}

// NewClient makes an HTTP client for Ignisign's API with connections of its own.
// It keeps to the environment's HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as other
// programs do, and connects to loopback addresses directly.
func NewClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}}
}

// api asks Ignisign.
type api struct {
	client  *http.Client
	base    string // with the version, without a slash at its end
	timeout time.Duration
}

func newAPI(base string, client *http.Client) *api {
	if client == nil {
		client = NewClient()
	}
	own := *client
	// A redirect would carry the bearer, or the question alone, to who knows where.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &api{client: &own, base: base, timeout: questionTimeout}
}

// An answer is what came of a question.
type answer struct {
	// taken says that the question may have reached Ignisign. False only when
	// not a byte of it was sent.
	taken bool
	// status is the HTTP status; 0 when no answer came.
	status int
	// body is the answer's body; nil when it was cut off or too long.
	body []byte
	// retryAfter is how long we were asked to wait, 0 when not said.
	retryAfter time.Duration
}

// post asks one question, once. Errors are not answered because no decision
// needs more of them than the answer says, and so that none can leak the key.
func (a *api) post(ctx context.Context, path, bearer string, question any) answer {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := newRequest(ctx, a.base+path, bearer, question)
	if err != nil {
		return answer{}
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return answer{taken: connected.Load()}
	}
	defer resp.Body.Close()
	return answer{
		taken: true, status: resp.StatusCode,
		body:       readBounded(resp.Body),
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
}

func newRequest(ctx context.Context, url, bearer string, question any) (*http.Request, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "hookstream")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return req, nil
}

// readBounded reads an answer whole, or answers nil.
func readBounded(r io.Reader) []byte {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return nil
	}
	return body
}

// retryAfter reads a Retry-After header in either form, 0 for none that makes
// sense.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
