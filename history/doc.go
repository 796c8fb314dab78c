// Package history answers which events of the log are as somebody asks: of a source,
// a type, an entity, a span of time. It reads none of them for that.
//
// It is derived from the log, behind what is durable and never on the way of a
// sender's 200, and is made anew from it when lost. What it knows of each event lies
// in segments of up to 65,536 positions, in columns: when, which route (source,
// provider, environment, type), how it was verified, and hashes of its entity and of
// its sender's id, sorted. The newest segment is in memory; the others are files that
// are written once and dropped as a whole when retention has passed them.
//
// A question becomes a set of positions in one segment after the other, from the
// newest or the oldest on, until the asker has enough. What it answers are
// candidates: hashes may agree where texts do not, so who asks looks at the event
// with Filter.Match.
package history
