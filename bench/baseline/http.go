package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// HTTP lists the baselines of the way in, and what RunHTTP wants to know for each.
var HTTP = map[string]string{
	"http":         "",
	"group-commit": "FILE",
}

// RunHTTP runs the baseline that args name, as a process of its own, until ctx
// ends. What it has to say is one line of JSON on out: Ready.
func RunHTTP(ctx context.Context, args []string, out io.Writer) error {
	kind, args := args[0], args[1:]
	switch {
	case kind == "http" && len(args) == 0:
		return serveHTTP(ctx, out, func([]byte) error { return nil })
	case kind == "group-commit" && len(args) == 1:
		log, err := openJournal(args[0])
		if err != nil {
			return err
		}
		return errors.Join(serveHTTP(ctx, out, log.append), log.close())
	}
	return fmt.Errorf("baseline: no such baseline: %s with %d arguments", kind, len(args))
}

// serveHTTP is the server that everybody would write: it reads the body, hands it
// to keep, and answers 200 `{}`.
func serveHTTP(ctx context.Context, out io.Writer, keep func(body []byte) error) error {
	lis, err := loopback(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lis.Close() }()
	if err := json.NewEncoder(out).Encode(Ready{HTTP: lis.Addr().String()}); err != nil {
		return err
	}
	srv := &http.Server{Handler: keeper(keep), ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(lis); ctx.Err() == nil {
		return err
	}
	return nil
}

// maxBody is that of the gateway.
const maxBody = 1 << 20

// keeper reads into buffers that are used again: the limit must not be slow for
// its garbage.
func keeper(keep func([]byte) error) http.Handler {
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	answer := []byte("{}")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		if r.ContentLength < 0 || r.ContentLength > maxBody {
			http.Error(w, "a length up to 1 MiB is required", http.StatusRequestEntityTooLarge)
			return
		}
		if int(r.ContentLength) > cap(*buf) {
			*buf = make([]byte, r.ContentLength)
		}
		body := (*buf)[:r.ContentLength]
		if _, err := io.ReadFull(r.Body, body); err != nil {
			http.Error(w, "the body is not whole", http.StatusBadRequest)
			return
		}
		if err := keep(body); err != nil {
			http.Error(w, "the body was not kept", http.StatusServiceUnavailable)
			return
		}
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(answer)
	})
}

var jsonType = []string{"application/json"}
