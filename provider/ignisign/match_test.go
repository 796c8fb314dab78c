package ignisign

import (
	"testing"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
)

func TestMatch(t *testing.T) {
	type selector = ignisignv1.Selector
	completed := []ignisignv1.SignatureRequestAction{ignisignv1.SignatureRequestAction_SIGNATURE_REQUEST_ACTION_COMPLETED}
	initialized := []ignisignv1.SignatureRequestAction{ignisignv1.SignatureRequestAction_SIGNATURE_REQUEST_ACTION_INITIALIZED}
	created := []ignisignv1.SignerAction{ignisignv1.SignerAction_SIGNER_ACTION_CREATED}
	topics := func(topics ...ignisignv1.Topic) []ignisignv1.Topic { return topics }
	for _, c := range []struct {
		why, event string
		selector   *selector
		want       bool
	}{
		{"nil", "SIGNER.CREATED", nil, true},
		{"empty", "BRAND_NEW_TOPIC.SOMETHING_HAPPENED", &selector{}, true},
		{"topic", "SIGNER.CREATED", &selector{Topics: topics(ignisignv1.Topic_TOPIC_APP, ignisignv1.Topic_TOPIC_SIGNER)}, true},
		{"topic under its other name", "APPLICATION.ARCHIVED", &selector{Topics: topics(topicApp)}, true},
		{"another topic", "SIGNER.CREATED", &selector{Topics: topics(topicApp)}, false},
		{"a topic nobody knows", "BRAND_NEW_TOPIC.SOMETHING_HAPPENED", &selector{Topics: topics(topicApp)}, false},
		{"nature", "SIGNATURE.FAILED", &selector{MsgNatures: []ignisignv1.MsgNature{ignisignv1.MsgNature_MSG_NATURE_ERROR}}, true},
		{"another nature", "SIGNATURE.FINALIZED", &selector{MsgNatures: []ignisignv1.MsgNature{ignisignv1.MsgNature_MSG_NATURE_ERROR}}, false},
		{"application", "SIGNER.CREATED", &selector{AppIds: []string{"x", testApp}}, true},
		{"another application", "SIGNER.CREATED", &selector{AppIds: []string{"appId_"}}, false},
		{"environment", "SIGNER.CREATED", &selector{AppEnvs: []string{"DEVELOPMENT"}}, true},
		{"environment in another spelling", "SIGNER.CREATED", &selector{AppEnvs: []string{"development"}}, false},
		{"an environment without a value", "SIGNATURE.FINALIZED.env-test", &selector{AppEnvs: []string{"TEST"}}, true},
		{"action", "SIGNATURE_REQUEST.COMPLETED", &selector{SignatureRequestActions: completed}, true},
		{"action under its other name", "SIGNATURE_REQUEST.INIT", &selector{SignatureRequestActions: initialized}, true},
		{"another action", "SIGNATURE_REQUEST.READY", &selector{SignatureRequestActions: completed}, false},
		{"an action of another topic", "SIGNER.CREATED", &selector{SignatureRequestActions: completed}, false},
		{"actions of two topics", "SIGNER.CREATED", &selector{SignatureRequestActions: completed, SignerActions: created}, true},
		{"same number in another topic", "SIGNATURE_PROFILE.CREATED", &selector{SignerActions: created}, false},
		{"no action", "SIGNER_AUTH.COMPLETED", &selector{SignerActions: created}, false},
		{"all parts", "SIGNER.CREATED", &selector{SignerActions: created, AppEnvs: []string{"DEVELOPMENT"}}, true},
		{"all parts but one", "SIGNER.CREATED", &selector{SignerActions: created, AppEnvs: []string{"PRODUCTION"}}, false},
	} {
		body, err := example(c.event)
		if err != nil {
			t.Fatal(c.why, err)
		}
		event, _ := Decode(body)
		if got := Match(c.selector, event); got != c.want {
			t.Errorf("%s: %v", c.why, got)
		}
	}
}

// The list of every topic is looked at: each type of the catalog matches its own
// action and no other.
func TestMatchEveryAction(t *testing.T) {
	for _, typ := range Catalog() {
		event, _ := Decode([]byte(typ.GetExample()))
		for _, other := range Catalog() {
			s := selectorOf(t, other.GetTopic(), other.GetAction())
			if got := Match(s, event); got != (typ.GetType() == other.GetType()) {
				t.Errorf("%s with a selector for %s: %v", typ.GetType(), other.GetType(), got)
			}
		}
	}
}

func selectorOf(t *testing.T, topic, action string) *ignisignv1.Selector {
	t.Helper()
	c := contentOf(topicOf(topic))
	s := &ignisignv1.Selector{}
	list := s.ProtoReflect().Mutable(s.ProtoReflect().Descriptor().Fields().ByName(c.action.Name() + "s")).List()
	list.Append(enumValue(c.actionOf(action)))
	return s
}
