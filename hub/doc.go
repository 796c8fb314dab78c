// Package hub is the way out of the log: it follows the log once and lets any
// number of streams read it, each a loop over a position of its own.
//
// What is new is cached in a ring. A stream reads the ring; when its position is
// older, it reads the log in chunks that all streams share, and that a scan reads
// ahead of those who go through a long run; when there is nothing, it waits.
// Catching up and following are the same loop, so there is no hand-over between
// them and hence no gap and no repetition. A slow stream falls behind the ring
// and reads the log: nobody waits for it. One that wants little by what routes say
// asks an index, where there is one, and passes over what it does not want.
//
// An event is turned into the bytes of a delivery once for each view that
// anybody wants, whatever the number of streams.
package hub
