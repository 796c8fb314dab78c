package request

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A queue holds what waits to be written. It is fair among the sources, and within one
// among its senders: when there is no room, the one who has the most loses its newest.
type queue struct {
	rate     rate.Limit
	burst    int
	max      int   // requests of one source
	maxBytes int64 // of all

	mu      sync.Mutex
	lines   map[string]*line
	turn    []string // sources with something in their line, the next first
	bytes   int64
	dropped int64
	wake    chan struct{} // holds one token when something may be taken
}

// A line is what waits of one source.
type line struct {
	tokens *rate.Limiter
	lanes  map[string][]*Request // by sender
	turn   []string              // senders with something in their lane, the next first
	n      int
	bytes  int64
	// lengths counts the lanes of each length, most is the greatest: a flood asks for it
	// at each request.
	lengths map[int]int
	most    int
}

// resized notes that a lane has another length.
func (l *line) resized(from, to int) {
	l.lengths[from]--
	l.lengths[to]++
	l.most = max(l.most, to)
	for l.most > 0 && l.lengths[l.most] == 0 {
		l.most--
	}
}

func newQueue(o Options) *queue {
	return &queue{
		rate: rate.Limit(o.Rate), burst: int(max(1, o.Rate)), max: o.Queue, maxBytes: o.QueueBytes,
		lines: make(map[string]*line), wake: make(chan struct{}, 1),
	}
}

// wants reports whether there is room for a request of a sender, or would be made.
func (q *queue) wants(source, sender string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[source]
	return l == nil || q.fits(l, sender)
}

// ask is wants, for what is dropped when there is no room.
func (q *queue) ask(source, sender string) bool {
	if q.wants(source, sender) {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped++
	return false
}

// fits is for a sender who has less than another, when there is no room. One more and one
// less of equal shares would be no fairer.
func (q *queue) fits(l *line, sender string) bool {
	full := l.n >= q.max || q.bytes >= q.maxBytes && q.isLargest(l.bytes)
	return !full || l.most > len(l.lanes[sender])+1
}

// isLargest reports whether no line has more bytes.
func (q *queue) isLargest(bytes int64) bool {
	for _, l := range q.lines {
		if l.bytes > bytes {
			return false
		}
	}
	return true
}

// cost is what a request takes in memory, about.
func cost(r *Request) int64 { return int64(len(r.Body)) + 2<<10 }

// put has a request wait. One that is equal to one that waits makes that one count more.
func (q *queue) put(r *Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[r.Source]
	if l == nil {
		l = &line{tokens: rate.NewLimiter(q.rate, q.burst), lanes: make(map[string][]*Request), lengths: make(map[int]int)}
		q.lines[r.Source] = l
	}
	sender := r.sender()
	for _, waiting := range l.lanes[sender] {
		if waiting.Class == r.Class && waiting.Cause == r.Cause {
			waiting.Count += r.Count
			waiting.LastTime = r.LastTime
			return
		}
	}
	if !q.fits(l, sender) {
		q.dropped++
		return
	}
	if l.n == 0 {
		q.turn = append(q.turn, r.Source)
	}
	if len(l.lanes[sender]) == 0 {
		l.turn = append(l.turn, sender)
	}
	l.resized(len(l.lanes[sender]), len(l.lanes[sender])+1)
	l.lanes[sender] = append(l.lanes[sender], r)
	q.charge(l, 1, cost(r))
	if l.n > q.max {
		q.dropNewest(l)
	}
	for q.bytes > q.maxBytes {
		q.dropNewest(q.largest())
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) charge(l *line, n int, bytes int64) {
	l.n += n
	l.bytes += bytes
	q.bytes += bytes
}

// longest answers the sender who has the most in a line; of several the last in turn.
func (l *line) longest() string {
	var longest string
	for _, s := range l.turn {
		if len(l.lanes[s]) >= len(l.lanes[longest]) {
			longest = s
		}
	}
	return longest
}

func (q *queue) largest() *line {
	var largest *line
	for _, source := range q.turn {
		if l := q.lines[source]; largest == nil || l.bytes >= largest.bytes {
			largest = l
		}
	}
	return largest
}

// dropNewest takes from who has the most what came last.
func (q *queue) dropNewest(l *line) {
	sender := l.longest()
	lane := l.lanes[sender]
	q.remove(l, sender, len(lane)-1)
	q.dropped++
}

// remove takes a request out of a line.
func (q *queue) remove(l *line, sender string, i int) *Request {
	lane := l.lanes[sender]
	r := lane[i]
	q.charge(l, -1, -cost(r))
	l.resized(len(lane), len(lane)-1)
	if lane = slices.Delete(lane, i, i+1); len(lane) > 0 {
		l.lanes[sender] = lane
	} else {
		delete(l.lanes, sender)
		l.turn = slices.DeleteFunc(l.turn, func(s string) bool { return s == sender })
	}
	if l.n == 0 {
		q.turn = slices.DeleteFunc(q.turn, func(s string) bool { return s == r.Source })
	}
	return r
}

// take answers the request that is next; or nil and how long it is until one may be
// taken, 0 when none waits.
func (q *queue) take(now time.Time) (r *Request, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, source := range q.turn {
		l := q.lines[source]
		if !l.tokens.AllowN(now, 1) {
			continue
		}
		q.turn = append(slices.Delete(q.turn, i, i+1), source)
		sender := l.turn[0]
		l.turn = append(l.turn[1:], sender)
		return q.remove(l, sender, 0), 0
	}
	q.forget(now)
	if len(q.turn) == 0 {
		return nil, 0
	}
	return nil, time.Duration(float64(time.Second) / float64(q.rate))
}

// forget drops the lines of sources that have been silent for so long that a new one
// would be the same.
func (q *queue) forget(now time.Time) {
	for source, l := range q.lines {
		if l.n == 0 && l.tokens.TokensAt(now) >= float64(q.burst) {
			delete(q.lines, source)
		}
	}
}

func (q *queue) waiting() (n int, bytes, dropped int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lines {
		n += l.n
	}
	return n, q.bytes, q.dropped
}
