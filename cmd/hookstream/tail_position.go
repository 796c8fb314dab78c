package main

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// startAt sets where a stream begins: a word, a cursor, a time, or how long
// before now.
func startAt(req *hookstreamv1.SubscribeRequest, from string, now time.Time) error {
	switch from {
	case "", "latest":
		req.Start = &hookstreamv1.SubscribeRequest_Latest{Latest: true}
		return nil
	case "earliest":
		req.Start = &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}
		return nil
	}
	if t, err := time.Parse(time.RFC3339, from); err == nil {
		req.Start = &hookstreamv1.SubscribeRequest_AtTime{AtTime: timestamppb.New(t)}
		return nil
	}
	if ago, err := parseSpan(from); err == nil {
		req.Start = &hookstreamv1.SubscribeRequest_AtTime{AtTime: timestamppb.New(now.Add(-ago))}
		return nil
	}
	if _, err := event.ParseCursor(from); err == nil {
		req.Start = &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: from}
		return nil
	}
	return misused("--from %s is neither latest, earliest, a whole cursor, an RFC 3339 time nor a duration such as 1h", from)
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
