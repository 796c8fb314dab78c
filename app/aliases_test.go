package app_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
)

// Ignisign has several names for one event. Whichever is meant, by whichever part of
// a selector, or switched off: it is all of them.
func TestNamesOfAnEventAgree(t *testing.T) {
	api := startSimulator(t, simulate.Options{})
	g := start(t, options(t))
	off := ignisignSource(api, 0)
	var all [][]string
	byTopic := make(map[string][]string)
	for _, typ := range ignisign.Catalog() {
		names := append([]string{typ.GetType()}, typ.GetAliases()...)
		off.DisabledTypes = append(off.DisabledTypes, names[len(names)-1])
		all, byTopic[typ.GetTopic()] = append(all, names), append(byTopic[typ.GetTopic()], names...)
	}
	on := g.createSource("on", ignisignSource(api, 0)).GetIngressPath()
	switchedOff := g.createSource("off", off).GetIngressPath()
	post := func(path, name string) {
		app, token := api.App(), api.MintToken(api.App().ID, api.App().Env)
		topic, action, _ := strings.Cut(name, ".")
		body := fmt.Sprintf(`{"appId":%q,"appEnv":%q,"verificationToken":%q,"topic":%q,"action":%q,"msgNature":"INFO"}`, app.ID, app.Env, token, topic, action)
		if status := g.post(path, "", body); status != http.StatusOK {
			t.Fatalf("%s: answered %d", name, status)
		}
		if asked := api.Checks(token) > 0; asked != (path == on) {
			t.Errorf("%s at %s: asked is %v", name, path, asked)
		}
	}
	for _, name := range slices.Concat(all...) {
		post(switchedOff, name)
		post(on, name)
	}
	for _, names := range all {
		for _, name := range names {
			wantTypes(t, g, name, &hookstreamv1.EventSelector{Types: []string{name}}, names)
		}
	}
	for topic, names := range byTopic {
		topics := []ignisignv1.Topic{ignisignv1.Topic(ignisignv1.Topic_value["TOPIC_"+topic])}
		for _, s := range []*hookstreamv1.EventSelector{
			{Types: []string{topic + ".*"}},
			{Types: []string{names[len(names)-1][:strings.Index(names[len(names)-1], ".")] + ".*"}},
			{Ignisign: &ignisignv1.Selector{Topics: topics}},
			{Filter: "event.ignisign.topic == ignisign.Topic." + topic},
		} {
			wantTypes(t, g, s.String(), s, names)
		}
	}
}

func wantTypes(t *testing.T, g *gateway, what string, by *hookstreamv1.EventSelector, want []string) {
	t.Helper()
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{
		Selector: by, Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}, Stop: &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
	})
	var got []string
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		for _, d := range resp.GetBatch().GetDeliveries() {
			got = append(got, d.GetEvent().GetType())
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}
