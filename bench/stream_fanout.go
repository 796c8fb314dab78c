package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/bench/baseline"
	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// The baselines of the way out.
const (
	grpcSend           = "grpc-send"
	grpcFramed         = "grpc-framed"
	grpcNaive          = "grpc-naive"
	jetStream          = "jetstream"
	jetStreamAck       = "jetstream-ack"
	jetStreamDoubleAck = "jetstream-double-ack"
)

// fanoutEvents fit into the ring, with what was made of them in one view,
// whatever the view.
const fanoutEvents = 5000

// decodedStreams are also measured with clients that decode what they receive, as
// real ones do: on one machine those are the limit then.
const decodedStreams = 100

// A fanout is the way out alone: events that the gateway has in memory, read by
// streams from the oldest to the newest again and again, beside servers that have
// the same events in theirs.
type fanout struct {
	streams int64
	view    hookstreamv1.EventView
}

func fanoutScenarios() (all []Scenario) {
	for _, streams := range []int64{1, 10, 100, 1000} {
		for _, view := range streamViews {
			f := fanout{streams, view}
			all = append(all, Scenario{
				Name:    fmt.Sprintf("fanout/%d/%s", streams, viewName(view)),
				About:   fmt.Sprintf("%d streams read events that are in memory as fast as they can; view %s", streams, viewName(view)),
				Measure: f.measure,
			})
		}
	}
	return all
}

func (f fanout) measure(ctx context.Context, b *Bench) (Result, error) {
	g, err := b.startStreamGateway(ctx)
	if err != nil {
		return Result{}, err
	}
	c := Contest{Subject: f.contender("gateway", g.server(load.Frames, history(f.view)))}
	if c.Baselines, err = f.baselines(ctx, b, g); err != nil {
		return Result{}, err
	}
	if f.streams >= 100 {
		c.Targets = f.targets()
	}
	reads, err := logReads(ctx, g.Gateway)
	if err != nil {
		return Result{}, err
	}
	r, err := b.Hold(ctx, c)
	if err != nil {
		return r, err
	}
	if f.streams >= 100 {
		r.Figures = append(r.Figures, cpuOfADelivery(r))
	}
	r.Notes = append(r.Notes, grpcFramed+" is the limit: bytes that were framed before anybody asked, and nothing else done")
	after, err := logReads(ctx, g.Gateway)
	if err == nil && after != reads {
		err = errors.New("bench: streams read the log, which is not what is measured")
	}
	return r, err
}

// targets are for deliveries of about 1 KB, for which they were set: a FULL one of
// such an event has 2 KB, the body and what is typed of it. There, bytes framed in
// advance reach 3 to 3.6 times plain Send, and they are what is aimed at.
func (f fanout) targets() map[string]float64 {
	if f.view == hookstreamv1.EventView_EVENT_VIEW_FULL {
		return map[string]float64{grpcFramed: 0.8}
	}
	return map[string]float64{grpcSend: 3.5}
}

func cpuOfADelivery(r Result) Figure {
	return Figure{Name: "CPU of the gateway for a delivery", Value: r.Rows[0].CPU, Unit: "us", Target: AtMost(0.75)}
}

// baselines post the events and start servers that send what the gateway sends of
// them.
func (f fanout) baselines(ctx context.Context, b *Bench, g streamGateway) ([]Contender, error) {
	if _, err := postAll(ctx, g.sender.batch(g.Ingress, g.path, b.some(fanoutEvents))); err != nil {
		return nil, err
	}
	batch, err := g.deliveries(ctx, f.view)
	if err != nil {
		return nil, err
	}
	file := b.Path("deliveries")
	if err := baseline.WriteDeliveries(file, batch); err != nil {
		return nil, err
	}
	send, sendAt, err := b.StartBaseline(ctx, grpcSend, file)
	if err != nil {
		return nil, err
	}
	framed, framedAt, err := b.StartBaseline(ctx, grpcFramed, file)
	if err != nil {
		return nil, err
	}
	all := new(hookstreamv1.SubscribeRequest)
	contenders := []Contender{
		f.contender(grpcSend, streamServer{sendAt.GRPC, send, load.Plain, all}),
		f.contender(grpcFramed, streamServer{framedAt.GRPC, framed, load.Frames, all}),
	}
	if f.streams == decodedStreams {
		contenders = append(contenders, f.contender("gateway, clients decode", g.server(load.Decoded, history(f.view))))
	}
	return contenders, nil
}

func (f fanout) contender(name string, s streamServer) Contender {
	return Contender{Name: name, Process: s.process, Round: func(ctx context.Context, span time.Duration) (Sample, error) {
		return s.steady(ctx, f.streams, span/2) // which is some hundred thousand deliveries at least
	}}
}

// logReads is how often the gateway has read its log for streams.
func logReads(ctx context.Context, g *Gateway) (float64, error) {
	now, err := scrape(ctx, g.HTTP)
	if err != nil {
		return 0, err
	}
	v, err := now.need("hookstream_log_reads_total")
	if err != nil {
		return 0, err
	}
	return v[0], nil
}
