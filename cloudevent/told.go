package cloudevent

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Stream numbers what one stream or export says beside events: that it has opened,
// that it is alive, that events were lost, how it ended. Nothing of that is left
// out, so that a reader knows what it missed.
type Stream struct {
	// Source of these CloudEvents, unique to the stream.
	Source string
	// prefix of their types, and how many there were.
	prefix string
	told   int
}

// NewStream answers one of a stream with an id.
func NewStream(id string) *Stream {
	return &Stream{Source: "streams/" + id, prefix: typePrefix + "stream."}
}

// NewExport answers one of an export that began at a time.
func NewExport(start time.Time) *Stream {
	return &Stream{Source: "exports/" + strconv.FormatInt(start.UnixNano(), 36), prefix: typePrefix + "export."}
}

// Tell answers what a stream says: its kind, as `gap`, is the end of the type, and the
// message is the data; nil for none.
func (s *Stream) Tell(kind, cursor string, m proto.Message) (*Event, error) {
	s.told++
	e := &Event{ID: strconv.Itoa(s.told), Source: s.Source, Type: s.prefix + kind, Time: time.Now().UTC(), ContentType: jsonType}
	e.text("cursor", cursor)
	var err error
	e.JSON, err = compact(m)
	return e, err
}

// An Exporter answers the messages of an export as CloudEvents.
type Exporter struct{ stream *Stream }

// Failure answers what an export says that ends early.
func (x *Exporter) Failure(st proto.Message) (*Event, error) { return x.stream.Tell("failure", "", st) }

// Of answers a message of an export, the first of which is its start. The body of an
// event is the data, byte for byte; the headers and the proof are not there: the
// NDJSON form has them.
func (x *Exporter) Of(m *hookstreamv1.ExportEventsResponse) (*Event, error) {
	if x.stream == nil {
		x.stream = NewExport(m.GetStart().GetStartTime().AsTime())
	}
	switch line := m.GetLine().(type) {
	case *hookstreamv1.ExportEventsResponse_Start:
		return x.stream.Tell("start", m.GetCursor(), line.Start)
	case *hookstreamv1.ExportEventsResponse_Gap:
		return x.stream.Tell("gap", m.GetCursor(), line.Gap)
	case *hookstreamv1.ExportEventsResponse_End:
		return x.stream.Tell("end", m.GetCursor(), line.End)
	}
	e, err := OfDelivery(&hookstreamv1.Delivery{Cursor: m.GetCursor(), Event: m.GetEvent().GetEvent()})
	if err == nil {
		e.when("publishtime", m.GetEvent().GetPublishTime())
	}
	return e, err
}
