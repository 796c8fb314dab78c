package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookstream/hookstream/cloudevent"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/jsonline"
)

type eventExportCommand struct {
	connection
	search
	Format   string `help:"ndjson, all that is kept, which import reads; cloudevents, a CloudEvent in JSON a line; cloudevents-protobuf, one CloudEventBatch." enum:"ndjson,cloudevents,cloudevents-protobuf" default:"ndjson" placeholder:"FORMAT"`
	From     string `help:"Go on behind this cursor, the last of an export that was cut." placeholder:"CURSOR" variable:"none"`
	Withheld bool   `name:"include-withheld" help:"Export events of sources that do not include sensitive fields, too: an export shows bodies." variable:"none"`
}

// maxExportedBytes bounds a message: the largest event of any gateway, and its fields.
const maxExportedBytes = 40 << 20

// Run writes an export to standard output.
func (c *eventExportCommand) Run(ctx context.Context, p *program) error {
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := hookstreamv1.NewEventServiceClient(conn).ExportEvents(ctx, &hookstreamv1.ExportEventsRequest{
			Filter: c.Filter, AfterCursor: c.From, IncludeWithheld: c.Withheld,
		}, grpc.MaxCallRecvMsgSize(maxExportedBytes))
		if err != nil {
			return err
		}
		w := &exportFile{w: bufio.NewWriterSize(p.stdout, 256<<10), form: c.Format}
		err = w.all(stream)
		if failed := w.w.Flush(); err == nil {
			err = failed
		}
		if err != nil {
			return c.cut(c.refused(err), w)
		}
		p.say("exported %d events, with %d bytes of bodies", w.end.GetEvents(), w.end.GetBodyBytes())
		if n := w.end.GetMissedEvents(); n > 0 {
			p.say("%d events are missing: the log has lost or dropped them", n)
		}
		return nil
	})
}

// cut says how to go on.
func (c *eventExportCommand) cut(err error, w *exportFile) error {
	st, ok := statusOf(err)
	switch {
	case ok && reason(st) == "SENSITIVE_FIELDS_WITHHELD":
		return hinted(err, "--include-withheld exports them, or leave the source out: --filter -source:NAME")
	case w.cursor != "" && w.events > 0:
		return hinted(fmt.Errorf("the export was cut after %d events: %w", w.events, err), "what is written is whole up to there; to go on: --from %s", w.cursor)
	}
	return err
}

// exportFile writes the messages of an export in one form.
type exportFile struct {
	w      *bufio.Writer
	form   string
	cloud  cloudevent.Exporter
	buf    []byte
	events int
	cursor string // of what was written last
	end    *hookstreamv1.ExportEnd
}

func (f *exportFile) all(stream grpc.ServerStreamingClient[hookstreamv1.ExportEventsResponse]) error {
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && f.end != nil:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("the gateway ended the export without its end")
		case err != nil:
			return err
		}
		if err := f.write(m); err != nil {
			return err
		}
		if m.GetEvent() != nil {
			f.events++
		}
		f.cursor, f.end = m.GetCursor(), m.GetEnd()
	}
}

func (f *exportFile) write(m *hookstreamv1.ExportEventsResponse) (err error) {
	f.buf, err = f.append(f.buf[:0], m)
	if err == nil {
		_, err = f.w.Write(f.buf)
	}
	return err
}

func (f *exportFile) append(b []byte, m *hookstreamv1.ExportEventsResponse) ([]byte, error) {
	if f.form == "ndjson" {
		return appendLine(b, m)
	}
	e, err := f.cloud.Of(m)
	switch {
	case err != nil:
		return b, err
	case f.form == "cloudevents":
		return append(e.AppendJSON(b), '\n'), nil
	}
	return e.AppendBatch(b)
}

// appendLine appends a line of the form that import reads.
func appendLine(b []byte, m *hookstreamv1.ExportEventsResponse) ([]byte, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return b, err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		return b, err
	}
	return append(append(b, jsonline.Escape(out.Bytes())...), '\n'), nil
}
