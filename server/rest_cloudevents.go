package server

import (
	"bytes"
	"net/http"
	"strings"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/cloudevent"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// cloudFrames shows the frames of one stream as CloudEvents: an event is one, and so
// is whatever else a frame says, so that nobody misses a gap who reads CloudEvents.
type cloudFrames struct{ said *cloudevent.Stream }

// accepts reports whether the client asks for a media type.
func accepts(r *http.Request, media string) bool {
	for _, accept := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			one, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(one), media) {
				return true
			}
		}
	}
	return false
}

// fitsCloudEvents refuses the view that holds more than a CloudEvent does.
func fitsCloudEvents(view hookstreamv1.EventView) error {
	if view == hookstreamv1.EventView_EVENT_VIEW_FULL {
		return badRequest("view", "FULL has no form as "+cloudevent.MediaJSON+": the data is the body, in the view RAW, or the typed payload, in TYPED")
	}
	return nil
}

// stream answers what numbers the frames that are no events.
func (c *cloudFrames) stream(id string) *cloudevent.Stream {
	if c.said == nil {
		if id == "" {
			id = newStreamID()
		}
		c.said = cloudevent.NewStream(id)
	}
	return c.said
}

// cloudFrame writes a frame that is no batch, and a batch that is a message.
func (o *frameWriter) cloudFrame(f *hookstreamv1.SubscribeResponse) error {
	if batch := f.GetBatch(); batch != nil {
		for _, d := range batch.GetDeliveries() {
			if err := o.cloudDelivery(d); err != nil {
				return err
			}
		}
		return nil
	}
	m := f.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("frame"))
	if fd == nil {
		return errFrame
	}
	kind := frameKind(f)
	e, err := o.cloud.stream(f.GetOpened().GetStreamId()).Tell(strings.ToLower(kind), f.GetCursor(), m.Get(fd).Message().Interface())
	if err != nil {
		return err
	}
	o.cloudEvent(kind, f.GetCursor(), e)
	return nil
}

// cloudBatch writes a batch that is on the wire already.
func (o *frameWriter) cloudBatch(f *wireFrame) error {
	_, r, err := readBatch(f)
	if err != nil {
		return err
	}
	for spans, err := range r.deliveries() {
		if err != nil {
			return err
		}
		d := new(hookstreamv1.Delivery)
		if err := proto.Unmarshal(bytes.Join(spans, nil), d); err != nil {
			return err
		}
		if err := o.cloudDelivery(d); err != nil {
			return err
		}
	}
	return nil
}

// eventKind is frameKind of one event.
const eventKind = "event"

func (o *frameWriter) cloudDelivery(d *hookstreamv1.Delivery) error {
	e, err := cloudevent.OfDelivery(d)
	if err != nil {
		return err
	}
	o.cloudEvent(eventKind, d.GetCursor(), e)
	return o.pass()
}

func (o *frameWriter) cloudEvent(kind, cursor string, e *cloudevent.Event) {
	o.format.before(&o.buf.Buffer, kind, cursor)
	o.buf.Write(e.AppendJSON(nil))
	o.format.after(&o.buf.Buffer)
}

// cloudEnd says how the stream ended: a stream without that was cut.
func (o *frameWriter) cloudEnd(err error) {
	kind := "end"
	st := status.Convert(err).Proto()
	if err != nil {
		kind = "failure"
	}
	if e, failed := o.cloud.stream("").Tell(kind, "", st); failed == nil {
		o.cloudEvent(kind, "", e)
	}
}

// cloudLines is one CloudEvent a line.
type cloudLines struct{ jsonLines }

func (cloudLines) before(*bytes.Buffer, string, string) {}

func (cloudLines) after(buf *bytes.Buffer) { buf.WriteByte('\n') }
