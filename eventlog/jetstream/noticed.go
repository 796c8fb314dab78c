package jetstream

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/hookstream/hookstream/eventlog"

	"github.com/hookstream/hookstream/event"
)

// What readers of an embedded log do not find is looked into at once, and not only
// when the background check comes there, or the next start.

// noticing is how many holes wait to be looked into; others are noticed again by who
// reads there next.
const noticing = 16

// mindHoles notices what lies between records, the first of which should have been
// next, and is not known to be lost.
func (s *stream) mindHoles(next uint64, recs []event.Record) {
	if s.e.node == nil {
		return
	}
	for _, r := range recs {
		if r.Seq > next {
			s.mindHole(eventlog.Missing{From: next, To: r.Seq - 1})
		}
		next = r.Seq + 1
	}
}

func (s *stream) mindHole(h eventlog.Missing) {
	if len(s.e.files.missing.news([]eventlog.Missing{h})) == 0 {
		return
	}
	select {
	case s.e.noticed <- h:
	default:
	}
}

// lookIntoHoles looks into what readers notice.
func (e *Engine) lookIntoHoles() {
	told := make(map[eventlog.Missing]bool)
	for {
		select {
		case h := <-e.noticed:
			if err := e.lookInto(h, told); err != nil && e.ctx.Err() == nil {
				e.logger.Warn("a hole of the log cannot be looked into; it is again when somebody reads there", "from", h.From, "to", h.To, "err", err)
			}
		case <-e.ctx.Done():
			return
		}
	}
}

// lookInto finds out why there are no records: retention took them, or their block is
// damaged, which is told as by the background check. What is lost without a trace is
// told too, and what JetStream does not find though it is there.
func (e *Engine) lookInto(h eventlog.Missing, told map[eventlog.Missing]bool) error {
	unknown, err := e.unknownHole(h)
	if err != nil || len(unknown) == 0 {
		return err
	}
	s := &StreamCheck{Name: StreamEvents, dir: filepath.Join(streamsDir(e.opts.Dir), StreamEvents)}
	blocks, err := s.blocksOf(h)
	if err != nil {
		return err
	}
	for _, u := range blocks {
		if _, err := e.checkLater(u); err != nil {
			return err
		}
	}
	if unknown, err = e.unknownHole(h); err != nil {
		return err
	}
	for _, part := range unknown {
		if err := e.lostWithoutTrace(s, blocks, part, told); err != nil {
			return err
		}
	}
	return nil
}

// unknownHole answers what of a hole retention did not take, and is not known to be
// lost.
func (e *Engine) unknownHole(h eventlog.Missing) ([]eventlog.Missing, error) {
	b, err := e.events.ends(e.ctx)
	if err != nil {
		return nil, err
	}
	return e.files.missing.news(since([]eventlog.Missing{h}, b.First)), nil
}

// blocksOf answers the blocks that records would lie in.
func (s *StreamCheck) blocksOf(h eventlog.Missing) (out []unread, err error) {
	msgs := filepath.Join(s.dir, natsBlocks)
	numbers, err := listBlocks(msgs)
	if err != nil {
		return nil, err
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		first, err := firstInBlock(blockPath(msgs, n))
		if err != nil {
			return nil, err
		}
		if first > h.To {
			break
		}
		u := unread{stream: s, number: n, newest: i == len(numbers)-1}
		if first <= h.From { // those before end before it
			out = out[:0]
		}
		out = append(out, u)
	}
	return out, nil
}

// lostWithoutTrace tells of records that are not there, though no block is damaged.
func (e *Engine) lostWithoutTrace(s *StreamCheck, blocks []unread, h eventlog.Missing, told map[eventlog.Missing]bool) error {
	recs, err := e.events.get(e.ctx, directGet{Seq: h.From, Batch: 1, NextFor: ">"})
	if err != nil || len(recs) == 0 || recs[0].Seq <= h.From {
		return err
	}
	h.To, h.Noticed = min(h.To, recs[0].Seq-1), time.Now().UTC()
	c := &Check{Dir: e.opts.Dir, before: &stopped{}}
	there := &StreamCheck{Name: s.Name, dir: s.dir}
	for _, u := range blocks {
		if err := there.checkBlock(c, u.number, true); err != nil {
			return err
		}
	}
	if !overlaps(there.known(), h) {
		c.Missing = []eventlog.Missing{h}
		return e.files.tell(c, e.opts.DedupWindow, e.logger)
	}
	e.files.distrust.Store(true)
	if h.Noticed = (time.Time{}); !told[h] {
		told[h] = true
		e.logger.Error("events of the log are in its files and cannot be read; they can be again after a restart", "from", h.From, "to", h.To)
	}
	return nil
}

func overlaps(runs []run, h eventlog.Missing) bool {
	return slices.ContainsFunc(runs, func(r run) bool { return r.first <= h.To && h.From <= r.last })
}
