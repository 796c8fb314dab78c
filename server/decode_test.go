package server

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// rawCodec sends bytes as they are: what no Protobuf library would send.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (rawCodec) Unmarshal(_ []byte, _ any) error { return nil }
func (rawCodec) Name() string                    { return "proto" }
func (rawCodec) String() string                  { return "proto" }

var raw = grpc.ForceCodec(rawCodec{})

// What cannot be decoded is the caller's mistake, of whatever method and whatever is
// wrong with it.
func TestARequestThatCannotBeDecoded(t *testing.T) {
	w := startSubscriptions(t)
	files := protoregistry.GlobalFiles
	methods := 0
	for service := range w.public.GetServiceInfo() {
		if strings.Contains(service, "reflection") {
			continue // a dialogue
		}
		found, err := files.FindDescriptorByName(protoreflect.FullName(service))
		if err != nil {
			t.Fatal(err)
		}
		all := found.(protoreflect.ServiceDescriptor).Methods()
		for i := range all.Len() {
			methods++
			m := all.Get(i)
			for what, body := range broken(m.Input()) {
				err := w.callRaw(t, m, body)
				st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
				if t.Failed() {
					t.Fatalf("%s, %s: %v", m.FullName(), what, st)
				}
			}
		}
	}
	if methods < 30 {
		t.Errorf("only %d methods were called", methods)
	}
	if logged := w.logs.String(); strings.Contains(logged, "Internal") || !strings.Contains(logged, "reason=REQUEST_INVALID") {
		t.Errorf("logged %s", logged)
	}
}

// broken are requests of a type that cannot be decoded.
func broken(md protoreflect.MessageDescriptor) map[string][]byte {
	all := map[string][]byte{"a tag that does not end": {0xff}}
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		if f.Kind() == protoreflect.StringKind {
			b := protowire.AppendTag(nil, f.Number(), protowire.BytesType)
			all[string(f.Name())+" is not UTF-8"] = protowire.AppendBytes(b, []byte{0x00, 0xff, 0xfe})
		}
	}
	return all
}

func (g *gateway) callRaw(t *testing.T, m protoreflect.MethodDescriptor, body []byte) error {
	t.Helper()
	name := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	if !m.IsStreamingServer() {
		return g.conn.Invoke(t.Context(), name, body, new([]byte), raw)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := g.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, name, raw)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(body)
	_ = stream.CloseSend()
	return stream.RecvMsg(new([]byte))
}

// What can be decoded is what it was.
func TestARequestThatCanBeDecodedIsNotChanged(t *testing.T) {
	w := startSubscriptions(t)
	got := w.create("crm", &hookstreamv1.Subscription{Description: "naïve ☂"})
	if got.GetDescription() != "naïve ☂" {
		t.Errorf("created %v", got)
	}
}
