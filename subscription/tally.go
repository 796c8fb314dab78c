package subscription

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// tally is what is known of the deliveries of one message that led to nothing.
// It is kept in the log's Attempts, so that another gateway and the next life of
// this one go on counting. All of it only grows until the message is settled.
type tally struct {
	// Failed attempts. An attempt is a delivery that its consumer refused, or
	// during which, alone with it, its consumer was lost or silent.
	Failed int `json:"f,omitempty"`
	// Suspect: it may be what its consumer, or gateway, was lost with. It is
	// handed out only alone.
	Suspect bool `json:"s,omitempty"`
	// Told is up to which of JetStream's hand-outs it is known what ended them.
	Told int `json:"t,omitempty"`
	// Begun counts how often a suspect was handed to a consumer, and Ended how many
	// of these deliveries are known to be over: one that is not ended with its
	// gateway.
	Begun int `json:"b,omitempty"`
	Ended int `json:"e,omitempty"`
	// Deaths of gateways that held it, of which nobody told.
	Deaths int `json:"d,omitempty"`
	// HandOut is the highest number of a delivery, as far as it was kept.
	HandOut int64 `json:"h,omitempty"`
}

// attempt is the number of the next attempt, or the one that is under way.
func (t tally) attempt() int { return t.Failed + 1 }

// ending is how a delivery ended that settled nothing.
type ending int

const (
	// released: by its consumer's word, or by what the gateway did. Nobody is
	// suspected.
	released ending = iota
	// refused by its consumer's word.
	refused
	// lost: its consumer was gone, or did not answer in time.
	lost
)

// ended answers the tally after a delivery, and whether it was an attempt that
// failed. Alone: the consumer had nothing else from its hand-out to its end.
func (t tally) ended(how ending, alone bool) (_ tally, failed bool) {
	failed = how == refused || how == lost && alone
	if failed {
		t.Failed++
	}
	t.Suspect = t.Suspect || how == lost
	return t.over(), failed
}

// over says that no delivery is under way.
func (t tally) over() tally {
	t.Ended = max(t.Begun, t.Ended)
	return t
}

// told says what ended all hand-outs up to one of JetStream's count.
func (t tally) told(count int) tally {
	t.Told = max(t.Told, count)
	return t
}

// unexplained reports whether a message that comes for the count-th time was in
// the hands of a gateway that told nothing of its end: it died, most likely.
func (t tally) unexplained(count int) bool { return count-1 > t.Told }

// toleratedDeaths is how many gateways may die with a message before it is
// suspected. One costs it nothing: it held a thousand others, and most gateways
// die of something else.
const toleratedDeaths = 1

// died counts the death of the gateway that held the message before it came for
// the count-th time, and reports whether it was an attempt that failed: a suspect
// was alone with a consumer then.
func (t tally) died(count int) (_ tally, failed bool) {
	failed = t.Suspect && t.Begun > t.Ended
	if failed {
		t.Failed++
	}
	t.Deaths++
	t.Suspect = t.Suspect || t.Deaths > toleratedDeaths
	return t.over().told(count - 1), failed
}

// and joins what two gateways know.
func (t tally) and(o tally) tally {
	return tally{
		Ended:  max(t.Ended, o.Ended),
		Failed: max(t.Failed, o.Failed), Suspect: t.Suspect || o.Suspect, Told: max(t.Told, o.Told),
		Begun: max(t.Begun, o.Begun), Deaths: max(t.Deaths, o.Deaths), HandOut: max(t.HandOut, o.HandOut),
	}
}

// The number of a hand-out is made of the generation, in the highest bits, and the
// time of day; it is higher than the last that is known in any case. What is not
// known of earlier hand-outs, time makes up for: an event is hardly ever handed out
// twice in a tick, so that numbers do not run ahead of it. Clocks may be set, and those of NATS's
// nodes differ, so that each count of what only grows is worth handOutSkew:
//
//   - On a cluster, how often it has handed the message out.
//   - Embedded, how often a gateway has begun: JetStream may forget in a crash what
//     it has counted.
const (
	handOutTimeBits = 48
	handOutTick     = time.Millisecond
	handOutSkew     = int64(24 * time.Hour / handOutTick)
	maxGeneration   = 1<<(63-handOutTimeBits) - 1
	maxCounted      = 1 << 20 // worth less than handOutTimeBits
)

// nextHandOut answers a number higher than last. Counted is what only grows.
func nextHandOut(last int64, generation, counted int, now time.Time) int64 {
	n := now.UnixNano()/int64(handOutTick) + int64(min(counted, maxCounted))*handOutSkew
	n += int64(min(generation, maxGeneration)) << handOutTimeBits
	return max(n, last+1)
}

