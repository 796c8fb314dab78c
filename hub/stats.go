package hub

// Stats are figures for an operator. The counts only grow.
type Stats struct {
	// Streams are open now.
	Streams int
	// MaxLag is how many events of the log the slowest open stream has still to
	// look at.
	MaxLag int64

	// Deliveries and DeliveredBytes count the events sent, and their encoded
	// size; Frames the responses of any kind.
	Deliveries, DeliveredBytes, Frames int64
	// FellBehind counts streams that were too slow for the ring; Gaps those that
	// lost events to retention.
	FellBehind, Gaps int64
	// LogReads counts reads of the log for streams that are behind the ring.
	LogReads int64
	// FilterFailures counts evaluations that failed, DecodeFailures bodies that
	// broke a decoder, BrokenRecords records of the log that are not events.
	FilterFailures, DecodeFailures, BrokenRecords int64

	// RingFirst and RingNext are the positions that the ring holds, RingBytes
	// and ChunkBytes what is in memory.
	RingFirst, RingNext   uint64
	RingBytes, ChunkBytes int64
}

// Stats answers the present figures.
func (h *Hub) Stats() Stats {
	s := Stats{
		Deliveries: h.deliveries.Load(), DeliveredBytes: h.deliveredBytes.Load(), Frames: h.frames.Load(),
		FellBehind: h.fellBehind.Load(), Gaps: h.gaps.Load(), LogReads: h.chunks.reads.Load(),
		FilterFailures: h.filterFailures.Load(), DecodeFailures: h.decodeFailures.Load(), BrokenRecords: h.broken.Load(),
		RingBytes: h.ring.used.Load(), ChunkBytes: h.chunks.used.Load(),
	}
	s.RingFirst, s.RingNext = h.ring.span()
	s.Streams, s.MaxLag = h.streams.lag(s.RingNext)
	return s
}
