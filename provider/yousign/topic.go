package yousign

import (
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// A topic says where the content of its events is.
type topic struct {
	// node is the object in `data` that the events are about, and the field of
	// Event that holds it.
	node protoreflect.Name
	// about is the object that Info.Entity names: of a signer's events the
	// signature request.
	about protoreflect.Name
	// entities is the first part of Info.Entity.
	entities string
	// action is the field of Event that holds the action.
	action protoreflect.Name
	// guessed: Yousign does not document the name of the object.
	guessed bool
	// flat: the fields of the object may stand in `data` themselves.
	flat bool
	// former: sent until 2025.
	former bool
}

var topics = map[string]topic{
	"signature_request": {
		node: "signature_request", about: "signature_request", entities: "signature_requests",
		action: "signature_request_action",
	},
	"signer":          {node: "signer", about: "signature_request", entities: "signature_requests", action: "signer_action"},
	"approver":        {node: "approver", about: "signature_request", entities: "signature_requests", action: "approver_action"},
	"contact":         {node: "contact", about: "contact", entities: "contacts", action: "contact_action", guessed: true},
	"user":            {node: "user", about: "user", entities: "users", action: "user_action", guessed: true},
	"electronic_seal": {node: "electronic_seal", about: "electronic_seal", entities: "electronic_seals", action: "electronic_seal_action"},

	"verification.identity_video":          verification("identity_video"),
	"verification.identity_document":       verification("identity_document"),
	"verification.bank_account":            verification("bank_account"),
	"verification.bank_account_connection": verification("bank_account_connection"),
	"verification.bank_account_lookup":     verification("bank_account_lookup"),
	"verification.company":                 verification("company"),
	"verification.watchlist":               verification("watchlist"),
	"verification.proof_of_address":        verification("proof_of_address"),
	"document_analysis": {
		node: "document_analysis", about: "document_analysis", entities: "document_analyses",
		action: "document_analysis_action", guessed: true,
	},

	"workflow_session": {
		node: "workflow_session", about: "workflow_session", entities: "workflow_sessions",
		action: "workflow_session_action", flat: true,
	},
	"workflow_action_group": {
		node: "workflow_action_group", about: "workflow_session", entities: "workflow_sessions",
		action: "workflow_action_group_action", flat: true,
	},
	"applicant": {node: "applicant", about: "applicant", entities: "applicants", action: "applicant_action"},
	"monitoring.natural_person": {
		node: "monitoring", about: "monitoring", entities: "monitorings", action: "monitoring_action", guessed: true,
	},

	"video_identity_verification": former("video_identity_verification"),
	"bank_account_verification":   former("bank_account_verification"),
	"id_document_verification":    former("id_document_verification"),
}

func verification(node protoreflect.Name) topic {
	return topic{node: node, about: node, entities: "verifications", action: "verification_action", guessed: true}
}

func former(node protoreflect.Name) topic {
	t := verification(node)
	t.former = true
	return t
}

var eventFields = (&yousignv1.Event{}).ProtoReflect().Descriptor().Fields()

// nodes are the objects that Event has a field for, by their keys in `data`.
var nodes = func() map[string]protoreflect.Name {
	nodes := make(map[string]protoreflect.Name)
	for _, t := range topics {
		nodes[string(t.node)] = t.node
	}
	return nodes
}()

// openNodes are those of which what has no typed field is shown.
var openNodes = func() map[protoreflect.Name]bool {
	open := make(map[protoreflect.Name]bool)
	for _, node := range nodes {
		rest := eventFields.ByName(node).Message().Fields().ByName("rest")
		facts, _ := proto.GetExtension(rest.Options(), optionsv1.E_Field).(*optionsv1.FieldFacts)
		open[node] = facts.GetSensitivity() == optionsv1.Sensitivity_SENSITIVITY_UNSPECIFIED
	}
	return open
}()

func nodeNames() []protoreflect.Name {
	return slices.Collect(maps.Values(nodes))
}

// find answers the object in `data` that the events of a topic are about, and
// its key: the object of the topic's own name, then, where the name is a guess,
// one named `verification`, then the only object there is. No key: none.
func (t topic) find(data gjson.Result) (key string, node gjson.Result) {
	var named, stranger gjson.Result
	objects, strangerKey := 0, ""
	data.ForEach(func(k, v gjson.Result) bool {
		if !v.IsObject() {
			return true
		}
		objects++
		switch {
		case k.Str == string(t.node):
			key, node = k.Str, v
			return false
		case k.Str == "verification":
			named = v
		case nodes[k.Str] == "":
			strangerKey, stranger = k.Str, v
		}
		return true
	})
	switch {
	case key != "" || !t.guessed:
	case named.Exists() && strings.HasSuffix(string(t.action), "verification_action"):
		key, node = "verification", named
	case objects == 1 && stranger.Exists():
		key, node = strangerKey, stranger
	}
	return key, node
}
