package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Subscribers open event streams over a few connections, as the instances of a
// few services would.
type Subscribers struct {
	conns []*grpc.ClientConn
	next  atomic.Int64

	mu      sync.Mutex
	streams []*Stream
}

// subscriberConnections is how many connections many streams share.
const subscriberConnections = 16

// NewSubscribers prepares connections for n streams to a server at addr:
// host:port, without TLS. Close must be called.
func NewSubscribers(addr string, n int) (*Subscribers, error) {
	s := &Subscribers{conns: make([]*grpc.ClientConn, min(max(n, 1), subscriberConnections))}
	for i := range s.conns {
		conn, err := grpc.NewClient(addr,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			// What the documentation tells consumers of many events to do.
			grpc.WithInitialWindowSize(1<<20),
			grpc.WithInitialConnWindowSize(8<<20),
			grpc.WithReadBufferSize(128<<10),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newCodec())),
		)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load: connect to %s: %w", addr, err), s.Close())
		}
		s.conns[i] = conn
	}
	return s, nil
}

// Close ends all streams.
func (s *Subscribers) Close() error {
	var errs []error
	for _, conn := range s.conns {
		if conn != nil {
			errs = append(errs, conn.Close())
		}
	}
	return errors.Join(errs...)
}

// Open begins a stream, which ends with ctx. Its connection is the next in turn.
func (s *Subscribers) Open(ctx context.Context, shape Shape, req *hookstreamv1.SubscribeRequest) (*Stream, error) {
	st := &Stream{conn: s.conns[int(s.next.Add(1))%len(s.conns)], shape: shape, req: req}
	if err := st.open(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.streams = append(s.streams, st)
	s.mu.Unlock()
	return st, nil
}

// Tally answers what all streams have received so far. It may be called while
// they receive.
func (s *Subscribers) Tally() Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum Tally
	for _, st := range s.streams {
		sum.add(st.Tally())
	}
	return sum
}

// Flowing answers how many streams have received events.
func (s *Subscribers) Flowing() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		if st.deliveries.Load() > 0 {
			n++
		}
	}
	return n
}

// A Tally is what was received.
type Tally struct {
	// Deliveries are events, DeliveryBytes what they have on the wire: each a
	// hookstream.v1.Delivery.
	Deliveries, DeliveryBytes int64
	// Messages are gRPC messages of any kind, Bytes what they have in all.
	Messages, Bytes int64
	// Missed are sequences that a stream passed over, which a stream of all
	// events must not; Repeated those that did not come after the one before,
	// which no stream must see.
	Missed, Repeated int64
}

func (t *Tally) add(o Tally) {
	t.Deliveries += o.Deliveries
	t.DeliveryBytes += o.DeliveryBytes
	t.Messages += o.Messages
	t.Bytes += o.Bytes
	t.Missed += o.Missed
	t.Repeated += o.Repeated
}

// Minus answers what came since an earlier tally.
func (t Tally) Minus(before Tally) Tally {
	return Tally{
		Deliveries: t.Deliveries - before.Deliveries, DeliveryBytes: t.DeliveryBytes - before.DeliveryBytes,
		Messages: t.Messages - before.Messages, Bytes: t.Bytes - before.Bytes,
		Missed: t.Missed - before.Missed, Repeated: t.Repeated - before.Repeated,
	}
}

// A Stream is one subscriber. One goroutine receives.
type Stream struct {
	conn   *grpc.ClientConn
	shape  Shape
	req    *hookstreamv1.SubscribeRequest
	stream grpc.ClientStream
	seq    uint64 // of the delivery before; 0: none yet
	hand   Hand   // of the last message, when the shape is Handed

	deliveries, deliveryBytes, messages, bytes, missed, repeated atomic.Int64
}

func (s *Stream) open(ctx context.Context) (err error) {
	s.seq = 0
	s.stream, err = s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, s.shape.method)
	if err != nil {
		return fmt.Errorf("load: subscribe: %w", err)
	}
	// The server's own reason comes with the first message; io.EOF only says that
	// there is one.
	if err := errors.Join(s.stream.SendMsg(s.req), s.stream.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("load: subscribe: %w", err)
	}
	return nil
}

// Opened waits until the server has begun to answer. What is published from then
// on, a stream of live events will receive.
func (s *Stream) Opened() error {
	if _, err := s.stream.Header(); err != nil {
		return fmt.Errorf("load: subscribe: %w", err)
	}
	return nil
}

// Next receives a message. It answers io.EOF when the server has ended the
// stream well.
func (s *Stream) Next() error { return s.stream.RecvMsg(s) }

// Drain receives until the stream has ended well.
func (s *Stream) Drain() error {
	for {
		switch err := s.Next(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("load: receive: %w", err)
		}
	}
}

// Until receives until n deliveries have come in all.
func (s *Stream) Until(n int64) error {
	for s.deliveries.Load() < n {
		if err := s.Next(); err != nil {
			return fmt.Errorf("load: receive: %d of %d deliveries: %w", s.deliveries.Load(), n, err)
		}
	}
	return nil
}

// Repeat asks for the same events again and again until ctx ends, which is no
// error. It is one that there are none.
func (s *Stream) Repeat(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.again(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// again receives all events, and asks for them once more.
func (s *Stream) again(ctx context.Context) error {
	before := s.deliveries.Load()
	if err := s.Drain(); err != nil {
		return err
	}
	if s.deliveries.Load() == before {
		return errors.New("load: the server has no events")
	}
	return s.open(ctx)
}

// Tally answers what the stream has received so far. It may be called while it
// receives.
func (s *Stream) Tally() Tally {
	return Tally{
		Deliveries: s.deliveries.Load(), DeliveryBytes: s.deliveryBytes.Load(),
		Messages: s.messages.Load(), Bytes: s.bytes.Load(),
		Missed: s.missed.Load(), Repeated: s.repeated.Load(),
	}
}

func (s *Stream) message(data mem.BufferSlice) {
	s.messages.Add(1)
	s.bytes.Add(int64(data.Len()))
}

func (s *Stream) count(bytes int, seq uint64) {
	s.deliveries.Add(1)
	s.deliveryBytes.Add(int64(bytes))
	switch {
	case s.seq == 0 || seq == s.seq+1:
	case seq <= s.seq:
		s.repeated.Add(1)
	default:
		s.missed.Add(int64(seq - s.seq - 1))
	}
	s.seq = max(s.seq, seq)
}
