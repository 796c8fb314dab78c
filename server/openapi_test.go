package server

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hookstream/hookstream/cloudevent"
)

// services are all of ours that are linked in.
func services() []protoreflect.ServiceDescriptor {
	var out []protoreflect.ServiceDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("hookstream.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			out = append(out, f.Services().Get(i))
		}
		return true
	})
	return out
}

// The image package is a copy of what buf makes: this test is red when it was
// forgotten after a change of the schema.
func TestOpenAPIListsEveryMethod(t *testing.T) {
	g := start(t)
	code, header, body := g.do(t, "GET", "/openapi.json", "")
	if code != 200 || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", code, header)
	}
	var api struct {
		Info  struct{ Title string }
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(body), &api); err != nil {
		t.Fatal(err)
	}
	if api.Info.Title != "Hookstream" {
		t.Errorf("title %q", api.Info.Title)
	}
	listed := map[string]bool{}
	for _, methods := range api.Paths {
		for _, op := range methods {
			listed[op.OperationID] = true
		}
	}
	if len(services()) < 3 {
		t.Fatal("found too few services to say anything")
	}
	for _, service := range services() {
		for i := range service.Methods().Len() {
			method := service.Methods().Get(i)
			id := string(service.Name()) + "_" + string(method.Name())
			if !proto.HasExtension(method.Options(), annotations.E_Http) {
				t.Errorf("%s has no REST form", id)
			}
			if !listed[id] {
				t.Errorf("%s is not in openapi.json: make it anew as image/embed.go says", id)
			}
		}
	}
}

