package main

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A position is a place in the log. Its zero value is behind the last event.
type position struct {
	earliest bool
	cursor   string
	at       *timestamppb.Timestamp
}

// parsePosition reads the value of a flag: a word, a cursor, a time, or how long
// before now.
func parsePosition(flag, text string, now time.Time) (position, error) {
	switch text {
	case "", "latest":
		return position{}, nil
	case "earliest":
		return position{earliest: true}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return position{at: timestamppb.New(t)}, nil
	}
	if ago, err := parseSpan(text); err == nil {
		return position{at: timestamppb.New(now.Add(-ago))}, nil
	}
	if _, err := event.ParseCursor(text); err == nil {
		return position{cursor: text}, nil
	}
	return position{}, misused("%s %s is neither latest, earliest, a whole cursor, an RFC 3339 time nor a duration such as 1h", flag, text)
}

// startAt sets where a stream begins.
func startAt(req *hookstreamv1.SubscribeRequest, from string, now time.Time) error {
	p, err := parsePosition("--from", from, now)
	switch {
	case err != nil:
	case p.earliest:
		req.Start = &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}
	case p.cursor != "":
		req.Start = &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: p.cursor}
	case p.at != nil:
		req.Start = &hookstreamv1.SubscribeRequest_AtTime{AtTime: p.at}
	default:
		req.Start = &hookstreamv1.SubscribeRequest_Latest{Latest: true}
	}
	return err
}

// stopAt sets where a stream ends: at what there is now, at a time, or that long
// from now.
func stopAt(req *hookstreamv1.SubscribeRequest, until string, now time.Time) error {
	switch until {
	case "":
		return nil
	case "head":
		req.Stop = &hookstreamv1.SubscribeRequest_AtHead{AtHead: true}
		return nil
	}
	t, err := time.Parse(time.RFC3339, until)
	if err != nil {
		ahead, err := parseSpan(until)
		if err != nil {
			return misused("--until %s is neither head, an RFC 3339 time nor a duration such as 10m", until)
		}
		t = now.Add(ahead)
	}
	req.Stop = &hookstreamv1.SubscribeRequest_UntilTime{UntilTime: timestamppb.New(t)}
	return nil
}
