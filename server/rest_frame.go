package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/cloudevent"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// frameWriter writes the frames of one stream to one HTTP client. It holds little
// at a time, and of that no copy: what a client does not read costs what the way
// there buffers.
type frameWriter struct {
	w          http.ResponseWriter
	connection *http.ResponseController
	timeout    time.Duration
	format     frameFormat
	cloud      *cloudFrames // nil: as the API's own messages
	cache      *jsonCache
	turns      turns
	buf        gathered
	slow       bool // the client took its time for what was written last
	gone       bool // the client does not take any more
}

// frameFormat is how frames look on the way.
type frameFormat interface {
	contentType() string
	// begin and end append what stands before the first frame, and what stands for
	// the end of the stream, err being nil for a good one; before and after append
	// what stands around the JSON of a frame, of which the cursor may be empty.
	begin(buf *bytes.Buffer)
	before(buf *bytes.Buffer, kind, cursor string)
	after(buf *bytes.Buffer)
	end(buf *bytes.Buffer, err error)
}

// newFrameWriter answers 200 and what stands before the first frame.
func (s *restStream) newFrameWriter(w http.ResponseWriter, r *http.Request) *frameWriter {
	out := &frameWriter{
		w: w, connection: http.NewResponseController(w), timeout: s.frameTimeout,
		format: jsonLines{}, cache: s.cache, turns: s.turns,
	}
	if accepts(r, cloudevent.MediaJSON) {
		out.format, out.cloud = cloudLines{}, new(cloudFrames)
	}
	if accepts(r, eventStream) {
		out.format = serverSentEvents{}
	}
	header := w.Header()
	header.Set("Content-Type", out.format.contentType())
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would hold frames back
	w.WriteHeader(http.StatusOK)
	out.format.begin(&out.buf.Buffer)
	return out
}

// send sends one message of the stream. The error says that the client is gone, or
// does not read.
func (o *frameWriter) send(m any) (err error) {
	o.turns.acquire()
	defer o.turns.give()
	switch m := m.(type) {
	case *wireFrame:
		err = o.batch(m)
	case *hookstreamv1.SubscribeResponse:
		err = o.frame(m)
	default:
		err = errFrame
	}
	if err != nil {
		return err
	}
	return o.flush()
}

func (o *frameWriter) frame(f *hookstreamv1.SubscribeResponse) error {
	if o.cloud != nil {
		return o.cloudFrame(f)
	}
	b, err := restJSON.Marshal(f)
	if err != nil {
		return err
	}
	o.format.before(&o.buf.Buffer, frameKind(f), f.GetCursor())
	o.buf.Write(b)
	o.format.after(&o.buf.Buffer)
	return nil
}

// batchKind is frameKind of a batch.
const batchKind = "batch"

// batch writes deliveries as protojson would the whole frame.
func (o *frameWriter) batch(f *wireFrame) error {
	if o.cloud != nil {
		return o.cloudBatch(f)
	}
	cursor, r, err := readBatch(f)
	if err != nil {
		return err
	}
	o.format.before(&o.buf.Buffer, batchKind, cursor)
	o.buf.WriteByte('{')
	if cursor != "" {
		o.buf.WriteString(`"cursor":"` + cursor + `",`) // nothing in it is special to JSON
	}
	o.buf.WriteString(`"batch":{"deliveries":[`)
	first := true
	for spans, err := range r.deliveries() {
		if err == nil && !first {
			o.buf.WriteByte(',')
		}
		if err == nil {
			err = o.cache.appendDelivery(&o.buf, spans)
		}
		if err == nil {
			err = o.pass()
		}
		if err != nil {
			return err
		}
		first = false
	}
	o.buf.WriteString("]}}")
	o.format.after(&o.buf.Buffer)
	return nil
}

// end says how the stream ended. There may be nobody left to hear it.
func (o *frameWriter) end(err error) {
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if o.cloud != nil {
		o.cloudEnd(err)
	} else {
		o.format.end(&o.buf.Buffer, err)
	}
	o.turns.acquire()
	defer o.turns.give()
	_ = o.flush()
}

// passBytes is how much is gathered before it is written.
const passBytes = 4 << 10

// pass writes what was gathered, if it is worth it.
func (o *frameWriter) pass() error {
	if o.buf.size() < passBytes {
		return nil
	}
	return o.write()
}

func (o *frameWriter) flush() error {
	if err := o.write(); err != nil {
		return err
	}
	if err := o.turns.write(&o.slow, o.connection.Flush); err != nil {
		o.gone = true
		return err
	}
	return nil
}

func (o *frameWriter) write() error {
	_ = o.connection.SetWriteDeadline(time.Now().Add(o.timeout))
	err := o.turns.write(&o.slow, func() error { return o.buf.writeTo(o.w) })
	o.buf.reset()
	o.gone = o.gone || err != nil
	return err
}

// jsonLines is one JSON object a line, `{"result": ...}`, and `{"error": ...}`
// last when the stream fails.
type jsonLines struct{}

func (jsonLines) contentType() string { return ndjson }

func (jsonLines) begin(*bytes.Buffer) {}

func (jsonLines) before(buf *bytes.Buffer, _, _ string) { buf.WriteString(`{"result":`) }

func (jsonLines) after(buf *bytes.Buffer) { buf.WriteString("}\n") }

func (jsonLines) end(buf *bytes.Buffer, err error) {
	if err == nil {
		return
	}
	buf.WriteString(`{"error":`)
	buf.Write(statusJSON(status.Convert(err)))
	buf.WriteString("}\n")
}

// serverSentEvents has the cursor as id, so that a browser resumes by itself, and
// the kind of frame as event. A stream that ends says so by the event `end` or
// `failure` (not `error`, which browsers use for themselves): a browser that is
// not told to close connects again.
type serverSentEvents struct{}

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

func (serverSentEvents) contentType() string { return eventStream }

func (serverSentEvents) begin(buf *bytes.Buffer) { buf.WriteString("retry: 2000\n\n") }

func (serverSentEvents) before(buf *bytes.Buffer, kind, cursor string) {
	if cursor != "" {
		buf.WriteString("id: " + cursor + "\n")
	}
	buf.WriteString("event: " + kind + "\ndata: ")
}

func (serverSentEvents) after(buf *bytes.Buffer) { buf.WriteString("\n\n") }

func (e serverSentEvents) end(buf *bytes.Buffer, err error) {
	kind, json := "end", []byte("{}")
	if err != nil {
		kind, json = "failure", statusJSON(status.Convert(err))
	}
	e.before(buf, kind, "")
	buf.Write(json)
	e.after(buf)
}

// frameKind answers the JSON name of what a frame says: `batch`, `caughtUp`.
func frameKind(f *hookstreamv1.SubscribeResponse) string {
	m := f.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("frame"))
	if fd == nil {
		return "message" // a frame of a newer server
	}
	return fd.JSONName()
}