// descriptors reads one of the images as a client's generator does.
func descriptors(t *testing.T, path string) *protoregistry.Files {
	t.Helper()
	code, header, body := start(t).do(t, "GET", path, "")
	if code != 200 || header.Get("Content-Type") != "application/x-protobuf" {
		t.Fatalf("%d %v", code, header)
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal([]byte(body), set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Whoever makes a client from an image needs nothing else, the types included in
// which errors say their reason.
func TestTheImagesAreSelfContained(t *testing.T) {
	for _, path := range []string{"/hookstream.binpb", "/hookstream-lite.binpb"} {
		t.Run(path[1:], func(t *testing.T) {
			files := descriptors(t, path)
			names := []protoreflect.FullName{"google.rpc.Status", "google.rpc.Code", "google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"}
			for _, service := range services() {
				names = append(names, service.FullName())
			}
			for _, name := range names {
				if _, err := files.FindDescriptorByName(name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// PHP refuses files of proto2 and everything that imports one; every option
// brings its file.
func TestTheLiteImageHasOnlyMessagesAndServices(t *testing.T) {
	whole := descriptors(t, "/hookstream.binpb")
	kept := map[string]bool{}
	descriptors(t, "/hookstream-lite.binpb").RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		kept[fd.Path()] = true
		if fd.Syntax() != protoreflect.Proto3 {
			t.Errorf("%s: %v", fd.Path(), fd.Syntax())
		}
		lite := protodesc.ToFileDescriptorProto(fd)
		lite.SourceCodeInfo = nil
		_ = protorange.Range(lite.ProtoReflect(), func(at protopath.Values) error {
			last := at.Index(-1)
			if m, ok := last.Value.Interface().(protoreflect.Message); ok && len(m.GetUnknown()) > 0 && m.Descriptor().Name() != "FileDescriptorProto" {
				t.Errorf("%s: %v holds what no generator knows", fd.Path(), at.Path)
			}
			if step := last.Step; step.Kind() == protopath.FieldAccessStep && step.FieldDescriptor().IsExtension() {
				t.Errorf("%s: %v is a custom option", fd.Path(), at.Path)
			}
			return nil
		})
		original, err := whole.FindFileByPath(fd.Path())
		if err != nil {
			t.Error(err)
			return true
		}
		full := protodesc.ToFileDescriptorProto(original)
		if len(full.GetMessageType()) != len(lite.GetMessageType()) || len(full.GetService()) != len(lite.GetService()) || !proto.Equal(full.GetOptions(), lite.GetOptions()) {
			t.Errorf("%s is another file than in the whole image", fd.Path())
		}
		return true
	})
	whole.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		if ours := strings.HasPrefix(fd.Path(), "hookstream/"); ours && !kept[fd.Path()] {
			t.Errorf("%s is missing", fd.Path())
		}
		return true
	})
}

// What an answer's content is, is what the document says it is: of streams both
// forms, of all else JSON, errors by reference.
func TestOpenAPISaysWhatIsAnswered(t *testing.T) {
	g := start(t)
	_, _, body := g.do(t, "GET", "/openapi.json", "")
	var api struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]struct {
				Ref     string `json:"$ref"`
				Content map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &api); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(api.OpenAPI, "3.1.") {
		t.Errorf("version %q", api.OpenAPI)
	}
	streams := 0
	for path, methods := range api.Paths {
		for method, op := range methods {
			want := []string{"application/json"}
			if path == "/v1/events:subscribe" {
				want = []string{(jsonLines{}).contentType(), (serverSentEvents{}).contentType()}
				streams++
			}
			if path == backupPath {
				want = []string{(jsonLines{}).contentType()}
			}
			if path == exportPath {
				want = []string{cloudevent.MediaProtoBatch, ndjson}
			}
			if got := slices.Sorted(maps.Keys(op.Responses["200"].Content)); !slices.Equal(got, want) {
				t.Errorf("%s %s answers %v, want %v", method, path, got, want)
			}
			for _, code := range []string{"4XX", "default"} {
				if op.Responses[code].Ref != "#/components/responses/Error" {
					t.Errorf("%s %s: %s is no reference to the one error", method, path, code)
				}
			}
		}
	}
	if streams != 2 {
		t.Errorf("%d ways to subscribe, want 2", streams)
	}
}

// A path of the document is one that the gateway has, as it writes it: with the id
// of a resource where the schema has its name.
func TestOpenAPIPathsAreTaken(t *testing.T) {
	g := start(t)
	_, _, body := g.do(t, "GET", "/openapi.json", "")
	var api struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(body), &api); err != nil {
		t.Fatal(err)
	}
	parameter := regexp.MustCompile(`\{[a-z]+\}`)
	for path, methods := range api.Paths {
		for method := range methods {
			if !strings.Contains(allowedMethods(parameter.ReplaceAllString(path, "x")), strings.ToUpper(method)) {
				t.Errorf("%s %s is not among the gateway's paths", method, path)
			}
		}
	}
}

var outside = regexp.MustCompile(`(?i)(src|href)\s*=\s*["']?(https?:)?//`)

func TestTheDocsPageComesWhole(t *testing.T) {
	g := start(t)
	code, header, page := g.do(t, "GET", "/docs", "")
	if code != 200 || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", code, header)
	}
	if outside.MatchString(page) {
		t.Error("the page loads from elsewhere")
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="(docs/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		code, header, body := g.do(t, "GET", "/"+m[1], "", "Accept-Encoding", "identity")
		if code != 200 || len(body) == 0 || header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d, %d bytes, %v", m[1], code, len(body), header)
		}
	}
	if code, _, _ := g.do(t, "GET", "/docs/", ""); code != 200 { // after the redirect
		t.Errorf("/docs/: %d", code)
	}
	if _, _, licence := g.do(t, "GET", "/docs/LICENSE", ""); !strings.Contains(licence, "SmartBear") {
		t.Error("the licence notice of Swagger UI is missing")
	}
}

func TestCompressedAssetsAreSentAsTheyAre(t *testing.T) {
	g := start(t)
	get := func(header ...string) (*http.Response, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", g.http.URL+"/docs/swagger-ui.css", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip") // set by hand: the client does not unpack
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, b
	}
	resp, b := get()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, z); err != nil {
		t.Fatal(err)
	}
	tag := resp.Header.Get("ETag")
	if again, b := get("If-None-Match", tag); tag == "" || again.StatusCode != http.StatusNotModified || len(b) > 0 {
		t.Errorf("asked again with tag %q: %d", tag, again.StatusCode)
	}
	plain, _ := get("Accept-Encoding", "identity", "If-None-Match", tag)
	if plain.StatusCode != 200 {
		t.Errorf("the tag of the compressed form holds for the plain one: %d", plain.StatusCode)
	}
}