// lastOfReplay answers a number that no earlier hand-out of a replayed entry had
// reached. The entry says the last before it was parked, which may be minutes ahead of
// time; the queue of what is replayed counts from 1 again, and who is handed it
// elsewhere knows of the hand-outs since then only that.
func lastOfReplay(entry int64, counted int) int64 {
	return entry + int64(min(counted, maxCounted))*handOutSkew
}

// nextHandOut numbers the delivery of a hold. The caller holds mu.
func (h *home) nextHandOut(hd *hold) {
	counted, replays := hd.queued, hd.queued
	if h.m.engine.Embedded() {
		counted, replays = h.m.lives, 0
	}
	// One event may be in hands several times: by itself after a Seek, and replayed,
	// as often as it was parked.
	seq := hd.event.Seq()
	last := max(hd.HandOut, h.replayed[seq])
	if other := h.holds[key{seq: seq}]; other != nil {
		last = max(last, other.HandOut)
	}
	if hd.entry != nil {
		last = max(last, lastOfReplay(hd.entry.HandOut, replays))
	}
	hd.HandOut = nextHandOut(last, h.sub.Generation, counted, h.m.now())
	if _, before := h.replayed[seq]; before || hd.replay {
		if h.replayed == nil || len(h.replayed) >= maxMemos {
			h.replayed = make(map[uint64]int64)
		}
		h.replayed[seq] = hd.HandOut
	}
}

// tallies are all that are known here, by queue and sequence.
type tallies struct {
	kept Attempts

	// mu guards of: it holds at least what kept was told here, and all that was
	// heard of since. Nothing is taken under it: who puts lets go of it before kept is
	// told.
	mu sync.Mutex
	of map[string]map[uint64]tally
}

// hear takes what was kept, by whomever.
func (s *tallies) hear(v queue.Attempted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var t tally
	if v.Value == nil || json.Unmarshal(v.Value, &t) != nil {
		s.drop(v.Queue, v.Seq)
		return
	}
	s.join(v.Queue, v.Seq, t)
}

// join adds to what is known. The caller holds mu.
func (s *tallies) join(queue string, seq uint64, t tally) {
	if s.of == nil {
		s.of = make(map[string]map[uint64]tally)
	}
	if s.of[queue] == nil {
		s.of[queue] = make(map[uint64]tally)
	}
	s.of[queue][seq] = s.of[queue][seq].and(t)
}

// drop forgets, and reports whether there was anything. The caller holds mu.
func (s *tallies) drop(queue string, seq uint64) bool {
	_, had := s.of[queue][seq]
	if delete(s.of[queue], seq); len(s.of[queue]) == 0 {
		delete(s.of, queue)
	}
	return had
}

func (s *tallies) get(queue string, seq uint64) tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[queue][seq]
}

// put notes a tally, has it kept, and then calls done.
func (s *tallies) put(queue string, seq uint64, t tally, done func(error)) {
	s.kept.Put(s.note(queue, seq, t), done)
}

func (s *tallies) note(q string, seq uint64, t tally) []queue.Attempted {
	s.mu.Lock()
	s.join(q, seq, t)
	t = s.of[q][seq]
	s.mu.Unlock()
	value, _ := json.Marshal(t) // cannot fail
	return []queue.Attempted{{Queue: q, Seq: seq, Value: value}}
}

// keep is put, and returns when it is kept.
func (s *tallies) keep(ctx context.Context, some []queue.Attempted) error {
	return s.kept.Keep(ctx, some)
}

// read answers what is known anywhere.
func (s *tallies) read(ctx context.Context, q string, seq uint64) (tally, error) {
	value, err := s.kept.Read(ctx, q, seq)
	if err != nil {
		return tally{}, err
	}
	if value != nil {
		s.hear(queue.Attempted{Queue: q, Seq: seq, Value: value})
	}
	return s.get(q, seq), nil
}

// settled forgets the tally of a message that is settled.
func (s *tallies) settled(q string, seq uint64) {
	s.mu.Lock()
	had := s.drop(q, seq)
	s.mu.Unlock()
	if had {
		s.kept.Put([]queue.Attempted{{Queue: q, Seq: seq}}, nil)
	}
}

// forgetQueue forgets what is known here of a queue that is gone.
func (s *tallies) forgetQueue(queue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, queue)
}

// forgetSubscription forgets what is known here of all queues of a subscription
// that is gone.
func (s *tallies) forgetSubscription(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for queue := range s.of {
		if strings.HasPrefix(queue, queuePrefix+uid+"-") {
			delete(s.of, queue)
		}
	}
}

// fewestFirst puts what was tried least first, then what comes first in the log,
// so that one suspect that fails again and again keeps no other waiting.
func fewestFirst(a, b *hold) int {
	if a.Failed != b.Failed {
		return a.Failed - b.Failed
	}
	return inLogOrder(a, b)
}

func addSuspect(all []*hold, hd *hold) []*hold {
	i, _ := slices.BinarySearchFunc(all, hd, fewestFirst)
	return slices.Insert(all, i, hd)
}
