package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
)

// searchTime bounds the search for one page: what matches little is looked for in
// several.
const searchTime = 2 * time.Second

// maxSearches bounds how many searches of the content run at a time: each may keep a
// processor busy for its time. Others wait.
const maxSearches = 2

// ListEvents answers a page of the events that are as a filter says.
func (s *EventService) ListEvents(ctx context.Context, req *hookstreamv1.ListEventsRequest) (*hookstreamv1.ListEventsResponse, error) {
	if s.history == nil {
		return nil, errHistory(errNoHistory)
	}
	if err := check(req).err(); err != nil {
		return nil, err
	}
	p, err := s.eventPage(req)
	if err != nil {
		return nil, err
	}
	if err := p.filter.Locate(ctx, s.hub.Position); err != nil {
		return nil, err
	}
	p.out.UnindexedEvents = s.catchUp(ctx)
	if p.content != nil {
		select {
		case s.searches <- struct{}{}:
			defer func() { <-s.searches }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err := p.fill(ctx, s); err != nil {
		return nil, err
	}
	return p.out, nil
}

// catchUpTime is how long is waited for the history to know what streams have been
// shown: mostly it is behind by some milliseconds.
const catchUpTime = time.Second

// catchUp answers how many of the events that streams are shown the history lacks.
func (s *EventService) catchUp(ctx context.Context) int64 {
	return int64(s.history.Await(ctx, s.hub.Head(), catchUpTime))
}

// eventPage is a page of events that is being filled.
type eventPage struct {
	list        string    // in page tokens
	asked       time.Time // when the first page was
	filter      *history.Filter
	content     *contentFilter // nil: it is not looked at
	oldestFirst bool
	from        uint64
	size        int
	view        hookstreamv1.EventView

	bytes int
	out   *hookstreamv1.ListEventsResponse
}

// pageplace is what a token says: where to go on, and when the first page was asked
// for, by which the filter's times go.
const pageplace = "%d %d"

// eventPage reads what is asked for.
func (s *EventService) eventPage(req *hookstreamv1.ListEventsRequest) (*eventPage, error) {
	p := &eventPage{
		size: pageSize(req), view: viewOf(req.GetView()), out: new(hookstreamv1.ListEventsResponse),
		oldestFirst: req.GetOrderBy() != "" && !strings.HasSuffix(req.GetOrderBy(), " desc"),
	}
	if !p.oldestFirst {
		p.from = math.MaxUint64
	}
	sum := sha256.Sum256([]byte(req.GetFilter() + "\x00" + strconv.FormatBool(p.oldestFirst)))
	p.list = "events/" + s.hub.Incarnation().String() + "?" + base64.RawURLEncoding.EncodeToString(sum[:12])
	p.asked = time.Now()
	if token := req.GetPageToken(); token != "" {
		place, ok := parsePageToken(p.list, token)
		if !ok {
			return nil, errPageToken()
		}
		var asked int64
		if _, err := fmt.Sscanf(place, pageplace, &p.from, &asked); err != nil {
			return nil, errPageToken()
		}
		p.asked = time.Unix(0, asked)
	}
	var err error
	if p.filter, err = history.ParseSearch(req.GetFilter(), p.asked, s.hub.Incarnation()); err != nil {
		return nil, badFilter(err)
	}
	p.content, err = s.contentFilter(p.filter)
	return p, err
}

// badFilter says what is wrong with a filter.
func badFilter(err error) error {
	var v violations
	v.add("filter", "%s", err)
	return v.err()
}

// fill looks at candidates until the page is full or the time is over.
func (p *eventPage) fill(ctx context.Context, s *EventService) error {
	deadline := time.Now().Add(s.searchTime)
	last := uint64(0)
	for seq, err := range s.history.Candidates(p.filter, p.from, p.oldestFirst) {
		if err != nil {
			return errHistory(err)
		}
		e, err := p.find(ctx, s, seq, last)
		last = seq
		if errors.Is(err, eventlog.ErrNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return err
		}
		full, err := p.look(ctx, e)
		switch {
		case err != nil:
			return err
		case full: // this one is the first of the next page
			p.endAt(seq)
			return nil
		case time.Now().After(deadline):
			p.out.SearchTime = timestamppb.New(e.Time())
			p.endBehind(seq)
			return nil
		}
	}
	return nil
}

// nearEvents is how near one candidate must be to the one before that what lies around
// it is read with it: others will follow.
const nearEvents = 64

// find answers the event at a position, after one at last.
func (p *eventPage) find(ctx context.Context, s *EventService, seq, last uint64) (*hub.Event, error) {
	if p.content != nil && max(seq, last)-min(seq, last) <= nearEvents {
		return s.hub.At(ctx, seq)
	}
	return s.hub.Find(ctx, seq)
}

// look adds an event to the page if it is as asked. full: it belongs to the next.
func (p *eventPage) look(ctx context.Context, e *hub.Event) (full bool, err error) {
	row, ok := history.RowOf(e.Record())
	if !ok || !p.filter.Match(row) || p.content != nil && !p.content.matches(ctx, e) {
		return false, nil
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx) // it may be why nothing matched
	}
	if len(p.out.Events) == p.size {
		return true, nil
	}
	if err := e.Withheld(p.view); err != nil {
		return false, err
	}
	m, err := e.Message(p.view)
	if err != nil {
		return false, err
	}
	size := proto.Size(m)
	if len(p.out.Events) > 0 && p.bytes+size > maxPageBytes {
		return true, nil
	}
	p.bytes += size
	p.out.Events = append(p.out.Events, m)
	return false, nil
}

// endAt ends the page before an event, endBehind behind it.
func (p *eventPage) endAt(seq uint64) {
	p.out.NextPageToken = pageToken(p.list, fmt.Sprintf(pageplace, seq, p.asked.UnixNano()))
}

func (p *eventPage) endBehind(seq uint64) {
	if p.oldestFirst {
		p.endAt(seq + 1)
	} else {
		p.endAt(seq - 1)
	}
}

// errNoHistory is that of a gateway which could not open it.
var errNoHistory = errors.New("server: no history")

// errHistory is of a part of the history that cannot be read now; it is made anew.
func errHistory(err error) error { return errors.Join(eventlog.ErrUnavailable, err) }
