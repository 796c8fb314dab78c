package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/request"
	"github.com/hookstream/hookstream/source"
)

// requests are what was refused. They can be done without: while there is no bucket for
// them, none is kept, and everything else goes on.
type requests struct {
	a     *App
	store atomic.Pointer[request.Store]
}

// requestsAgain is the pause after the bucket could not be opened.
const requestsAgain = 30 * time.Second

// keepFor is how long requests are kept, unless the log keeps less.
const keepFor = 30 * 24 * time.Hour

// openRequests begins to keep what is refused, as soon as there is a bucket for it.
func (a *App) openRequests(context.Context) error {
	a.requests = &requests{a: a}
	ctx, cancel := context.WithCancel(context.Background())
	var opening sync.WaitGroup
	opening.Go(func() {
		a.requests.open(ctx, func(ctx context.Context) (eventlog.Bucket, error) { return a.engine.LooseBucket(ctx, "REQUESTS") })
	})
	a.onClose(func() error {
		cancel()
		opening.Wait()
		if s := a.requests.store.Load(); s != nil {
			s.Close()
		}
		return nil
	})
	a.metrics.refused(a.requests.stats)
	return nil
}

// open waits for a bucket.
func (q *requests) open(ctx context.Context, bucket func(context.Context) (eventlog.Bucket, error)) {
	for {
		trying, cancel := context.WithTimeout(ctx, requestsAgain)
		b, err := bucket(trying)
		cancel()
		if err == nil {
			q.store.Store(request.Open(q.options(b)))
			return
		}
		if ctx.Err() != nil {
			return
		}
		q.a.logger.Warn("requests that are refused cannot be kept, trying again", "err", err)
		select {
		case <-time.After(requestsAgain):
		case <-ctx.Done():
			return
		}
	}
}

func (q *requests) options(b eventlog.Bucket) request.Options {
	o := request.DefaultOptions()
	o.Bucket, o.Logger, o.KeepAge, o.Gone = b, q.a.logger, keepFor, q.gone
	if age := q.a.opts.RetentionAge; age > 0 {
		o.KeepAge = min(o.KeepAge, age)
	}
	return o
}

// strayTime is how long requests are kept of a source that is not known here: another
// gateway may have made it a moment ago.
const strayTime = time.Hour

// gone reports whether a request is of a source that was deleted.
func (q *requests) gone(r *request.Request) bool {
	if r.Source == request.Nowhere {
		return false
	}
	src, err := q.a.sources.Get(r.Source)
	if err != nil {
		return errors.Is(err, source.ErrNotFound) && time.Since(r.LastTime) > strayTime
	}
	return isOfEarlier(r, src)
}

// isOfEarlier reports whether a request came for an earlier source of the same name.
func isOfEarlier(r *request.Request, src *hookstreamv1.Source) bool {
	return r.LastTime.Before(src.GetCreateTime().AsTime())
}

func (q *requests) stats() request.Stats {
	if s := q.store.Load(); s != nil {
		return s.Stats()
	}
	return request.Stats{}
}

// Wants implements ingress.Refusals.
func (q *requests) Wants(source string, _ ingress.Result, remote netip.Addr) bool {
	s := q.store.Load()
	return s != nil && s.Wants(source, remote)
}

// Note implements ingress.Refusals.
func (q *requests) Note(r *ingress.Refused) {
	s := q.store.Load()
	if s == nil {
		return
	}
	kept := &request.Request{
		Source: cmp.Or(r.Source, request.Nowhere), Cause: request.Cause(r.Result.String()), Reason: r.Reason,
		FirstTime: r.ReceiveTime, Remote: r.Remote, Method: r.Method, Path: r.Path,
		Header: lines(r.Header), Proof: lines(r.Proof),
		Body: r.Body, Size: r.Size, Cut: r.Size > int64(len(r.Body)), SHA256: r.SHA256,
		Status: r.Status, Latency: r.Latency, Spent: r.Spent,
	}
	if r.Evidence != "" {
		kept.Evidence = []string{r.Evidence}
	}
	s.Note(kept)
}

// lines are those of a header in the order of their names.
func lines(h http.Header) (out []request.Line) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, request.Line{Name: name, Value: []byte(value)})
		}
	}
	return out
}

// Store implements server.Requests.
func (q *requests) Store() *request.Store { return q.store.Load() }

// ShowsBody implements server.Requests.
func (q *requests) ShowsBody(name string) bool { return q.a.includedKinds(name) == event.AllKinds }

// CatchUp implements server.Requests. The embedded engine has nobody else who changes
// sources.
func (q *requests) CatchUp(ctx context.Context) error {
	if q.a.engine.Embedded() {
		return nil
	}
	return q.a.sources.CatchUp(ctx, func() bool { return false })
}

// Reasons of a verdict that are not the ingress's.
const (
	reasonBodyNotKept = "body_not_kept"
	reasonNoSource    = "no_source"
)

