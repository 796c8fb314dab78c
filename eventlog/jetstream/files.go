package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// files are those of an embedded log beside its streams.
type files struct {
	dir     string
	missing *missing // nil: external
	bounds  *mark    // nil: external, or not open
	started bool     // the server may have changed the streams
	// distrust: something was found that the next start must look at.
	distrust atomic.Bool
	unread   []unread // blocks that are looked at after the start, in turn
	// checked is, by stream, the block that was looked at last of these.
	checkedMu sync.Mutex
	checked   map[string]int
	told      sync.Map // of damage, so that it is once
}

// checkedWhole is up to which size a stream is read before a start that follows an
// orderly stop; of a larger one the rest is looked at afterwards.
var checkedWhole int64 = 1 << 30 // a test has a smaller one

// open looks through the data directory before the server does, which cuts a block
// off at the first record that it cannot read. What can be read is kept, what
// cannot is told; what must not be done without refuses the start.
func (f *files) open(o Options, logger *slog.Logger) (err error) {
	f.dir = o.Dir
	start := time.Now()
	check, err := checkDir(o.Dir, checkedWhole, nil)
	if err != nil {
		return err
	}
	if err := check.refusal(); err != nil {
		return err
	}
	if f.missing, err = openMissing(o.Dir); err != nil {
		return err
	}
	check.Missing = f.missing.news(check.Missing)
	if err := f.tellAndRepair(check, o.DedupWindow, logger); err != nil {
		return err
	}
	f.resumeTurns(check)
	logger.Debug("the data directory was checked", "clean", check.Clean, "partial", check.Partial, "took", time.Since(start))
	if f.bounds, err = openMark(o.Dir); err != nil {
		return err
	}
	f.started = true
	return markRunning(o.Dir)
}

// resumeTurns has the background check begin where it ended, so that it comes to all
// blocks however often the gateway is started.
func (f *files) resumeTurns(check *Check) {
	f.checked = make(map[string]int)
	if !check.Partial {
		return // all were looked at
	}
	for name, s := range check.before.Streams {
		f.checked[name] = s.Checked
	}
	for _, again := range []bool{false, true} {
		for _, u := range check.unread {
			if again == (u.number <= f.checked[u.stream.Name]) {
				f.unread = append(f.unread, u)
			}
		}
	}
}

// tellAndRepair tells of what is damaged, keeps in mind what is missing, and has the
// server find files that it can read.
func (f *files) tellAndRepair(check *Check, window time.Duration, logger *slog.Logger) error {
	if err := f.tell(check, window, logger); err != nil {
		return err
	}
	return check.repair()
}

// tell tells of what is damaged, and keeps in mind what is missing.
func (f *files) tell(check *Check, window time.Duration, logger *slog.Logger) error {
	for _, s := range check.Streams {
		for _, d := range s.Damage {
			if _, again := f.told.LoadOrStore(d, true); again {
				continue
			}
			logger.Error("the data directory is damaged; what can be read is kept, and a copy of the file lies in "+filepath.Join(check.Dir, dirDamaged),
				"stream", s.Name, "file", d.File, "what", d.What, "offset", d.Offset, "bytes", d.Length, "after", d.After, "before", d.Before)
		}
	}
	news, err := f.missing.add(check.Missing, time.Now().Add(-window))
	if err != nil {
		return err
	}
	for _, m := range news {
		logger.Error("the log has lost events; who reads there is told of a gap, and who sends them again is heard", "from", m.From, "to", m.To, "events", m.Events())
	}
	return nil
}

// knows reports whether all of some damage was told.
func (f *files) knows(some []Damage) bool {
	return !slices.ContainsFunc(some, func(d Damage) bool { _, told := f.told.Load(d); return !told })
}

// noteFirst is told where the log begins.
func (e *Engine) noteFirst(seq uint64, at time.Time) {
	if e.files.bounds == nil || seq == 0 {
		return
	}
	keeps := int64(math.MaxInt64)
	switch {
	case e.opts.MaxBytes > 0 || e.opts.MaxEvents > 0:
		keeps = 0
	case e.opts.MaxAge > 0:
		keeps = at.Add(e.opts.MaxAge).UnixNano()
	}
	e.files.bounds.setFirst(seq, keeps)
}

// close says how things stand, when the server has stopped and all is well.
func (f *files) close(well bool) error {
	err := f.bounds.close()
	if !f.started || !well || f.distrust.Load() {
		return err
	}
	if mark := markStopped(f.dir, f.checked); mark != nil {
		err = errors.Join(err, fmt.Errorf("mark the orderly stop: %w", mark))
	}
	return err
}

// Missing answers how many events the log has lost: events that retention did not
// drop and that are not there. They are counted for as long as their keys would be
// remembered.
func (e *Engine) Missing() uint64 { return e.files.missing.count() }

// MissingRuns answers which they are.
func (e *Engine) MissingRuns() []eventlog.Missing {
	if e.files.missing == nil {
		return nil
	}
	return e.files.missing.all()
}
