package yousign

import (
	"maps"
	"slices"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/proto"

	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider/lenient"
)

// The fields of a workflow session or of a group of actions may stand in `data`
// themselves: one integration says so, and nobody else says anything.
var (
	besideFlat  = append(slices.Collect(maps.Keys(nodes)), "reason", "workflow_session_id")
	flatSession = lenient.DecoderOf(&yousignv1.WorkflowSession{}).Skip(besideFlat...)
	flatGroup   = lenient.DecoderOf(&yousignv1.WorkflowActionGroup{}).Skip(besideFlat...)
	notFlat     = dataFields.Only(besideFlat...)
)

// decodeFlat reads `data` as the object that the event is about.
func decodeFlat(ev *yousignv1.Event, t topic, data gjson.Result) lenient.Result {
	result := notFlat.Decode(data, ev)
	if t.node == t.about {
		session := &yousignv1.WorkflowSession{}
		result = result.And(flatSession.Decode(data, session))
		if session.Id == nil {
			session.Id = ev.WorkflowSessionId
		}
		if proto.Size(session) > 0 {
			ev.WorkflowSession = session
		}
		return result
	}
	group := &yousignv1.WorkflowActionGroup{}
	result = result.And(flatGroup.Decode(data, group))
	if proto.Size(group) > 0 {
		ev.WorkflowActionGroup = group
	}
	return result
}
