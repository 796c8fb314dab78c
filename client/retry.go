package client

import "time"

// Mendable reports whether the same call to a gateway may succeed later, as [Run]
// and [Stream] decide: they go on where it answers true.
func Mendable(err error) bool { return mendable(err) }

// RetryDelay is how long the gateway asked to wait before the same call is made
// again; 0 when it did not say. Believe it up to a minute or so.
func RetryDelay(err error) time.Duration { return retryDelay(err) }
