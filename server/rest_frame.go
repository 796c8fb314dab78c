package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// frameWriter writes the frames of one stream to one HTTP client.
type frameWriter struct {
	w          http.ResponseWriter
	connection *http.ResponseController
	timeout    time.Duration
	format     frameFormat
	buf        bytes.Buffer
}

// frameFormat is how frames look on the way.
type frameFormat interface {
	contentType() string
	// begin, frame and end append what stands before the first frame, a frame,
	// and what stands for the end of the stream, err being nil for a good one.
	begin(buf *bytes.Buffer)
	frame(buf *bytes.Buffer, f *hookstreamv1.SubscribeResponse, json []byte)
	end(buf *bytes.Buffer, err error)
}

// newFrameWriter answers 200 and what stands before the first frame.
func newFrameWriter(w http.ResponseWriter, r *http.Request, timeout time.Duration) *frameWriter {
	out := &frameWriter{w: w, connection: http.NewResponseController(w), timeout: timeout, format: jsonLines{}}
	if acceptsEvents(r) {
		out.format = serverSentEvents{}
	}
	header := w.Header()
	header.Set("Content-Type", out.format.contentType())
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would hold frames back
	w.WriteHeader(http.StatusOK)
	out.format.begin(&out.buf)
	return out
}

// frame sends one frame, and reports whether the client took it.
func (o *frameWriter) frame(f *hookstreamv1.SubscribeResponse) bool {
	b, err := protojson.Marshal(f)
	if err != nil {
		o.end(status.Error(codes.Internal, internalMessage))
		return false
	}
	o.format.frame(&o.buf, f, oneLine(b))
	return o.flush() == nil
}

// end says how the stream ended. There may be nobody left to hear it.
func (o *frameWriter) end(err error) {
	if errors.Is(err, io.EOF) {
		err = nil
	}
	o.format.end(&o.buf, err)
	_ = o.flush()
}

func (o *frameWriter) flush() error {
	_ = o.connection.SetWriteDeadline(time.Now().Add(o.timeout))
	_, err := o.w.Write(o.buf.Bytes())
	o.buf.Reset()
	return errors.Join(err, o.connection.Flush())
}

// oneLine escapes in JSON what some reader takes for the end of a line, as
// Python's splitlines and JavaScript of old do with U+0085, U+2028 and U+2029.
// Beyond ASCII there is nothing in JSON but what stands in a string, and the rest
// of such characters protojson escapes itself.
func oneLine(json []byte) []byte {
	if !bytes.Contains(json, nextLine) && !bytes.Contains(json, lineSeparator) && !bytes.Contains(json, paragraphSeparator) {
		return json
	}
	json = bytes.ReplaceAll(json, nextLine, []byte(`\u0085`))
	json = bytes.ReplaceAll(json, lineSeparator, []byte(`\u2028`))
	return bytes.ReplaceAll(json, paragraphSeparator, []byte(`\u2029`))
}

var (
	nextLine           = []byte("\u0085")
	lineSeparator      = []byte("\u2028")
	paragraphSeparator = []byte("\u2029")
)

// jsonLines is one JSON object a line, `{"result": ...}`, and `{"error": ...}`
// last when the stream fails.
type jsonLines struct{}

func (jsonLines) contentType() string { return "application/x-ndjson" }

func (jsonLines) begin(*bytes.Buffer) {}

func (jsonLines) frame(buf *bytes.Buffer, _ *hookstreamv1.SubscribeResponse, json []byte) {
	buf.WriteString(`{"result":`)
	buf.Write(json)
	buf.WriteString("}\n")
}

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

func (serverSentEvents) contentType() string { return "text/event-stream" }

func (serverSentEvents) begin(buf *bytes.Buffer) { buf.WriteString("retry: 2000\n\n") }

func (serverSentEvents) frame(buf *bytes.Buffer, f *hookstreamv1.SubscribeResponse, json []byte) {
	if cursor := f.GetCursor(); cursor != "" {
		buf.WriteString("id: " + cursor + "\n")
	}
	writeEvent(buf, frameKind(f), json)
}

func (serverSentEvents) end(buf *bytes.Buffer, err error) {
	if err == nil {
		writeEvent(buf, "end", []byte("{}"))
		return
	}
	writeEvent(buf, "failure", statusJSON(status.Convert(err)))
}

func writeEvent(buf *bytes.Buffer, kind string, json []byte) {
	buf.WriteString("event: " + kind + "\ndata: ")
	buf.Write(json)
	buf.WriteString("\n\n")
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
