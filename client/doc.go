// Package client is what a Go service imports to consume a Hookstream gateway.
//
// [Run] consumes a subscription: the gateway keeps the place and shares the
// events out among all that run it. A handler that answers nil acknowledges;
// [Park], [Skip] and [RetryAfter] say otherwise. [Stream] reads the log itself:
// every caller gets every event, in order, and keeps its own place in a
// [CursorStore].
//
// Both connect again by themselves when the gateway goes away, and give up only
// on what another attempt cannot mend. Both deliver at least once: make the
// handler's effect idempotent, keyed by the event's name or its sender's id.
//
// The connection is the caller's: [Dial] is grpc.NewClient with the settings that
// long streams need, and any other grpc.ClientConnInterface will do.
package client
