package main

import (
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// facts are the few words of an event's content by which people know what it is
// about, as its provider chooses them.
func facts(e *hookstreamv1.Event) []string { return nonEmpty(providers().Facts(e)) }
