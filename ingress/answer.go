package ingress

import (
	"encoding/json"

	"github.com/valyala/fasthttp"
)

// bodies holds the answers' bodies. Nobody may change them.
var bodies = func() (b [resultEnd][]byte) {
	for r, a := range answers {
		b[r] = []byte("{}")
		if a.text != "" {
			b[r], _ = json.Marshal(map[string]string{"error": a.text})
		}
	}
	return b
}()

func allowed(ctx *fasthttp.RequestCtx) string {
	if string(ctx.URI().PathOriginal()) == healthPath {
		return "GET, HEAD"
	}
	return fasthttp.MethodPost
}

// write sends the answer. When the body was not read to its end the connection
// is not used again: what comes on it is no request.
func write(ctx *fasthttp.RequestCtx, r Result, bodyRead bool) {
	a, h := &answers[r], &ctx.Response.Header
	h.SetContentType("application/json")
	if a.retryAfter != "" {
		h.Set("Retry-After", a.retryAfter)
	}
	if r == WrongMethod {
		h.Set("Allow", allowed(ctx))
	}
	if !bodyRead {
		ctx.SetConnectionClose()
		if c, ok := ctx.Conn().(*conn); ok {
			c.unread.Store(true)
		}
	}
	ctx.SetStatusCode(a.status)
	ctx.Response.SetBodyRaw(bodies[r])
}
