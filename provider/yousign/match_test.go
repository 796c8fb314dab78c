package yousign

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

func TestMatch(t *testing.T) {
	type selector = yousignv1.Selector
	example := func(body string) *yousignv1.Event { ev, _ := Decode([]byte(body)); return ev }
	const workspace = "5b0e7a34-91c2-4f0d-8a6b-2d3c4e5f6071"
	all := bodies(t)
	done, user := example(string(all["signature_request.done"])), example(string(all["user.completed"]))
	applicant, unknown := example(string(all["applicant.notified"])), example(string(all["envelope.unknown_event"]))
	fromHubSpot := example(`{"event_name":"signature_request.done","data":{"signature_request":{"id":"1","source":"hubspot_integration"}}}`)
	for _, c := range []struct {
		why  string
		s    *selector
		ev   *yousignv1.Event
		want bool
	}{
		{"nothing is chosen", nil, done, true},
		{"nothing is chosen", &selector{}, &yousignv1.Event{}, true},
		{"no event", &selector{Sandbox: proto.Bool(true)}, nil, false},

		{"its name", &selector{EventNames: []yousignv1.EventName{yousignv1.EventName_EVENT_NAME_SIGNER_DONE, yousignv1.EventName_EVENT_NAME_SIGNATURE_REQUEST_DONE}}, done, true},
		{"another name", &selector{EventNames: []yousignv1.EventName{yousignv1.EventName_EVENT_NAME_SIGNER_DONE}}, done, false},
		{"an unknown event has no name", &selector{EventNames: []yousignv1.EventName{0}}, unknown, false},
		{"its topic", &selector{Topics: []yousignv1.Topic{yousignv1.Topic_TOPIC_SIGNATURE_REQUEST}}, done, true},
		{"an unknown event has its topic", &selector{Topics: []yousignv1.Topic{yousignv1.Topic_TOPIC_SIGNATURE_REQUEST}}, unknown, true},
		{"another topic", &selector{Topics: []yousignv1.Topic{yousignv1.Topic_TOPIC_SIGNER}}, done, false},

		{"its workspace", &selector{WorkspaceIds: []string{"x", workspace}}, done, true},
		{"another workspace", &selector{WorkspaceIds: []string{"x"}}, done, false},
		{"a user's workspace", &selector{WorkspaceIds: []string{workspace}}, user, true},
		{"no workspace", &selector{WorkspaceIds: []string{workspace, ""}}, applicant, false},

		{"its scope", &selector{Scopes: []string{"app", "public_api"}}, done, true},
		{"another scope", &selector{Scopes: []string{"app"}}, done, false},
		{"every scope", &selector{Scopes: []string{"*"}}, done, true},
		{"a user's scope", &selector{Scopes: []string{"app"}}, user, true},
		{"a scope this gateway does not know", &selector{Scopes: []string{"connector_of_tomorrow"}}, example(string(all["signature_request.unknown_enum_values"])), true},
		{"no scope", &selector{Scopes: []string{"", "app"}}, applicant, false},

		{"every workspace", &selector{WorkspaceIds: []string{"*"}}, applicant, true},
		{"a workspace in capitals", &selector{WorkspaceIds: []string{strings.ToUpper(done.GetSignatureRequest().GetWorkspaceId())}}, done, true},
		{"a scope under its older name", &selector{Scopes: []string{"connector_hubspot_api"}}, fromHubSpot, true},
		{"another scope", &selector{Scopes: []string{"connector_zapier_api"}}, fromHubSpot, false},
		{"the sandbox", &selector{Sandbox: proto.Bool(true)}, done, true},
		{"production", &selector{Sandbox: proto.Bool(false)}, done, false},
		{"production", &selector{Sandbox: proto.Bool(false)}, example(string(all["envelope.production"])), true},
		{"it does not say", &selector{Sandbox: proto.Bool(false)}, &yousignv1.Event{}, false},

		{"all parts must match", &selector{Scopes: []string{"public_api"}, WorkspaceIds: []string{"x"}}, done, false},
	} {
		if got := Match(c.s, c.ev); got != c.want {
			t.Errorf("%s: %v", c.why, got)
		}
	}
}

// Every message that names a workspace is looked at.
func TestWorkspaceOfEveryNode(t *testing.T) {
	fields := (&yousignv1.Event{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.Message() == nil || fd.Message().Fields().ByName("workspace_id") == nil {
			continue
		}
		ev, _ := Decode([]byte(`{"event_name":"a.b","data":{"` + string(fd.Name()) + `":{"workspace_id":"w"}}}`))
		if !Match(&yousignv1.Selector{WorkspaceIds: []string{"w"}}, ev) {
			t.Errorf("the workspace of %s is not seen", fd.Name())
		}
	}
}
