package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func perSecond(n int64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

// perDelivery is in microseconds.
func perDelivery(cpu time.Duration, n int64) float64 {
	return float64(cpu.Nanoseconds()) / 1e3 / float64(max(1, n))
}

// exact refuses what no stream of all events must see.
func exact(t load.Tally) error {
	if t.Missed != 0 || t.Repeated != 0 {
		return fmt.Errorf("bench: streams missed %d events and saw %d twice or out of order", t.Missed, t.Repeated)
	}
	return nil
}

// A streamServer is what streams are opened at.
type streamServer struct {
	addr    string
	process *Process // whose CPU is counted
	shape   load.Shape
	req     *hookstreamv1.SubscribeRequest
}

// server is the gateway, asked for req.
func (g *Gateway) server(shape load.Shape, req *hookstreamv1.SubscribeRequest) streamServer {
	return streamServer{addr: g.GRPC, process: g.Process, shape: shape, req: req}
}

// streamSample is what streams received in a time, and what that cost.
func streamSample(t load.Tally, took, cpu time.Duration) Sample {
	return Sample{Events: t.Deliveries, Took: took, CPU: cpu, Figures: []Figure{
		{Name: "size of a delivery", Value: share(float64(t.DeliveryBytes), float64(t.Deliveries)), Unit: "bytes"},
		{Name: "deliveries in a message", Value: share(float64(t.Deliveries), float64(t.Messages))},
	}}
}

// open opens n streams and lets each receive until it has what it wants.
func (s streamServer) open(ctx context.Context, work *errgroup.Group, subs *load.Subscribers, n int64, receive func(*load.Stream) error) error {
	for range n {
		st, err := subs.Open(ctx, s.shape, s.req)
		if err != nil {
			return err
		}
		work.Go(func() error { return receive(st) })
	}
	return nil
}

// steady opens n streams, which receive the same events again and again, and
// answers what they received in span once all of them flow.
func (s streamServer) steady(ctx context.Context, n int64, span time.Duration) (Sample, error) {
	subs, err := load.NewSubscribers(s.addr, int(n))
	if err != nil {
		return Sample{}, err
	}
	defer func() { _ = subs.Close() }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work, ctx := errgroup.WithContext(ctx)
	var tally load.Tally
	var sample Sample
	err = s.open(ctx, work, subs, n, func(st *load.Stream) error { return st.Repeat(ctx) })
	if err == nil {
		tally, sample, err = s.watch(ctx, subs, int(n), span)
	}
	stop()
	if failed := work.Wait(); failed != nil {
		return sample, failed // the reason why the watch was cut short
	}
	return sample, errors.Join(err, exact(tally))
}

// patience is how long streams may take until all of them flow.
const patience = time.Minute

// watch waits until all n streams flow, and for a tenth of the span, and answers
// what comes in the span after that.
func (s streamServer) watch(ctx context.Context, subs *load.Subscribers, n int, span time.Duration) (load.Tally, Sample, error) {
	for begin, first := time.Now(), true; first || subs.Flowing() < n; first = false {
		if time.Since(begin) > patience {
			return load.Tally{}, Sample{}, fmt.Errorf("bench: %d of %d streams receive something", subs.Flowing(), n)
		}
		if err := pause(ctx, max(span/10, 50*time.Millisecond)); err != nil {
			return load.Tally{}, Sample{}, err
		}
	}
	before, begin, cpu := subs.Tally(), time.Now(), stopCPU(s.process)
	err := pause(ctx, span)
	t := subs.Tally().Minus(before)
	return t, streamSample(t, time.Since(begin), cpu()), err
}

// once opens n streams, lets each receive all that it wants, and answers what they
// received.
func (s streamServer) once(ctx context.Context, n int64, receive func(*load.Stream) error) (load.Tally, Sample, error) {
	subs, err := load.NewSubscribers(s.addr, int(n))
	if err != nil {
		return load.Tally{}, Sample{}, err
	}
	defer func() { _ = subs.Close() }()
	begin, cpu := time.Now(), stopCPU(s.process)
	work, ctx := errgroup.WithContext(ctx)
	err = s.open(ctx, work, subs, n, receive)
	err = errors.Join(work.Wait(), err)
	t := subs.Tally()
	return t, streamSample(t, time.Since(begin), cpu()), err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
