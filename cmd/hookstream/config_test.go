package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// What was given says whose source it is; a source is of one provider.
func TestTakers(t *testing.T) {
	for _, tt := range []struct {
		given []string
		want  string // ids, or what the error says
	}{
		{nil, ""},
		{[]string{"app-id"}, "ignisign"},
		{[]string{"app-env", "api-url", "api-version"}, "ignisign"},
		{[]string{"signature-header", "secret-file"}, "yousign"},
		{[]string{"signature-header", "app-id"}, "flags of Yousign and of Ignisign exclude each other"},
	} {
		given := make(map[string]string)
		for _, flag := range tt.given {
			given[flag] = "x"
		}
		able, err := accepting(given)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) || tt.want == "" {
				t.Errorf("%v: %v", tt.given, err)
			}
			continue
		}
		if got := strings.Join(ids(able), " "); got != tt.want {
			t.Errorf("%v: of %q, want %q", tt.given, got, tt.want)
		}
	}
}

// A flag that two providers have is one flag, in the groups of both.
func TestMergedFlags(t *testing.T) {
	all := merged([]textFlag{{name: "a", group: "One"}, {name: "b", group: "One"}, {name: "a", group: "Two"}, {name: "b", group: "One"}})
	if len(all) != 2 || all[0].group != "One, Two" || all[1].group != "One" {
		t.Errorf("%+v", all)
	}
}

// A flag that may empty what there is knows whether it was given.
func TestTextFlagsGiven(t *testing.T) {
	flags := newTextFlags([]textFlag{{name: "text", empties: true}, {name: "yes", yes: true}, {name: "left"}})
	text := ""
	made := reflect.ValueOf(flags.Flags).Elem()
	made.Field(0).Set(reflect.ValueOf(&text))
	made.Field(1).SetBool(true)
	got := flags.given()
	if value, ok := got["text"]; !ok || value != "" || got["yes"] != "true" || len(got) != 2 {
		t.Errorf("%v", got)
	}
	if !flags.has("left") || flags.has("other") || (textFlags{}).has("left") || len((textFlags{}).given()) != 0 {
		t.Error("has")
	}
}

// Each provider of the list can be configured by the flags that it has, and whoever
// signs says where its secret is.
func TestEachProviderHasWords(t *testing.T) {
	for _, p := range kinds() {
		id, words := p.Info().GetId(), provider.Words(p)
		texts := map[string]string{words.Credential.Field: "credential"}
		var flags []string
		for _, s := range words.Others {
			texts[s.Field] = slices.Concat(provider.Choices(id, s.Field), []string{"text"})[0]
			flags = append(flags, s.Name())
		}
		src := &hookstreamv1.Source{}
		if err := provider.Configure(src, id, texts); err != nil || provider.IDOf(src) != id {
			t.Errorf("%s: %v, %v", id, src, err)
		}
		if slices.Contains(flags, "") || slices.Contains(flags, secretFile) {
			t.Errorf("%s: flags %q", id, flags)
		}
		if signs(p) && !strings.HasPrefix(words.Credential.Variable, "HOOKSTREAM_") {
			t.Errorf("%s: no variable: %+v", id, words.Credential)
		}
	}
}
