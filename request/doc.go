// Package request keeps what was refused at the ingress, so that an operator can see why,
// correct the secret, and let in what is genuine.
//
// What is refused is chosen by strangers, and there may be any amount of it. So nothing
// here is promised to be kept, everything is bounded, and the bounds are shared out by
// sender: an IPv4 address, or an IPv6 network of 64 bits. A sender who has less than
// its share loses nothing to those who have more:
//
//   - In the queue of a source, before anything is written, there is room for
//     Options.Queue requests. When it is full, the sender who has the most in it loses its
//     newest. The writer takes from the senders in turn, Options.Rate a second of a source.
//   - A source has Options.Slots places and Options.Bytes for each cause. The newest half
//     of either is kept whoever sent it. When something must go, it is of the older half:
//     what came longer ago than Options.Age, else one of the sender who has the most
//     there, each of his with the same probability, so that what is left of a flood is
//     a sample of all of it.
//
// With S senders a sender may have 1/S of the queue waiting and 1/S of the older half kept
// with certainty. The limit of the rule: there are as many shares as there are senders, so
// who has more addresses than there are places (1,000 networks) can push out the
// others; and behind a proxy that hides addresses all are one sender, of whose requests a
// sample is kept.
//
// Requests are equal when sender, body and proof are: equal ones are kept once, with a
// count of those that came through the queue.
//
// Several gateways share the places. Each change names the revision of what it takes the
// place of, so that none overwrites what it has not seen.
package request
