package client

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// A clock is the one of the gateway behind a stream, as far as frames that carry
// its time tell: they are never early, so the earliest of the last few is the
// truest.
type clock struct {
	epoch  time.Time        // our own time is counted from here, so that a step of our clock moves nothing
	ahead  [8]time.Duration // of ours
	heard  int
	latest time.Duration // the greatest of ahead
}

// wall answers the time of day of a moment, as if our clock had not been set since
// epoch.
func (c *clock) wall(now time.Time) time.Time { return c.epoch.Add(now.Sub(c.epoch)).Round(0) }

// hear takes a time that the gateway sent, and that came now.
func (c *clock) hear(sent *timestamppb.Timestamp, now time.Time) {
	if sent == nil {
		return
	}
	c.ahead[c.heard%len(c.ahead)] = sent.AsTime().Sub(c.wall(now))
	c.heard++
	c.latest = c.ahead[0]
	for _, a := range c.ahead[:min(c.heard, len(c.ahead))] {
		c.latest = max(c.latest, a)
	}
}

// left answers how long it is to a deadline by the gateway's clock: not more than
// most, which is what it can be. While nothing is known of that clock it is taken
// for ours, unless that cannot be: then the deadline says nothing when it lies too
// far ahead, and may have passed when it lies behind.
func (c *clock) left(deadline *timestamppb.Timestamp, now time.Time, most time.Duration) time.Duration {
	if deadline == nil {
		return most
	}
	return min(max(deadline.AsTime().Sub(c.wall(now).Add(c.latest)), 0), most)
}
