package ingress

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/provider"
)

// serve answers one HTTP request. The order of work: is there such a source and
// does the sender know its key, does the source take requests now, do the headers
// promise what it takes, is there room; only then is the body read, and once it is
// there a place is taken.
func (g *Gateway) serve(ctx *fasthttp.RequestCtx) {
	x := g.exchange(ctx, ctx.Time())
	defer x.end()
	x.result = x.handle()
}

// expect answers a request whose sender waits for a word before it sends the body:
// 100, and serve has it next, or the answer that its headers have earned.
func (g *Gateway) expect(ctx *fasthttp.RequestCtx) int {
	x := g.exchange(ctx, time.Now())
	if x.result = x.look(); x.result != resultNone {
		x.bodyRead = false
		x.end()
		return ctx.Response.StatusCode()
	}
	if c, ok := ctx.Conn().(*conn); ok {
		c.admitted = x.ep
	}
	x.free()
	return fasthttp.StatusContinue
}

// announced has a request whose headers announce a body that is too large answered
// at once, as if its sender had waited for a word: the server would wait for the first
// byte.
func (g *Gateway) announced(h *fasthttp.RequestHeader) (as fasthttp.RequestConfig) {
	if h.ContentLength() > g.o.MaxBodyBytes {
		h.Set(fasthttp.HeaderExpect, "100-continue")
	}
	return as
}

func (g *Gateway) exchange(ctx *fasthttp.RequestCtx, start time.Time) *exchange {
	x := exchanges.Get().(*exchange)
	x.g, x.ctx, x.start, x.bodyRead = g, ctx, start, ctx.RequestBodyStream() == nil
	return x
}

