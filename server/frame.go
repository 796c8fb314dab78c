package server

import (
	"fmt"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
)

// response answers what to send for a frame: a batch of deliveries as the bytes
// that all streams share, anything else as a message.
func response(f hub.Frame) any {
	if f.Message == nil {
		return &wireFrame{batchHead(f), f.Deliveries}
	}
	out := &hookstreamv1.SubscribeResponse{Cursor: f.Cursor.String()}
	switch m := f.Message.(type) {
	case *hookstreamv1.Opened:
		out.Frame = &hookstreamv1.SubscribeResponse_Opened{Opened: m}
	case *hookstreamv1.Heartbeat:
		out.Frame = &hookstreamv1.SubscribeResponse_Heartbeat{Heartbeat: m}
	case *hookstreamv1.CaughtUp:
		out.Frame = &hookstreamv1.SubscribeResponse_CaughtUp{CaughtUp: m}
	case *hookstreamv1.FellBehind:
		out.Frame = &hookstreamv1.SubscribeResponse_FellBehind{FellBehind: m}
	case *hookstreamv1.Gap:
		out.Frame = &hookstreamv1.SubscribeResponse_Gap{Gap: m}
	case *hookstreamv1.Draining:
		out.Frame = &hookstreamv1.SubscribeResponse_Draining{Draining: m}
	default:
		panic(fmt.Sprintf("server: a frame of type %T", m))
	}
	return out
}

// batchHead answers the response up to where its deliveries begin: the cursor,
// and the head of the batch.
func batchHead(f hub.Frame) []byte {
	b := event.AppendResponseCursor(make([]byte, 0, event.ResponseHeadSize), f.Cursor)
	return event.AppendBatchHead(b, f.Deliveries.Len())
}
