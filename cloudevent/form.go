package cloudevent

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/binding/format/protobuf/v2/pb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/internal/jsonline"
)

const specVersion = "1.0"

// Media types of the forms.
const (
	// MediaJSON is that of one CloudEvent in JSON.
	MediaJSON = "application/cloudevents+json"
	// MediaProtoBatch is that of a CloudEventBatch.
	MediaProtoBatch = "application/cloudevents-batch+protobuf"
)

// AppendJSON appends the structured JSON form, on one line and without an end of it.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"specversion":"`+specVersion+`"`...)
	b = appendText(b, "id", e.ID)
	b = appendText(b, "source", e.Source)
	b = appendText(b, "type", e.Type)
	b = appendText(b, "subject", e.Subject)
	if !e.Time.IsZero() {
		b = appendText(b, "time", e.Time.UTC().Format(time.RFC3339Nano))
	}
	if len(e.JSON)+len(e.Data) > 0 {
		b = appendText(b, "datacontenttype", e.ContentType)
	}
	for _, x := range e.Extensions {
		switch v := x.Value.(type) {
		case string:
			b = appendText(b, x.Name, v)
		case time.Time:
			b = appendText(b, x.Name, v.UTC().Format(time.RFC3339Nano))
		case bool:
			b = strconv.AppendBool(append(b, `,"`+x.Name+`":`...), v)
		case int32:
			b = strconv.AppendInt(append(b, `,"`+x.Name+`":`...), int64(v), 10)
		}
	}
	switch {
	case len(e.JSON) > 0:
		b = append(append(b, `,"data":`...), jsonline.Escape(e.JSON)...)
	case len(e.Data) > 0:
		b = append(b, `,"data_base64":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, e.Data), '"')
	}
	return append(b, '}')
}

func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	text, _ := json.Marshal(value) // text has no error
	return append(append(b, `,"`+name+`":`...), jsonline.Escape(text)...)
}

// Proto answers the Protobuf form.
func (e *Event) Proto() *pb.CloudEvent {
	out := &pb.CloudEvent{Id: e.ID, Source: e.Source, SpecVersion: specVersion, Type: e.Type, Attributes: make(map[string]*pb.CloudEventAttributeValue)}
	set := func(name string, value any) { out.Attributes[name] = attribute(value) }
	if e.Subject != "" {
		set("subject", e.Subject)
	}
	if !e.Time.IsZero() {
		set("time", e.Time)
	}
	if len(e.JSON)+len(e.Data) > 0 {
		set("datacontenttype", e.ContentType)
	}
	for _, x := range e.Extensions {
		set(x.Name, x.Value)
	}
	switch {
	case len(e.JSON) > 0:
		out.Data = &pb.CloudEvent_TextData{TextData: string(e.JSON)}
	case len(e.Data) > 0:
		out.Data = &pb.CloudEvent_BinaryData{BinaryData: e.Data}
	}
	return out
}

func attribute(value any) *pb.CloudEventAttributeValue {
	switch v := value.(type) {
	case bool:
		return &pb.CloudEventAttributeValue{Attr: &pb.CloudEventAttributeValue_CeBoolean{CeBoolean: v}}
	case int32:
		return &pb.CloudEventAttributeValue{Attr: &pb.CloudEventAttributeValue_CeInteger{CeInteger: v}}
	case time.Time:
		return &pb.CloudEventAttributeValue{Attr: &pb.CloudEventAttributeValue_CeTimestamp{CeTimestamp: timestamppb.New(v)}}
	}
	text, _ := value.(string)
	return &pb.CloudEventAttributeValue{Attr: &pb.CloudEventAttributeValue_CeString{CeString: text}}
}

// AppendBatch appends the event as one of a CloudEventBatch: all of them, one behind
// the other, are the batch, which is thereby written as it comes.
func (e *Event) AppendBatch(b []byte) ([]byte, error) {
	m := e.Proto()
	b = event.AppendCloudEventHead(b, proto.Size(m))
	return proto.MarshalOptions{Deterministic: true, UseCachedSize: true}.MarshalAppend(b, m)
}
