package main

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/client"
	"github.com/hookstream/hookstream/event"
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

// start is where a stream begins.
func (p position) start() client.Start {
	switch {
	case p.earliest:
		return client.Earliest()
	case p.cursor != "":
		return client.After(p.cursor)
	case p.at != nil:
		return client.AtTime(p.at.AsTime())
	}
	return client.Latest()
}

// stopAt answers where a stream ends: nowhere, at what there is now, at a time, or
// that long from now.
func stopAt(until string, now time.Time) (client.Stop, error) {
	switch until {
	case "":
		return client.Stop{}, nil
	case "head":
		return client.AtHead(), nil
	}
	if t, err := time.Parse(time.RFC3339, until); err == nil {
		return client.UntilTime(t), nil
	}
	ahead, err := parseSpan(until)
	if err != nil {
		return client.Stop{}, misused("--until %s is neither head, an RFC 3339 time nor a duration such as 10m", until)
	}
	return client.UntilTime(now.Add(ahead)), nil
}
