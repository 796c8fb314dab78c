// Package replay hands events of the log out again, to the consumers of one subscription:
// those that are named, or all that a filter finds in the history.
//
// What a replay promises:
//
//   - Which events it is, is fixed when it begins. Each of them that the log still holds
//     when its turn comes, and that the subscription selects, is handed out until it is
//     settled. What is passed over or was gone is counted.
//   - It goes on after a restart, and on another gateway when its own is gone: from where it
//     was. What was being queued in that moment, at most a batch, may be queued twice.
//   - No more than a window of its events lies at the subscription's queue at a time, so that
//     new events and other replays are handed out meanwhile.
//   - Events of one entity are queued in the order of the log.
//
// It stands on the way that parked events are replayed: see docs/adr/0020-replays.md.
package replay