// An exchange is one HTTP request on its way to an answer. Exchanges are used
// again: nothing of one outlives its answer.
type exchange struct {
	g        *Gateway
	ctx      *fasthttp.RequestCtx
	start    time.Time
	ep       *endpoint
	header   headers
	buf      *buffer // holds the body
	bodyRead bool    // to its end, or there is none
	rq       request
	result   Result
	// reason and evidence say why it is refused.
	reason, evidence string
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

func (x *exchange) free() {
	x.header.reset()

	*x = exchange{header: x.header}
	exchanges.Put(x)
}

func (x *exchange) handle() Result {
	g := x.g
	if refused := x.look(); refused != resultNone {
		if refused == NotHTTP {
			x.bodyRead = false // nor is anything else read that comes from there
		}
		if refused == RateLimited || refused == Overloaded {
			x.skipBody()
		}
		return refused
	}
	if refused := x.readBody(); refused != resultNone {
		return refused
	}
	if !g.places.acquire(x.ep) {
		return Overloaded
	}
	defer g.places.give(x.ep)
	if c, ok := x.ctx.Conn().(*conn); ok {
		c.work()
	}
	g.step(StepReceived)
	x.begin()
	r, err := x.decide()
	for errors.Is(err, errChanged) {
		if refused := x.reopen(); refused != resultNone {
			return refused
		}
		r, err = x.decide()
	}
	return r
}

// decide has the request verified. The error is errChanged or nil.
func (x *exchange) decide() (Result, error) {
	if x.ep.remote {
		return x.remote(&x.rq)
	}
	return x.local(&x.rq)
}

// look says what a request is answered without a look at its body, resultNone when
// that is to be read.
func (x *exchange) look() Result {
	if !properRequest(&x.ctx.Request.Header) {
		return NotHTTP
	}
	if string(x.ctx.URI().PathOriginal()) == healthPath {
		return x.health()
	}
	if refused := x.admit(); refused != resultNone {
		return refused
	}
	header := x.header.read(&x.ctx.Request.Header, x.ep.headers)
	if refused := checkHeader(header, x.contentLength(), x.g.o.MaxBodyBytes); refused != resultNone {
		return refused
	}
	if !x.g.places.room(x.ep) {
		return Overloaded
	}
	return resultNone
}

// properRequest reports whether the first line is one of HTTP that we speak: a later
// version may mean something else by the same words, and a fragment is no part of
// what is sent.
func properRequest(h *fasthttp.RequestHeader) bool {
	version := string(h.Protocol())
	return (version == "HTTP/1.1" || version == "HTTP/1.0") && bytes.IndexByte(h.RequestURI(), '#') < 0
}

// healthPath is where balancers ask whether to send requests here.
const healthPath = "/healthz"

// health answers whether a request would be kept now, and nothing more: strangers
// ask too.
func (x *exchange) health() Result {
	switch {
	case !x.ctx.IsGet() && !x.ctx.IsHead():
		return WrongMethod
	case x.g.o.Ready != nil && x.g.o.Ready() != nil:
		return Unready
	}
	return Healthy
}

// admit finds the endpoint and says why it takes no request now.
func (x *exchange) admit() Result {
	if c, ok := x.ctx.Conn().(*conn); ok && c.admitted != nil {
		x.ep, c.admitted = c.admitted, nil // by expect, a moment ago
		return resultNone
	}
	id, key, ok := splitPath(x.ctx.URI())
	if !ok {
		return NotFound
	}
	if !x.ctx.IsPost() {
		return WrongMethod
	}
	ep, refused := x.open(id, key)
	if ep == nil {
		return refused
	}
	x.ep = ep
	switch {
	case ep.disabled:
		return Disabled
	case ep.verifier == nil:
		return Misconfigured
	case !ep.limiter.AllowN(x.start, 1):
		return RateLimited
	}
	return resultNone
}

const pathPrefix = "/webhooks/"

// splitPath reads `/webhooks/{source}` and `/webhooks/{source}/{key}`. Nothing
// is cleaned or redirected: ids and keys need no escaping, so a path with an
// escape in it, with an empty or with another part is nobody's.
func splitPath(uri *fasthttp.URI) (id, key string, ok bool) {
	rest, ok := strings.CutPrefix(string(uri.PathOriginal()), pathPrefix)
	if !ok || strings.Contains(rest, "%") {
		return "", "", false
	}
	id, key, keyed := strings.Cut(rest, "/")
	if id == "" || keyed && key == "" || strings.Contains(key, "/") {
		return "", "", false
	}
	return id, key, true
}

// local verifies and appends while the sender waits.
func (x *exchange) local(rq *request) (Result, error) {
	// Not the request's context: when the sender hangs up, the event is appended
	// all the same, and its next attempt is a duplicate.
	s, err := x.g.decideRequest(x.g.appends.from(time.Now()), x.ep, rq, nobodysQuestion{})
	if err != nil {
		return x.fault(err)
	}
	if s.result == resultNone { // a local provider that breaks its promise
		return x.fault(errUndecided)
	}
	x.refusal(s)
	return s.result, nil
}

var errUndecided = errors.New("the provider did not decide")

// fault answers what a failure on our side is to the sender, and logs it: this
// is the boundary. What a source that is not up to date refuses is errChanged.
func (x *exchange) fault(err error) (Result, error) {
	if errors.Is(err, provider.ErrNotForSource) {
		if now := x.g.still(context.Background(), x.ep); now != nil {
			err = now
		}
	}
	if errors.Is(err, errChanged) {
		return resultNone, errChanged
	}
	r := resultOf(err)
	if status := r.Status(); status < 500 {
		x.evidence = clip(err.Error(), maxName)
		x.log(&x.ep.refusals, slog.LevelInfo, "a request was refused", "result", r, "err", err)
	} else {
		x.log(&x.g.faults, slog.LevelError, "a request could not be stored", "result", r, "err", err)
	}
	return r, nil
}

// resultOf is the one place where errors become answers. A body that was not too large
// and that the log has no room for is ours to mend, so that eventlog.ErrTooLarge is
// one of those for which senders come again.
func resultOf(err error) Result {
	switch {
	case errors.Is(err, provider.ErrMalformed):
		return Malformed
	case errors.Is(err, provider.ErrNotForSource):
		return NotForSource
	case errors.Is(err, eventlog.ErrFull):
		return Full
	}
	return Unavailable
}

// refusal logs a request that is not genuine.
func (x *exchange) refusal(s decision) {
	if s.result == Forged || s.result == PublishedFailed {
		x.reason = s.verdict.Reason
		x.log(&x.ep.refusals, slog.LevelInfo, "a request is not genuine", "result", s.result, "reason", s.verdict.Reason)
	}
}

func (x *exchange) log(gate *gate, level slog.Level, msg string, args ...any) {
	skipped, ok := gate.open(x.start)
	if !ok {
		return
	}
	args = append(args, "source", x.ep.id, "remote", x.ctx.RemoteAddr())
	if skipped > 0 {
		args = append(args, "skipped", skipped)
	}
	x.g.o.Logger.Log(context.Background(), level, msg, args...)
}

// end writes the answer, after a panic too: a bug of ours that a request finds
// is a 503, so that the sender keeps the request.
func (x *exchange) end() {
	if p := recover(); p != nil {
		x.result = Unavailable
		if skipped, ok := x.g.faults.open(x.start); ok {
			x.g.o.Logger.Error("panic while handling a request", "panic", p, "skipped", skipped, "stack", string(debug.Stack()))
		}
	}
	write(x.ctx, x.result, x.bodyRead)
	var id string
	if x.ep != nil {
		id = x.ep.id
	}
	now := time.Now()
	x.g.o.Metrics.request(id, x.result, now.Sub(x.start))
	if c, ok := x.ctx.Conn().(*conn); ok {
		c.rest(now, x.result.Status() == http.StatusOK && x.result != Healthy)
	}
	x.tell(x.refused(now))
	x.freeBody()
	x.free()
}

// refuse answers what is no request that a handler could see, or one whose
// sender stopped before it had sent any of its body.
func (g *Gateway) refuse(ctx *fasthttp.RequestCtx, err error) {
	r := NotHTTP
	var large *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &large):
		r = HeaderTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		r = TooSlow
	}
	write(ctx, r, false)
	g.o.Metrics.request("", r, 0)
}