// Again implements server.Requests.
func (q *requests) Again(ctx context.Context, r *request.Request, at time.Time) (*hookstreamv1.RequestVerdict, error) {
	switch src, err := q.a.sources.Get(r.Source); {
	case r.Event != "":
		return &hookstreamv1.RequestVerdict{Outcome: hookstreamv1.RequestVerdict_OUTCOME_DUPLICATE, Event: r.Event}, nil
	case r.Source == request.Nowhere:
		return undecided(reasonNoSource), nil
	case err == nil && isOfEarlier(r, src):
		return undecided(ingress.ReasonSourceGone), nil
	case r.Cut || r.SHA256 == "":
		return undecided(reasonBodyNotKept), nil
	}
	again := ingress.Again{Source: r.Source, Header: headerOf(r), Body: r.Body, ReceiveTime: r.FirstTime, Spent: r.Spent}
	handed := !r.PromoteTime.IsZero() // to those that are decided by asking
	if handed {
		at = time.Time{}
	}
	p, err := q.a.gateway.Promote(ctx, again, at)
	if err != nil {
		return nil, err
	}
	v := verdictOf(p)
	if handed && v.GetReason() == ingress.ReasonSenderNotAsked {
		v.Outcome, v.Reason = hookstreamv1.RequestVerdict_OUTCOME_PENDING, ""
	}
	if became := p.Event != "" || p.Result == ingress.Pending; became && !at.IsZero() {
		q.note(ctx, r, p.Event, at)
	}
	return v, nil
}

// note keeps what a request became. Without that it is found again by the event's key.
func (q *requests) note(ctx context.Context, r *request.Request, event string, at time.Time) {
	if err := q.store.Load().Promoted(ctx, r.ID, event, at); err != nil {
		q.a.logger.Warn("it cannot be kept what a request became; it will be found again", "request", r.ID, "event", event, "err", err)
	}
}

func undecided(reason string) *hookstreamv1.RequestVerdict {
	return &hookstreamv1.RequestVerdict{Outcome: hookstreamv1.RequestVerdict_OUTCOME_UNKNOWN, Reason: reason}
}

// verdictOf is what is told of a promotion.
func verdictOf(p ingress.Promotion) *hookstreamv1.RequestVerdict {
	v := undecided(p.Reason)
	v.Event = p.Event
	switch {
	case p.Result == ingress.Pending:
		v.Outcome, v.Reason = hookstreamv1.RequestVerdict_OUTCOME_PENDING, ""
	case p.Outcome == provider.Rejected:
		v.Outcome = hookstreamv1.RequestVerdict_OUTCOME_NOT_GENUINE
	case p.Outcome != provider.Genuine:
	case p.Result == ingress.Published:
		v.Outcome = hookstreamv1.RequestVerdict_OUTCOME_PUBLISHED
	case p.Result == ingress.Duplicate:
		v.Outcome = hookstreamv1.RequestVerdict_OUTCOME_DUPLICATE
	case p.Result == ingress.DisabledType:
		v.Outcome = hookstreamv1.RequestVerdict_OUTCOME_UNWANTED
	default:
		v.Outcome = hookstreamv1.RequestVerdict_OUTCOME_GENUINE
	}
	return v
}

// headerOf are all headers that are kept of a request, for the check of its provider.
func headerOf(r *request.Request) http.Header {
	h := make(http.Header)
	for _, l := range slices.Concat(r.Header, r.Proof) {
		h.Add(l.Name, string(l.Value))
	}
	return h
}

// Bounds of what is told of an examination: texts in it are the sender's.
const (
	maxSteps    = 20
	maxStepText = 512
)

// told is a text that is shown: UTF-8, and not too long.
func told(format string, args ...any) string {
	s := strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD")
	if len(s) > maxStepText {
		s = strings.ToValidUTF8(s[:maxStepText], "") + "…"
	}
	return s
}

// Examine implements server.Requests. It asks nobody.
func (q *requests) Examine(ctx context.Context, r *request.Request, v *hookstreamv1.RequestVerdict) {
	defer func() {
		if p := recover(); p != nil {
			q.a.logger.Error("panic while examining a request", "panic", p, "request", r.ID)
		}
	}()
	src, err := q.a.sources.Get(r.Source)
	if err != nil {
		return
	}
	err = q.a.providers.Examine(ctx, provider.Examination{
		Source:  src,
		Request: &provider.Request{Header: headerOf(r), Body: r.Body, ReceiveTime: r.FirstTime},
		Step: func(name, format string, args ...any) {
			if len(v.Steps) < maxSteps {
				v.Steps = append(v.Steps, &hookstreamv1.RequestVerdict_Step{Name: name, Text: told(format, args...)})
			}
		},
	})
	var advice provider.Advice
	if errors.As(err, &advice) {
		v.Evidence = told("%s", advice.Hint())
	}
}
