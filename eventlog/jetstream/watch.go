package jetstream

import (
	"context"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// lookEvery is how often the engine looks after itself.
const lookEvery = time.Second

// sweepEvery is how often the index forgets.
const sweepEvery = time.Hour

// watch keeps what is told about the engine true: health, room on the disk, the
// number of undecided rows.
func (e *Engine) watch() {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	e.look()
	for {
		select {
		case <-look.C:
			e.look()
		case <-sweep.C:
			if n, err := e.index.Sweep(time.Now()); err != nil {
				e.logger.Error("index", "err", err)
			} else if n > 0 {
				e.logger.Debug("index forgot", "entries", n)
			}
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) look() {
	timeout := RequestTimeout
	if e.node == nil {
		timeout = answerTime
	}
	ctx, cancel := context.WithTimeout(e.ctx, timeout)
	defer cancel()
	err := e.inbox.look(ctx)
	switch {
	case e.node == nil && e.clusterHealth() == nil:
		err = nil // a question that was lost says nothing of the next entry
	case e.node == nil:
		err = e.clusterHealth()
	case err == nil:
		_, err = e.events.ends(ctx)
	}
	if stuck := e.tailing.Load(); err == nil && stuck != nil {
		err = fmt.Errorf("%w: what is kept is not shown: %w", eventlog.ErrUnavailable, *stuck)
	}
	if err == nil {
		err = e.lookAtDisk()
	}
	if e.ctx.Err() != nil {
		return
	}
	e.report(err)
}

// lookAtDisk refuses entries before the disk is full: JetStream does not
// recover from a write that failed until it is started again.
func (e *Engine) lookAtDisk() error {
	if e.node == nil || e.opts.MinFreeBytes == 0 {
		return nil
	}
	free, err := freeBytes(streamsDir(e.opts.Dir))
	if err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	full := free < e.opts.MinFreeBytes
	if e.events.full.Swap(full) != full {
		e.logger.Warn("room on the disk", "full", full, "free_bytes", free, "min_free_bytes", e.opts.MinFreeBytes)
	}
	if full {
		return fmt.Errorf("%w: %d bytes left on the file system", eventlog.ErrFull, free)
	}
	return nil
}

// report keeps the last health unless the engine has failed for good.
func (e *Engine) report(err error) {
	if e.failed.Load() {
		return
	}
	old := e.health.Load()
	switch {
	case err == nil && old == nil:
		return
	case err == nil:
		e.logger.Info("the log is well again")
		e.health.CompareAndSwap(old, nil)
		return
	case old == nil, silent(*old) && !silent(err): // now there is a word for it
		e.logger.Error("the log is not well", "err", err)
	}
	e.health.CompareAndSwap(old, &err)
}
