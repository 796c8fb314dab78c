package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
	"github.com/hookstream/hookstream/provider/yousign"
)

// What is known of the senders' bodies is data, testdata/sheets: a row says where a
// value is in a body, in which field of ours it must arrive, whether the sender
// always sends it, and which kind of sensitive it is. Here each row is a body of
// its own, sent through the real ingress.

// A row is one value in one place.
type row struct {
	typ, path, field string
	value            any
	presence, kind   string
	name             string // of its event
}

func (r row) String() string { return r.typ + " " + r.path + " to " + r.field }

func readSheet(t *testing.T, provider string) (rows []row) {
	t.Helper()
	data, err := os.ReadFile("testdata/sheets/" + provider + ".tsv")
	if err != nil {
		t.Fatal(err)
	}
	var typ, path, field string
	for n, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		cells := strings.Split(line, "\t")
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case len(cells) != 4:
			t.Fatalf("%s.tsv, line %d: %d cells", provider, n+1, len(cells))
		case cells[0] == "@":
			typ, path, field = cells[1], cells[2], cells[3]
			continue
		}
		name, to, renamed := strings.Cut(cells[0], "=")
		if !renamed {
			to = name
		}
		values := []json.RawMessage{json.RawMessage(cells[1])}
		if many, ok := strings.CutPrefix(cells[1], "one of "); ok {
			if err := json.Unmarshal([]byte(many), &values); err != nil {
				t.Fatalf("%s.tsv, line %d: %v", provider, n+1, err)
			}
		}
		for _, v := range values {
			r := row{typ: typ, path: joined(path, name), field: joined(field, to), presence: cells[2], kind: cells[3]}
			if err := json.Unmarshal(v, &r.value); err != nil {
				t.Fatalf("%s.tsv, line %d: %v", provider, n+1, err)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func joined(a, b string) string { return strings.Trim(a+"."+b, ".") }

// steps splits `signers[0].id` into `signers`, 0, `id`.
func steps(path string) (out []any) {
	for _, part := range strings.Split(path, ".") {
		name, index, listed := strings.Cut(strings.TrimSuffix(part, "]"), "[")
		out = append(out, name)
		if listed {
			n, _ := strconv.Atoi(index)
			out = append(out, n)
		}
	}
	return out
}

// put answers a document with a value at a place in it.
func put(in any, at []any, value any) any {
	if len(at) == 0 {
		return value
	}
	if name, ok := at[0].(string); ok {
		object, _ := in.(map[string]any)
		if object == nil {
			object = make(map[string]any)
		}
		object[name] = put(object[name], at[1:], value)
		return object
	}
	return []any{put(nil, at[1:], value)}
}

// look answers what is at a place in a document.
func look(in any, at []any) (any, bool) {
	for _, step := range at {
		switch step := step.(type) {
		case string:
			object, _ := in.(map[string]any)
			next, ok := object[step]
			if !ok {
				return nil, false
			}
			in = next
		case int:
			list, _ := in.([]any)
			if step >= len(list) {
				return nil, false
			}
			in = list[step]
		}
	}
	return in, true
}

func TestYousignSheet(t *testing.T) {
	heavy.Test(t)
	g := start(t, options(t))
	src := g.createSource("sheet", yousignSource())
	s := sheet{t: t, g: g, provider: "yousign", rows: readSheet(t, "yousign"), payload: (*yousignv1.Event)(nil).ProtoReflect().Descriptor()}
	s.send(func(i int, r row) (string, func() int) {
		body := map[string]any{
			"event_id": fmt.Sprintf("row-%d", i), "event_name": r.typ, "event_time": "1772439061", "subscription_id": "s", "sandbox": true,
			"data": map[string]any{},
		}
		data, id := encoded(t, put(body, steps(r.path), r.value)), body["event_id"].(string)
		return id, func() int { return g.post(src.GetIngressPath(), yousign.Sign(secret, data), string(data)) }
	}, func(e *hookstreamv1.Event) string { return e.GetProviderEventId() })
	s.check()
}

func TestIgnisignSheet(t *testing.T) {
	api := startSimulator(t, simulate.Options{})
	g := start(t, options(t))
	src := g.createSource("sheet", ignisignSource(api, 0))
	s := sheet{t: t, g: g, provider: "ignisign", rows: readSheet(t, "ignisign"), payload: (*ignisignv1.Event)(nil).ProtoReflect().Descriptor()}
	a := api.App()
	s.send(func(_ int, r row) (string, func() int) {
		token := api.MintToken(a.ID, a.Env)
		topic, action, _ := strings.Cut(r.typ, ".")
		body := put(map[string]any{
			"appId": a.ID, "appEnv": a.Env, "topic": topic, "action": action, "msgNature": "INFO", "verificationToken": token,
		}, steps(r.path), r.value)
		data := encoded(t, body)
		return token, func() int { return g.post(src.GetIngressPath(), "", string(data)) }
	}, func(e *hookstreamv1.Event) string { return e.GetIgnisign().GetVerificationToken() })
	s.check()
}

func encoded(t *testing.T, body any) []byte {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A sheet is the rows of one sender, sent to one source.
type sheet struct {
	t        *testing.T
	g        *gateway
	provider string
	rows     []row
	payload  protoreflect.MessageDescriptor
}

// send posts a body for each row, and finds the event that became of it.
func (s *sheet) send(body func(int, row) (id string, post func() int), idOf func(*hookstreamv1.Event) string) {
	s.t.Helper()
	ids := make([]string, len(s.rows))
	var wg sync.WaitGroup
	room := make(chan struct{}, 32)
	for i, r := range s.rows {
		var post func() int
		ids[i], post = body(i, r)
		wg.Add(1)
		room <- struct{}{}
		go func() {
			defer wg.Done()
			if status := post(); status != http.StatusOK {
				s.t.Errorf("%s: answered %d", r, status)
			}
			<-room
		}()
	}
	wg.Wait()
	s.include(optionsv1.Sensitivity_SENSITIVITY_ACCESS, optionsv1.Sensitivity_SENSITIVITY_IDENTITY)
	names := make(map[string]string)
	for name, e := range s.events("") {
		names[idOf(e)] = name
	}
	for i := range s.rows {
		if s.rows[i].name = names[ids[i]]; s.rows[i].name == "" {
			s.t.Fatalf("%s: no event", s.rows[i])
		}
	}
}

// include has the source show sensitive fields of the kinds, and no others.
func (s *sheet) include(kinds ...optionsv1.Sensitivity) {
	s.t.Helper()
	_, err := hookstreamv1.NewSourceServiceClient(s.g.conn).UpdateSource(s.t.Context(), &hookstreamv1.UpdateSourceRequest{
		Source:     &hookstreamv1.Source{Name: "sources/sheet", IncludeSensitive: kinds},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"include_sensitive"}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// events answers all events that a filter lets through, by name.
func (s *sheet) events(filter string) map[string]*hookstreamv1.Event {
	s.t.Helper()
	stream := s.g.subscribe(&hookstreamv1.SubscribeRequest{
		Selector: &hookstreamv1.EventSelector{Filter: filter},
		Start:    &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}, Stop: &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
	})
	out := make(map[string]*hookstreamv1.Event)
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			s.t.Fatal(err)
		}
		for _, d := range resp.GetBatch().GetDeliveries() {
			out[d.GetEvent().GetName()] = d.GetEvent()
		}
	}
}

var sheetKinds = map[string]optionsv1.Sensitivity{
	"access": optionsv1.Sensitivity_SENSITIVITY_ACCESS, "identity": optionsv1.Sensitivity_SENSITIVITY_IDENTITY,
}

func (s *sheet) check() {
	s.t.Helper()
	s.covers()
	for _, shown := range [][]string{{"access", "identity"}, {"access"}, {"identity"}, nil} {
		var kinds []optionsv1.Sensitivity
		for _, k := range shown {
			kinds = append(kinds, sheetKinds[k])
		}
		s.include(kinds...)
		events := s.events("")
		for _, r := range s.rows {
			s.arrives(r, events[r.name], r.kind == "-" || slices.Contains(shown, r.kind))
		}
		if len(shown) != 1 {
			s.filters(len(shown) > 0)
		}
	}
}

// arrives wants the row's value in its field, or withheld and told.
func (s *sheet) arrives(r row, e *hookstreamv1.Event, shown bool) {
	s.t.Helper()
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(e)
	if err != nil {
		s.t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		s.t.Fatal(err)
	}
	at := steps(s.provider + "." + r.field)
	got, ok := look(doc, at)
	told := slices.ContainsFunc(e.GetRedactedFields(), func(path string) bool { return covered(s.provider+"."+r.field, path) })
	switch {
	case !shown && (ok || !told):
		s.t.Errorf("%s: shown %v, withheld are %v", r, got, e.GetRedactedFields())
	case shown && !ok:
		s.t.Errorf("%s: is not there, withheld are %v: %s", r, e.GetRedactedFields(), data)
	case shown:
		at[len(at)-1] = at[len(at)-1].(string) + "_raw"
		if raw, ok := look(doc, at); !sameValue(r.value, got, raw, ok) {
			s.t.Errorf("%s: %v became %v, %v", r, r.value, got, raw)
		}
	}
}

// covered reports whether a path stands for the field or for what it is in.
func covered(field, path string) bool {
	rest, ok := strings.CutPrefix(field, path)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// sameValue compares what was sent with what arrived, and with the text beside.
func sameValue(sent, got, raw any, hasRaw bool) bool {
	switch {
	case hasRaw:
		return reflect.DeepEqual(sent, raw) && !strings.Contains(fmt.Sprint(got), "UNSPECIFIED")
	case reflect.DeepEqual(sent, got):
		return true
	}
	a, errA := time.Parse(time.RFC3339, fmt.Sprint(sent))
	b, errB := time.Parse(time.RFC3339, fmt.Sprint(got))
	switch {
	case errA == nil && errB == nil:
		return a.Equal(b)
	case strings.HasSuffix(fmt.Sprint(got), "_"+strings.ToUpper(fmt.Sprint(sent))): // an enum without text
		return true
	}
	return fmt.Sprint(sent) == fmt.Sprint(got) // int64 is a text in JSON
}

// filters wants each row to be found by a filter on its field if it is shown, and
// not if it is withheld: a filter is no way to feel for what is.
func (s *sheet) filters(open bool) {
	s.t.Helper()
	for rows := range slices.Chunk(s.rows, 14) {
		var parts []string
		for _, r := range rows {
			parts = append(parts, fmt.Sprintf("event.name == %q && %s", r.name, condition("event."+s.provider+"."+r.field, r.value)))
		}
		found := s.events("(" + strings.Join(parts, ") || (") + ")")
		for _, r := range rows {
			if want := open || r.kind == "-"; (found[r.name] != nil) != want {
				s.t.Errorf("%s: a filter finds it: %v, want %v", r, !want, want)
			}
		}
	}
}

// asSent are fields that hold what was sent, so that it can be compared.
var asSent = regexp.MustCompile(`(_id|_url|_link|name|_note|title|label|email|reason|token|secret|sandbox)$`)

func condition(field string, value any) string {
	switch v := value.(type) {
	case string:
		if asSent.MatchString(field) {
			return fmt.Sprintf("%s == %s", field, strconv.Quote(v))
		}
	case bool:
		return fmt.Sprintf("%s == %v", field, v)
	case []any:
		return fmt.Sprintf("size(%s) == %d", field, len(v))
	}
	return fmt.Sprintf("has(%s)", field)
}

// covers holds the rows against the schema: no field is without a row, and kind and
// presence are those of the rows.
func (s *sheet) covers() {
	s.t.Helper()
	seen := make(map[string]bool)
	for _, r := range s.rows {
		f := s.fieldOf(r)
		if f == nil {
			continue // in a Struct
		}
		seen[string(f.FullName())] = true
		facts, _ := proto.GetExtension(f.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
		if want := sheetKinds[r.kind]; facts.GetSensitivity() != want {
			s.t.Errorf("%s is %s", f.FullName(), facts.GetSensitivity())
		}
		if said := strings.ToLower(strings.TrimPrefix(facts.GetPresence().String(), "PRESENCE_")); r.presence != "-" && r.presence != said {
			s.t.Errorf("%s is %s, the sheet says %s", f.FullName(), said, r.presence)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.leaves())) {
		if !seen[name] && !withoutRow[name] {
			s.t.Errorf("%s has no row", name)
		}
	}
	if s.t.Failed() {
		s.t.FailNow() // each row that has no place is told by now
	}
}

// withoutRow are fields that every body fills, or that are made of others.
var withoutRow = map[string]bool{
	"hookstream.yousign.v1.Event.event_name":          true,
	"hookstream.yousign.v1.Event.workspace_ids":       true,
	"hookstream.yousign.v1.Event.topic":               true,
	"hookstream.yousign.v1.Event.reason":              true,
	"hookstream.ignisign.v1.Event.app_id":             true,
	"hookstream.ignisign.v1.Event.app_env":            true,
	"hookstream.ignisign.v1.Event.topic":              true,
	"hookstream.ignisign.v1.Event.verification_token": true,
}

// fieldOf answers the field of a row, nil when it is in content without a schema.
func (s *sheet) fieldOf(r row) (f protoreflect.FieldDescriptor) {
	s.t.Helper()
	m := s.payload
	for _, step := range steps(r.field) {
		name, ok := step.(string)
		if !ok {
			continue
		}
		if m == nil || m.ParentFile().Package() == "google.protobuf" {
			return nil
		}
		if f = m.Fields().ByName(protoreflect.Name(name)); f == nil {
			s.t.Errorf("%s: no field %s in %s", r, name, m.FullName())
			return nil
		}
		m = f.Message()
	}
	return f
}

// leaves answers the fields that hold values, of all messages.
func (s *sheet) leaves() map[string]bool {
	out, seen := make(map[string]bool), make(map[protoreflect.FullName]bool)
	var visit func(protoreflect.MessageDescriptor)
	visit = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			facts, _ := proto.GetExtension(f.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
			name := string(f.Name())
			switch {
			case f.Message() != nil && f.Message().ParentFile().Package() == s.payload.ParentFile().Package():
				visit(f.Message())
			case strings.HasSuffix(name, "_raw"), strings.HasSuffix(name, "rest"), name == "unknown_content":
			case facts.GetComputed() && f.ContainingOneof() != nil && !f.ContainingOneof().IsSynthetic(): // the action
			default:
				out[string(f.FullName())] = true
			}
		}
	}
	visit(s.payload)
	return out
}
