package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/request"
)

// ListRequests answers a page of what was refused, that which came last first.
func (s *requestService) ListRequests(ctx context.Context, req *hookstreamv1.ListRequestsRequest) (*hookstreamv1.ListRequestsResponse, error) {
	if err := check(req).err(); err != nil {
		return nil, err
	}
	store, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	p, err := newRequestPage("requests", req, newestFirst)
	if err != nil {
		return nil, err
	}
	found := p.of(store.List())
	shown := make([]*hookstreamv1.Request, len(found))
	for i := range found {
		shown[i] = shownRequest(&found[i])
	}
	out := &hookstreamv1.ListRequestsResponse{Requests: firstOf(shown, p.size)}
	if n := len(out.Requests); n < len(found) {
		out.NextPageToken = p.tokenAfter(&found[n-1])
	}
	return out, nil
}

// Orders of requests, as texts that are in the order of what they stand for.
func newestFirst(r *request.Request) string {
	return fmt.Sprintf("%020d %s", math.MaxInt64-r.LastTime.UnixNano(), r.ID)
}

func byArrival(r *request.Request) string {
	return fmt.Sprintf("%020d %s", r.FirstTime.UnixNano(), r.ID)
}

// filtered is what is asked for pages of what a filter lets through.
type filtered interface {
	pageRequest
	GetFilter() string
}

// requestPage is a page of requests.
type requestPage struct {
	list  string    // in page tokens
	asked time.Time // when the first page was: by this go the filter's times
	after string
	order func(*request.Request) string
	size  int
	match func(*request.Request) bool
}

// newRequestPage reads what is asked for.
func newRequestPage(list string, req filtered, order func(*request.Request) string) (*requestPage, error) {
	sum := sha256.Sum256([]byte(req.GetFilter()))
	p := &requestPage{
		list: list + "?" + base64.RawURLEncoding.EncodeToString(sum[:12]), asked: time.Now(), order: order, size: pageSize(req),
	}
	if token := req.GetPageToken(); token != "" {
		place, ok := parsePageToken(p.list, token)
		asked, after, cut := strings.Cut(place, " ")
		at, err := strconv.ParseInt(asked, 10, 64)
		if !ok || !cut || err != nil {
			return nil, errPageToken()
		}
		p.asked, p.after = time.Unix(0, at), after
	}
	filter, err := request.ParseFilter(req.GetFilter(), p.asked)
	if err != nil {
		return nil, badFilter(err)
	}
	p.match = filter.Match
	return p, nil
}

// of answers what is on the page, and of what is behind it the first.
func (p *requestPage) of(all []request.Request) []request.Request {
	type placed struct {
		request.Request
		place string
	}
	var fit []placed
	for i := range all {
		if place := p.order(&all[i]); place > p.after && p.match(&all[i]) {
			fit = append(fit, placed{all[i], place})
		}
	}
	slices.SortFunc(fit, func(a, b placed) int { return strings.Compare(a.place, b.place) })
	fit = fit[:min(len(fit), p.size+1)]
	out := make([]request.Request, len(fit))
	for i := range fit {
		out[i] = fit[i].Request
	}
	return out
}

// tokenAfter is that of the page which begins behind a request.
func (p *requestPage) tokenAfter(r *request.Request) string {
	return pageToken(p.list, strconv.FormatInt(p.asked.UnixNano(), 10)+" "+p.order(r))
}
