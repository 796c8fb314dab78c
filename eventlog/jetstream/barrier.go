package jetstream

import "log/slog"

// A barrier makes what was written to one stream durable. It is called by one
// goroutine at a time.
//
// JetStream's own way to do this costs one fsync a message, in sequence. A
// barrier costs one for all that was written since the last, while the next
// group is being written.
type barrier interface {
	// sync returns when everything that JetStream had acknowledged before the
	// call is on disk. wrote is how many bytes of payload that was at least. An
	// error is final: the kernel may have dropped the pages.
	sync(wrote int64) error
	close()
}

// noBarrier is for streams whose acknowledgement is durable already (a
// cluster's quorum, sync always), or as durable as was asked for (relaxed).
type noBarrier struct{}

func (noBarrier) sync(int64) error { return nil }
func (noBarrier) close()           {}

// barrierMaker makes a barrier for the stream whose blocks lie in dir.
type barrierMaker func(dir string, logger *slog.Logger) (barrier, error)

// barrierFor answers the barrier of a stream that exists.
func (e *Engine) barrierFor(stream string, newOne barrierMaker) (barrier, error) {
	if e.node == nil || e.opts.Durability != DurabilitySync || !barrierSupported {
		return noBarrier{}, nil
	}
	return newOne(blocksDir(e.opts.Dir, stream), e.logger)
}
