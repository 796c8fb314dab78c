package baseline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// ServeNaive is a gateway of an afternoon: what is posted is handed to every
// stream that is open, and answered with 200. Nothing is verified and nothing is
// kept. It ends with ctx.
func ServeNaive(ctx context.Context, posts, streams net.Listener) error {
	n := &naive{open: make(map[chan *hookstreamv1.Delivery]struct{})}
	srv := &http.Server{Handler: http.HandlerFunc(n.receive), ReadHeaderTimeout: 10 * time.Second}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return serveGRPC(ctx, streams, plainService(n.send)) })
	work.Go(func() error {
		stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
		defer stop()
		if err := srv.Serve(posts); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("baseline: %w", err)
		}
		return nil
	})
	return work.Wait()
}

type naive struct {
	mu   sync.Mutex
	seq  uint64
	open map[chan *hookstreamv1.Delivery]struct{}
}

// naiveQueue is how far a stream may fall behind before it holds up the senders.
const naiveQueue = 256

func (n *naive) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	n.publish(&hookstreamv1.Event{
		Source: "sources/naive", Provider: "anybody", Topic: "signature_request", Action: "done", Type: "signature_request.done",
		ReceiveTime: timestamppb.Now(),
		Raw:         &hookstreamv1.RawRequest{Body: body, ContentType: r.Header.Get("Content-Type")},
	})
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}"))
}

// publish holds the lock while it waits, so that all streams see one order.
func (n *naive) publish(e *hookstreamv1.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seq++
	e.Name = event.Name(1, n.seq)
	d := &hookstreamv1.Delivery{Cursor: event.Cursor{Incarnation: 1, Seq: n.seq, Time: e.GetReceiveTime().AsTime()}.String(), Event: e}
	for c := range n.open {
		c <- d
	}
}

func (n *naive) send(stream grpc.ServerStream) error {
	events := make(chan *hookstreamv1.Delivery, naiveQueue)
	n.mu.Lock()
	n.open[events] = struct{}{}
	n.mu.Unlock()
	defer n.leave(events)
	// Whoever opened the stream must know that it is open before it posts.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case d := <-events:
			if err := stream.SendMsg(d); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

// leave takes what is still sent to a stream that is gone, until nobody sends.
func (n *naive) leave(events chan *hookstreamv1.Delivery) {
	gone := make(chan struct{})
	go func() {
		for {
			select {
			case <-events:
			case <-gone:
				return
			}
		}
	}()
	n.mu.Lock()
	delete(n.open, events)
	n.mu.Unlock()
	close(gone)
}
