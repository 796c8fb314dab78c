package yousign

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookstream/hookstream/event"
)

// A link to sign is withheld at any depth, also where content becomes text.
func TestSecretsAreWithheldAtAnyDepth(t *testing.T) {
	for _, depth := range []int{1, 5, 19, 20, 21, 22, 23, 24, 30, 55} {
		for _, level := range []string{`{"x":|}`, `[|]`} {
			before, after, _ := strings.Cut(level, "|")
			deep := strings.Repeat(before, depth) + `{"signature_link":"SECRET"}` + strings.Repeat(after, depth)
			for _, body := range []string{
				`{"event_name":"signer.done","data":{"signer":{"id":"s","unknown":` + deep + `}}}`,
				`{"event_name":"signer.done","data":{"unknown":` + deep + `}}`,
				`{"event_name":"signer.done","unknown":` + deep + `,"data":{}}`,
				`{"event_name":"odd","data":{"unknown":` + deep + `}}`,
				`{"event_name":"signature_request.done","data":{"signature_request":{"signers":[null,` + deep + `]}}}`,
			} {
				wire, _ := Encode(nil, []byte(body))
				e, _ := Decode([]byte(body))
				if left, _, ok := event.RedactWire(e.ProtoReflect().Descriptor(), wire, 0); ok && strings.Contains(string(left), "SECRET") {
					t.Errorf("%d: shown in wire form", depth)
				}
				paths := event.Redact(e, 0)
				shown, err := protojson.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(shown), "SECRET") || len(paths) != 1 {
					t.Errorf("%d levels: %s\nwithheld %v", depth, shown, paths)
				}
			}
		}
	}
}
