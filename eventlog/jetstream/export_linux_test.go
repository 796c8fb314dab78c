package jetstream

import (
	"context"

	"github.com/hookstream/hookstream/event"
)

// ErrLayout is errLayout.
var ErrLayout = errLayout

// ScanBlocks is Scan without JetStream to turn to.
func ScanBlocks(ctx context.Context, e *Engine, seq uint64, fn func([]event.Record) error) (next uint64, err error) {
	return e.events.scanBlocks(ctx, seq, fn)
}

// Blocks answers where the files of the log lie.
func Blocks(e *Engine) string { return e.events.local.blocks }

// SetBlocks has them looked for elsewhere.
func SetBlocks(e *Engine, dir string) { e.events.local.blocks = dir }

// BarrierMissed answers how often in a row the log's barrier was surprised.
func BarrierMissed(e *Engine) int { return e.events.commit.barrier.(*blockBarrier).missed }

// OnSynced calls fn whenever a block of the log is known to be on disk up to a
// size. To be set before anything is appended.
func OnSynced(e *Engine, fn func(block int, size int64)) {
	e.events.commit.barrier.(*blockBarrier).onSynced = fn
}
