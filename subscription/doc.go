// Package subscription keeps named reading positions that any number of
// consumers share, on any number of gateways: each event that a subscription
// selects is handed to one consumer at a time until one of them acknowledges it,
// gives it up, or the last attempt is over.
//
// What a subscription promises:
//
//   - At least once: a selected event is handed out until it is settled. A
//     consumer, a gateway or a node of the cluster that dies costs repetitions,
//     never an event.
//   - Settled means settled: when Settle answered Done to an acknowledgement,
//     that delivery was the only one in force, and nobody is handed the event
//     again, whatever dies afterwards. Only Seek and Replay bring it back.
//   - A token is good on every gateway until its deadline.
//   - With OrderByEntity, at most one delivery of an entity is in force at a
//     time, in the order of the log.
//
// What a subscription holds back (max outstanding, attempts, deadlines) and who
// gets what is decided by the gateway that hands a delivery out, its home.
// JetStream's durable consumer remembers what is settled, and hands everything
// out anew that a dead gateway held. See docs/adr/0006-subscriptions.md and
// docs/adr/0007-order-by-entity.md.
package subscription
