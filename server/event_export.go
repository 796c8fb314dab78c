package server

import (
	"context"
	"crypto/sha256"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
)

// exportVersion is that of the lines of an export.
const exportVersion = 1

// ExportEvents streams events as they are kept.
func (s *EventService) ExportEvents(req *hookstreamv1.ExportEventsRequest, stream grpc.ServerStreamingServer[hookstreamv1.ExportEventsResponse]) error {
	ctx := stream.Context()
	x := &export{hub: s.hub, req: req, send: stream.Send, end: new(hookstreamv1.ExportEnd)}
	if err := x.begin(ctx, s.version); err != nil {
		return err
	}
	s.logger.InfoContext(ctx, "an export began", "filter", req.GetFilter() != "", "log_events", x.run.Events(),
		"include_withheld", req.GetIncludeWithheld())
	if err := x.run.Each(ctx, x.look); err != nil {
		return err
	}
	s.logger.InfoContext(ctx, "an export ended", "events", x.end.Events, "missed", x.end.MissedEvents)
	return x.line(&hookstreamv1.ExportEventsResponse{Line: &hookstreamv1.ExportEventsResponse_End{End: x.end}})
}

// export is one that is under way.
type export struct {
	hub    *hub.Hub
	req    *hookstreamv1.ExportEventsRequest
	send   func(*hookstreamv1.ExportEventsResponse) error
	filter *history.Filter
	run    *hub.Run
	cursor event.Cursor
	end    *hookstreamv1.ExportEnd
}

// begin reads what is asked for, and says so.
func (x *export) begin(ctx context.Context, version string) (err error) {
	if err := check(x.req).err(); err != nil {
		return err
	}
	now := time.Now()
	if x.filter, err = history.ParseFilter(x.req.GetFilter(), now, x.hub.Incarnation()); err != nil {
		return badFilter(err)
	}
	if err := x.filter.Locate(ctx, x.hub.Position); err != nil {
		return err
	}
	var after *event.Cursor
	if text := x.req.GetAfterCursor(); text != "" {
		c, err := event.ParseCursor(text)
		if err != nil {
			return err
		}
		after = &c
	}
	if x.run, err = x.hub.RunAfter(ctx, after); err != nil {
		return err
	}
	if x.cursor, err = x.run.Cursor(ctx); err != nil {
		return err
	}
	return x.line(&hookstreamv1.ExportEventsResponse{Line: &hookstreamv1.ExportEventsResponse_Start{Start: &hookstreamv1.ExportStart{
		StartTime: timestamppb.New(now), GatewayVersion: version,
		Filter: x.req.GetFilter(), AfterCursor: x.req.GetAfterCursor(), LogEvents: int64(x.run.Events()),
	}}})
}

func (x *export) line(m *hookstreamv1.ExportEventsResponse) error {
	m.Version, m.Cursor = exportVersion, x.cursor.String()
	return x.send(m)
}

// look sends an event if it is as asked, and tells of a hole.
func (x *export) look(k hub.Kept) error {
	x.cursor = k.Cursor
	if k.Missed > 0 {
		x.end.MissedEvents += int64(k.Missed)
		return x.line(&hookstreamv1.ExportEventsResponse{Line: &hookstreamv1.ExportEventsResponse_Gap{
			Gap: &hookstreamv1.ExportGap{MissedEvents: int64(k.Missed)},
		}})
	}
	row, ok := history.RowOf(k.Record)
	if !ok || !x.filter.Match(row) {
		return nil
	}
	if !x.req.GetIncludeWithheld() && !x.hub.Includes(row.Source) {
		return errExportWithheld(row.Source)
	}
	e, err := event.Decode(x.hub.Incarnation(), k.Record)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(e.GetRaw().GetBody())
	x.end.Events++
	x.end.BodyBytes += int64(len(e.GetRaw().GetBody()))
	return x.line(&hookstreamv1.ExportEventsResponse{Line: &hookstreamv1.ExportEventsResponse_Event{Event: &hookstreamv1.ExportedEvent{
		Event: e, PublishTime: timestamppb.New(k.Record.Time), BodySha256: sum[:], RepetitionMarks: k.Record.Marks,
	}}})
}

func errExportWithheld(source string) error {
	return statusError(codes.FailedPrecondition, hookstreamv1.ErrorReason_ERROR_REASON_SENSITIVE_FIELDS_WITHHELD,
		source+" does not include sensitive fields, and an export shows bodies: ask for it with include_withheld, or leave the source out")
}
