package subscription

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
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
	// Begun is the one of JetStream's hand-outs in which a suspect was last handed
	// to a consumer.
	Begun int `json:"b,omitempty"`
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
	return t, failed
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
	failed = t.Suspect && t.Begun == count-1
	if failed {
		t.Failed++
	}
	t.Deaths++
	t.Suspect = t.Suspect || t.Deaths > toleratedDeaths
	return t.told(count - 1), failed
}

// and joins what two gateways know.
func (t tally) and(o tally) tally {
	return tally{
		Failed: max(t.Failed, o.Failed), Suspect: t.Suspect || o.Suspect, Told: max(t.Told, o.Told),
		Begun: max(t.Begun, o.Begun), Deaths: max(t.Deaths, o.Deaths), HandOut: max(t.HandOut, o.HandOut),
	}
}

// The number of a hand-out is made of, from the highest bits: the generation,
// JetStream's count of hand-outs of the message (replays are later than all
// others), and the time. The count grows with what passes from one gateway to
// another, whose clocks may differ, and the time with what does not; when a crash
// takes JetStream's count back, the time alone has grown. Beyond its bits a part
// stands still, and the number grows by one from the last that is known.
const (
	handOutCountBits = 14
	handOutTimeBits  = 34
	handOutTick      = 100 * time.Millisecond
	maxGeneration    = 1<<(63-handOutCountBits-handOutTimeBits) - 1
	replayCount      = 1 << (handOutCountBits - 1)
)

// handOutEpoch is where the time of hand-outs begins; it lasts for 54 years.
var handOutEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// nextHandOut answers a number higher than last.
func nextHandOut(last int64, generation, count int, replay bool, now time.Time) int64 {
	count = min(count, replayCount-1)
	if replay {
		count += replayCount
	}
	n := int64(min(generation, maxGeneration))
	n = n<<handOutCountBits | int64(count)
	n = n<<handOutTimeBits | int64(now.Sub(handOutEpoch)/handOutTick)&(1<<handOutTimeBits-1)
	return max(n, last+1)
}

// tallies are all that are known here, by queue and sequence.
type tallies struct {
	kept Attempts

	// mu guards of: it holds at least what kept was told here, and all that was
	// heard of since.
	mu sync.Mutex
	of map[string]map[uint64]tally
}

// hear takes what was kept, by whomever.
func (s *tallies) hear(v eventlog.Attempted) {
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

func (s *tallies) note(queue string, seq uint64, t tally) []eventlog.Attempted {
	s.mu.Lock()
	s.join(queue, seq, t)
	t = s.of[queue][seq]
	s.mu.Unlock()
	value, _ := json.Marshal(t) // cannot fail
	return []eventlog.Attempted{{Queue: queue, Seq: seq, Value: value}}
}

// keep is put, and returns when it is kept.
func (s *tallies) keep(ctx context.Context, some []eventlog.Attempted) error {
	return s.kept.Keep(ctx, some)
}

// read answers what is known anywhere.
func (s *tallies) read(ctx context.Context, queue string, seq uint64) (tally, error) {
	value, err := s.kept.Read(ctx, queue, seq)
	if err != nil {
		return tally{}, err
	}
	if value != nil {
		s.hear(eventlog.Attempted{Queue: queue, Seq: seq, Value: value})
	}
	return s.get(queue, seq), nil
}

// settled forgets the tally of a message that is settled.
func (s *tallies) settled(queue string, seq uint64) {
	s.mu.Lock()
	had := s.drop(queue, seq)
	s.mu.Unlock()
	if had {
		s.kept.Put([]eventlog.Attempted{{Queue: queue, Seq: seq}}, nil)
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
