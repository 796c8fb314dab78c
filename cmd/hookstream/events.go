package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// eventsCommand groups what looks at single events. `tail` follows them.
type eventsCommand struct {
	Get   eventGetCommand   `cmd:"" help:"Show one event."`
	Show  eventShowCommand  `cmd:"" help:"Show what has become of one event, with each subscription."`
	List  eventListCommand  `cmd:"" help:"List events that were published, the newest first."`
	Count eventCountCommand `cmd:"" help:"Count events by hour and by how their origin was proved."`

	Export eventExportCommand `cmd:"" help:"Write events as they are kept, bodies included, to standard output."`
	Replay eventReplayCommand `cmd:"" help:"Hand events out again, to the consumers of one subscription."`
}

type eventGetCommand struct {
	connection
	output
	Name string `arg:"" help:"The event's name: events/… or what follows the slash."`
	View string `help:"How much of the event to get: metadata, typed, raw, full." enum:"metadata,typed,raw,full" default:"typed" placeholder:"VIEW"`
	Raw  bool   `name:"raw-body" help:"Print nothing but the body as it arrived, byte for byte. Needs a source that includes sensitive fields."`
}

// Run shows an event.
func (c *eventGetCommand) Run(ctx context.Context, p *program) error {
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		e, err := hookstreamv1.NewEventServiceClient(conn).GetEvent(ctx, c.request())
		if err != nil {
			return err
		}
		switch {
		case c.Raw:
			_, err = p.stdout.Write(e.GetRaw().GetBody())
		case c.forProgram():
			err = c.write(p.stdout, e)
		default:
			err = p.printEvent(e)
		}
		return err
	})
}

func (c *eventGetCommand) request() *hookstreamv1.GetEventRequest {
	view := views[c.View]
	if c.Raw {
		view = hookstreamv1.EventView_EVENT_VIEW_RAW
	}
	return &hookstreamv1.GetEventRequest{Name: "events/" + strings.TrimPrefix(c.Name, "events/"), View: view}
}

// printEvent shows an event to people: its fields, then its content.
func (p *program) printEvent(e *hookstreamv1.Event) error {
	err := writeProperties(p.stdout,
		property{"name", e.GetName()},
		property{"type", e.GetType()},
		property{"source", e.GetSource()},
		property{"provider", e.GetProvider()},
		property{"environment", e.GetEnvironment()},
		property{"entity", e.GetEntity()},
		property{"provider event id", e.GetProviderEventId()},
		property{"occurred", timeOf(e.GetOccurTime())},
		property{"received", timeOf(e.GetReceiveTime())},
		property{"imported", timeOf(e.GetImportTime())},
		property{"verification", verificationOf(e.GetVerification())},
		property{"decoded", strings.ToLower(strings.TrimPrefix(e.GetDecodeState().String(), "DECODE_STATE_"))},
		property{"possible duplicate of", e.GetPossibleDuplicateOf()},
		property{"withheld", strings.Join(e.GetRedactedFields(), " ")},
		property{"too large to show", strings.Join(e.GetOmittedFields(), " ")},
	)
	if err != nil {
		return err
	}
	if payload := payloadOf(e); payload != nil {
		fmt.Fprintln(p.stdout)
		err = writeJSON(p.stdout, payload)
	}
	if body := e.GetRaw().GetBody(); err == nil && len(body) > 0 {
		_, err = fmt.Fprintf(p.stdout, "\n%s\n", strings.TrimRight(printable(string(body)), "\n"))
	}
	return err
}

// payloadOf answers the typed content of an event, whichever provider's; nil when
// there is none.
func payloadOf(e *hookstreamv1.Event) proto.Message {
	m := e.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("payload"))
	if fd == nil {
		return nil
	}
	return m.Get(fd).Message().Interface()
}

func timeOf(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339Nano)
}

// vouchedFor is what people are told where not all of the body is vouched for.
var vouchedFor = map[hookstreamv1.Verification_Coverage]string{
	hookstreamv1.Verification_COVERAGE_FIELDS: "for some fields of the body",
	hookstreamv1.Verification_COVERAGE_TOKEN:  "for a token and not for the body",
	hookstreamv1.Verification_COVERAGE_NONE:   "for nothing of this request",
}

func verificationOf(v *hookstreamv1.Verification) string {
	text := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(v.GetState().String(), "STATE_")), "_", " ")
	if v.GetMethod() != "" {
		text += " by " + v.GetMethod()
	}
	if what := vouchedFor[v.GetCoverage()]; what != "" {
		text += ", " + what
	}
	if v.GetReason() != "" {
		text += ": " + v.GetReason()
	}
	return text
}
