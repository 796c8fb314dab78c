package eventlog

// BarrierMissed answers how often in a row the log's barrier was surprised.
func BarrierMissed(e *Engine) int { return e.events.commit.barrier.(*blockBarrier).missed }
