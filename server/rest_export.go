package server

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/cloudevent"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// exportPath is where restExport is served.
const exportPath = "/v1/events:export"

// restExport is EventService.ExportEvents over HTTP, in the form that the client
// accepts: the messages as lines of JSON, or CloudEvents.
type restExport struct {
	mux          *runtime.ServeMux
	export       func(ctx context.Context, req *hookstreamv1.ExportEventsRequest, send func(any) error) error
	frameTimeout time.Duration
}

// ServeHTTP streams until the export ends or the client hangs up.
func (s *restExport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fromAnotherPage(r) {
		writeForeign(w, r)
		return
	}
	out := newExportWriter(w, r, s.frameTimeout)
	req, err := s.request(r)
	ctx := r.Context()
	if err == nil && r.Method == http.MethodHead {
		out.begin()
		return
	}
	if err == nil {
		ctx, err = runtime.AnnotateIncomingContext(ctx, s.mux, r, hookstreamv1.EventService_ExportEvents_FullMethodName)
	}
	if err == nil {
		err = s.export(ctx, req, out.send)
	}
	switch {
	case err == nil:
		if !out.begun {
			out.begin()
		}
		_ = out.write()
	case !out.begun:
		restError(r.Context(), nil, nil, w, r, err)
	case !out.gone:
		out.fail(err)
	}
}

func (s *restExport) request(r *http.Request) (*hookstreamv1.ExportEventsRequest, error) {
	if err := ruleOf(http.MethodGet, exportPath).check(r, nil); err != nil {
		return nil, err
	}
	req := new(hookstreamv1.ExportEventsRequest)
	if err := runtime.PopulateQueryParameters(req, r.URL.Query(), utilities.NewDoubleArray(nil)); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return req, nil
}

// exportWriter writes an export in one form.
type exportWriter struct {
	w          http.ResponseWriter
	connection *http.ResponseController
	timeout    time.Duration
	media      string
	cloud      *cloudevent.Exporter // nil: no CloudEvents
	buf        bytes.Buffer
	begun      bool
	gone       bool // the client does not take any more
}

const ndjson = "application/x-ndjson"

func newExportWriter(w http.ResponseWriter, r *http.Request, timeout time.Duration) *exportWriter {
	out := &exportWriter{w: w, connection: http.NewResponseController(w), timeout: timeout, media: ndjson}
	switch {
	case accepts(r, cloudevent.MediaProtoBatch):
		out.media, out.cloud = cloudevent.MediaProtoBatch, new(cloudevent.Exporter)
	case accepts(r, cloudevent.MediaJSON):
		out.cloud = new(cloudevent.Exporter)
	}
	return out
}

func (o *exportWriter) begin() {
	o.begun = true
	header := o.w.Header()
	header.Set("Content-Type", o.media)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	o.w.WriteHeader(http.StatusOK)
}

// exportBytes is how much is gathered before it is written.
const exportBytes = 64 << 10

// send is called with the messages of the export.
func (o *exportWriter) send(m any) error {
	line, ok := m.(*hookstreamv1.ExportEventsResponse)
	if !ok {
		return errFrame
	}
	if !o.begun {
		o.begin()
	}
	if err := o.line(line); err != nil || o.buf.Len() < exportBytes {
		return err
	}
	return o.write()
}

func (o *exportWriter) line(m *hookstreamv1.ExportEventsResponse) error {
	if o.cloud == nil {
		b, err := restJSON.Marshal(m)
		o.buf.Write(append(b, '\n'))
		return err
	}
	e, err := o.cloud.Of(m)
	if err != nil {
		return err
	}
	return o.event(e)
}

func (o *exportWriter) event(e *cloudevent.Event) error {
	if o.media != cloudevent.MediaProtoBatch {
		o.buf.Write(append(e.AppendJSON(o.buf.AvailableBuffer()), '\n'))
		return nil
	}
	b, err := e.AppendBatch(o.buf.AvailableBuffer())
	o.buf.Write(b)
	return err
}

// fail says why the export ends early.
func (o *exportWriter) fail(err error) {
	if o.cloud == nil {
		jsonLines{}.end(&o.buf, err)
	} else if e, failed := o.cloud.Failure(status.Convert(err).Proto()); failed == nil {
		_ = o.event(e)
	}
	_ = o.write()
}

func (o *exportWriter) write() error {
	_ = o.connection.SetWriteDeadline(time.Now().Add(o.timeout))
	_, err := o.w.Write(o.buf.Bytes())
	o.buf.Reset()
	if err == nil {
		err = o.connection.Flush()
	}
	o.gone = err != nil
	return err
}
