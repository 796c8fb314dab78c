package subscription

import (
	"slices"
	"time"
)

// lanes order what an ordered subscription holds: one lane an entity, in the
// order of the log, of which only the first is ever handed out.
//
// A gateway serves only while it has the queue's pin, and not before everything
// that JetStream counts as handed out is in its lanes: what the former gateway
// left has then been settled, or has come here. See docs/adr/0007.
type lanes struct {
	of    map[string]*lane
	phase lanePhase
	pin   string
	turn  uint64 // the last hand-out of the main queue that came here
	// changes counts what came and went.
	changes int
	since   time.Time // it collects
	// pinless: it was handed what was replayed while nobody has the pin, since there
	// is nothing else to be handed out.
	pinless bool
	// other gateway has the pin.
	other    bool
	lookedAt time.Time
	// pause is how long one that does not hand out waits before it looks again.
	pause time.Duration
	// What it collects, of each of the two queues.
	main, replays gathering
	pinlessRest   time.Time // nothing that was replayed is asked for without the pin
}

// gathering is what a gateway that collects knows of one queue: how much others
// held when it looked last, how much of that is asked for at a time, and when it
// asks again.
type gathering struct {
	foreign, window int
	restUntil       time.Time
}

type lanePhase int

const (
	elsewhere  lanePhase = iota // another gateway hands out, or none
	collecting                  // what the former one left
	serving
)

type lane struct {
	queue []*hold // by position of the event
	head  *hold   // what is handed out, or about to be
}

func newLanes() *lanes { return &lanes{of: make(map[string]*lane)} }

func (l *lanes) serving() bool { return l.phase == serving }

// active reports whether this gateway has the pin.
func (l *lanes) active() bool { return l.phase != elsewhere }

// seen notices that a message came with another pin: this gateway has just been
// chosen. What is replayed comes without one: who is handed it while nobody has the
// pin serves once it is sure again that nobody has, and counts what is replayed.
// Who is given the pin meanwhile counts it too, and waits.
func (l *lanes) seen(pin string, turn uint64, replay bool) {
	l.changes++
	if replay && l.phase != elsewhere && !l.pinless || !replay && pin == l.pin && l.phase != elsewhere {
		return
	}
	if l.pinless = replay; replay {
		pin = ""
	} else {
		l.turn = turn
	}
	l.pin, l.other = pin, false
	l.collect()
	l.lookSoon() // mostly everything is here
}

// follows notices which hand-out of the main queue came. When one before it did not,
// or comes only now, it is counted anew what there is: what is on its way may come
// before it in the log.
func (l *lanes) follows(turn uint64) {
	if l.phase != elsewhere && turn != l.turn+1 {
		l.collect()
		l.lookSoon()
	}
	l.turn = max(l.turn, turn)
}

// collect stops handing out until it is sure again what there is to be handed
// out.
func (l *lanes) collect() {
	if l.phase != collecting {
		l.since = time.Now()
	}
	l.phase = collecting
	l.main, l.replays = gathering{window: 1}, gathering{window: 1}
}

// newRest is how long a gateway that collects does not ask after it was handed what
// nobody held: JetStream hands out what was held first, so that there is none now.
const newRest = 500 * time.Millisecond

// came notices what came of the queue. What others held is asked for in growing
// numbers, so that little comes with it that is new, and makes the count
// harder to complete.
func (g *gathering) came(attempt int) {
	if attempt > 1 {
		g.window, g.restUntil = min(2*g.window, maxWindow), time.Time{}
	} else {
		g.window, g.restUntil = 1, time.Now().Add(newRest)
	}
}

// collected notices what came while it collects.
func (l *lanes) collected(attempt int, replay bool) {
	switch {
	case l.phase != collecting:
	case replay:
		l.replays.came(attempt)
	default:
		l.main.came(attempt)
	}
}

// maxWindow bounds what is asked for at once while it collects.
const maxWindow = 1000

// mayServePinless reports whether a gateway without the pin may ask for what was
// replayed: nobody has it, as far as was looked.
func (l *lanes) mayServePinless(now time.Time) bool {
	return !l.lookedAt.IsZero() && !l.other && !now.Before(l.pinlessRest)
}

// pinlessTime is how long a gateway without the pin counts in vain before it gives
// back what was replayed, and pinlessPause how long it rests then, about: several
// may have been handed some of it.
const (
	pinlessTime  = time.Second
	pinlessPause = 2 * time.Second
)

// wants answers how much to ask for.
func (g *gathering) wants(now time.Time) int {
	if now.Before(g.restUntil) {
		return 0
	}
	return min(g.window, g.foreign)
}

// stop ends serving.
func (l *lanes) stop() {
	l.phase, l.pin, l.pinless = elsewhere, "", false
	l.pause = 0
}

// add puts a hold in its lane, and reports whether it may be handed out.
func (l *lanes) add(hd *hold) bool {
	hd.stage = waiting
	if hd.entity == "" && l.phase == serving {
		return true
	}
	ln := l.of[hd.entity]
	if ln == nil {
		ln = new(lane)
		l.of[hd.entity] = ln
	}
	i, _ := slices.BinarySearchFunc(ln.queue, hd, inLogOrder)
	ln.queue = slices.Insert(ln.queue, i, hd)
	return l.next(ln) == hd
}

// inLogOrder puts a replayed event before the same event.
func inLogOrder(a, b *hold) int {
	x, y := a.event.Seq(), b.event.Seq()
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case a.replay == b.replay && a.seq < b.seq, a.replay && !b.replay:
		return -1
	}
	return 1
}

// next makes the first of a free lane its head, when this gateway serves.
func (l *lanes) next(ln *lane) *hold {
	if l.phase != serving || ln.head != nil || len(ln.queue) == 0 {
		return nil
	}
	ln.head = ln.queue[0]
	ln.queue = ln.queue[1:]
	return ln.head
}

// remove takes a hold out and answers what may be handed out instead.
func (l *lanes) remove(hd *hold) *hold {
	l.changes++
	ln := l.of[hd.entity]
	if ln == nil {
		return nil
	}
	if ln.head == hd {
		ln.head = nil
	} else if i := slices.Index(ln.queue, hd); i >= 0 {
		ln.queue = slices.Delete(ln.queue, i, i+1)
	}
	next := l.next(ln)
	if ln.head == nil && len(ln.queue) == 0 {
		delete(l.of, hd.entity)
	}
	return next
}

// serve begins handing out, and answers what may be.
func (l *lanes) serve() (free []*hold) {
	l.phase = serving
	for entity, ln := range l.of {
		if entity == "" {
			free = append(free, ln.queue...)
			delete(l.of, entity)
			continue
		}
		if hd := l.next(ln); hd != nil {
			free = append(free, hd)
		}
	}
	slices.SortFunc(free, inLogOrder)
	return free
}
