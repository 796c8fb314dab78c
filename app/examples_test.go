package app_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/yousign"
)

// Every example and every variant of Yousign's bodies, posted through the real
// ingress, arrives on a stream as its golden file says.
func TestYousignExamplesArriveTyped(t *testing.T) {
	g := start(t, options(t))
	src := yousignSource()
	src.IncludeSensitiveFields = true
	src = g.createSource("examples", src)
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}})
	const dir = "../provider/yousign"
	for _, file := range bodies(t, dir+"/examples", dir+"/testdata/variants") {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if status := g.post(src.GetIngressPath(), yousign.Sign(secret, body), string(body)); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
			e := next(t, stream)
			checkGolden(t, filepath.Join(dir, "testdata/golden", name+".json"), e.GetDecodeState(), e.GetYousign())
		})
	}
}

// bodies answers the JSON files in the folders.
func bodies(t *testing.T, dirs ...string) []string {
	t.Helper()
	var files []string
	for _, dir := range dirs {
		names, err := fs.Glob(os.DirFS(dir), "*.json")
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(names), err)
		}
		for _, name := range names {
			files = append(files, path.Join(dir, name))
		}
	}
	return files
}

// checkGolden holds what arrived against what the provider's own test wrote.
func checkGolden(t *testing.T, file string, state hookstreamv1.DecodeState, payload proto.Message) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		DecodeState string          `json:"decode_state"`
		Event       json.RawMessage `json:"event"`
	}
	// The two providers spell the key differently.
	data = bytes.Replace(data, []byte(`"decodeState"`), []byte(`"decode_state"`), 1)
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if got := state.String(); got != golden.DecodeState {
		t.Errorf("decode state %s, want %s", got, golden.DecodeState)
	}
	want := payload.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(golden.Event, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, payload, protocmp.Transform()); diff != "" {
		t.Errorf("payload: %s", diff)
	}
}

// What grants access is withheld unless its source says otherwise, and the
// event says what is missing.
func TestSensitiveFieldsAreWithheld(t *testing.T) {
	g := start(t, options(t))
	src := g.createSource("quiet", yousignSource())
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	body, _, err := yousign.Sample("signer.notified", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if status := g.post(src.GetIngressPath(), yousign.Sign(secret, body), string(body)); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	e := next(t, stream)
	if link := e.GetYousign().GetSigner().GetSignatureLink(); link != "" {
		t.Errorf("the link to sign was shown")
	}
	if want := []string{"yousign.signer.signature_link"}; !cmp.Equal(e.GetRedactedFields(), want) {
		t.Errorf("withheld %v, want %v", e.GetRedactedFields(), want)
	}
}
