package eventlog

// BarrierMissed answers how often in a row the log's barrier was surprised.
func BarrierMissed(e *Engine) int { return e.events.commit.barrier.(*blockBarrier).missed }

// OnSynced calls fn whenever a block of the log is known to be on disk up to a
// size. To be set before anything is appended.
func OnSynced(e *Engine, fn func(block int, size int64)) {
	e.events.commit.barrier.(*blockBarrier).onSynced = fn
}
