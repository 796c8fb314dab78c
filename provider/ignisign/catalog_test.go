package ignisign

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/lenient"
)

// The catalog has every action of every topic, once, and what it says of each is
// true of its example.
func TestCatalog(t *testing.T) {
	var want, got []string
	for topic, c := range contents {
		values := c.action.Enum().Values()
		for i := 1; i < values.Len(); i++ {
			want = append(want, lenient.EnumWire(topicDesc, topic.Number())+"."+lenient.EnumWire(c.action.Enum(), values.Get(i).Number()))
		}
	}
	for _, typ := range Catalog() {
		got = append(got, typ.GetType())
		checkType(t, typ)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := (Provider{}).Info().GetEventTypeCount(); int(n) != len(got) {
		t.Errorf("the provider counts %d types", n)
	}
}

func checkType(t *testing.T, typ *hookstreamv1.EventType) {
	if typ.GetProvider() != "ignisign" || typ.GetType() != typ.GetTopic()+"."+typ.GetAction() ||
		typ.GetStage() == hookstreamv1.EventType_STAGE_UNSPECIFIED || !strings.HasSuffix(typ.GetDescription(), ".") {
		t.Errorf("%v", typ)
	}
	event, state := Decode([]byte(typ.GetExample()))
	if state != complete || event.GetTopicRaw() != typ.GetTopic() || typedAction(event) != typ.GetAction() {
		t.Errorf("%s: the example is %v", typ.GetType(), state)
	}
	for _, name := range typ.GetContentTypes() {
		if _, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name)); err != nil {
			t.Errorf("%s: %v", typ.GetType(), err)
		}
	}
}

func TestCatalogAliases(t *testing.T) {
	got := make(map[string][]string)
	for _, typ := range Catalog() {
		got[typ.GetType()] = typ.GetAliases()
	}
	for typ, want := range map[string][]string{
		"SIGNATURE.FINALIZED":              {"SIGNATURE.SIGNATURE_SUCCESS", "SIGNATURE.CREATED"},
		"APP.ARCHIVED":                     {"APPLICATION.ARCHIVED"},
		"SIGNATURE_SIGNER_IMAGE.GENERATED": {"SIGNATURE_IMAGE.GENERATED"},
		"SIGNATURE_REQUEST.COMPLETED":      nil,
	} {
		if diff := cmp.Diff(want, got[typ]); diff != "" {
			t.Errorf("%s: %s", typ, diff)
		}
	}
}

// What is switched off by any name of a topic or type is off under all the others.
func TestEveryNameIsSwitchedOffByEveryOther(t *testing.T) {
	renamed := 0
	for _, typ := range Catalog() {
		called := append([]string{typ.GetType()}, typ.GetAliases()...)
		renamed += len(called) - 1
		for _, off := range called {
			topic, _ := event.SplitType(off)
			for _, pattern := range []string{off, topic + ".*", topic[:len(topic)-1] + "*" + strings.TrimPrefix(off, topic)} {
				for _, sent := range called {
					if !event.CompilePatterns([]string{pattern}).MatchType(sent) {
						t.Errorf("%s lets %s through", pattern, sent)
					}
				}
			}
		}
	}
	if renamed < 10 {
		t.Errorf("%d other names", renamed)
	}
}

// A sample is the example byte for byte, but for what it was asked to say; the
// source it is made for takes it.
func TestSample(t *testing.T) {
	const app, env, token = `appId_"<é>`, "STAGING", "vt_1"
	p := &Verifier{appID: app, appEnv: env}
	for _, name := range exampleNames() {
		body, err := Sample(name, app, env, token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := p.Inspect(&provider.Request{Body: body}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := gjson.GetBytes(body, "content.appId"); got.Exists() && got.Str != app {
			t.Errorf("%s: content of %s", name, got.Str)
		}
		if got := gjson.GetBytes(body, "content.appEnv"); got.Exists() && got.Str != env {
			t.Errorf("%s: content of %s", name, got.Str)
		}
		if got := gjson.GetBytes(body, "verificationToken").Str; got != token {
			t.Errorf("%s: token %s", name, got)
		}
		back := bytes.ReplaceAll(body, []byte(`"appId_\"<é>"`), []byte(`"`+testApp+`"`))
		back = bytes.ReplaceAll(back, []byte(`"vt_1"`), []byte(`"vt_example"`))
		original, _ := example(name)
		oldEnv := gjson.GetBytes(original, "appEnv").Raw
		if back = bytes.ReplaceAll(back, []byte(`"STAGING"`), []byte(oldEnv)); !bytes.Equal(back, original) {
			t.Errorf("%s: more was changed: %s", name, body)
		}
	}
}

func TestNoSample(t *testing.T) {
	for _, typ := range []string{"", "SIGNER", "SIGNER.CREATED.json", "../catalog.go", "signer.created"} {
		if body, err := Sample(typ, "a", "b", "c"); !errors.Is(err, errNoSample) {
			t.Errorf("%q: %s, %v", typ, body, err)
		}
	}
}
