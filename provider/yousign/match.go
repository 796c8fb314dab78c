package yousign

import (
	"slices"
	"strings"

	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider/lenient"
)

// Match reports whether an event meets all parts of a selector that are given.
// An empty or nil selector is met by every event.
func Match(s *yousignv1.Selector, ev *yousignv1.Event) bool {
	return allows(s.GetEventNames(), ev.GetEventName()) &&
		allows(s.GetTopics(), ev.GetTopic()) &&
		matchSandbox(s, ev) &&
		matchScope(s.GetScopes(), ev) &&
		matchWorkspace(s.GetWorkspaceIds(), ev)
}

// allows reports whether a list of enum values has a value; the empty list has
// all, and no other has the unspecified value.
func allows[E ~int32](list []E, value E) bool {
	return len(list) == 0 || value != 0 && slices.Contains(list, value)
}

func matchSandbox(s *yousignv1.Selector, ev *yousignv1.Event) bool {
	if s == nil || s.Sandbox == nil {
		return true
	}
	return ev != nil && ev.Sandbox != nil && *ev.Sandbox == *s.Sandbox
}

// every stands in a list of texts for all events, as in Yousign's own
// subscriptions.
const every = "*"

func matchScope(scopes []string, ev *yousignv1.Event) bool {
	if len(scopes) == 0 || slices.Contains(scopes, every) {
		return true
	}
	source := ev.GetSignatureRequest().GetSourceRaw()
	if source == "" {
		source = ev.GetUser().GetSourceRaw()
	}
	return source != "" && slices.ContainsFunc(scopes, func(scope string) bool { return sameScope(scope, source) })
}

// sameScope reports whether two names mean one scope.
func sameScope(a, b string) bool {
	n := lenient.EnumNumber(scopeNames, a)
	return a == b || n != 0 && n == lenient.EnumNumber(scopeNames, b)
}

var scopeNames = yousignv1.ResourceSource(0).Descriptor()

func matchWorkspace(wanted []string, ev *yousignv1.Event) bool {
	if len(wanted) == 0 || slices.Contains(wanted, every) {
		return true
	}
	return slices.ContainsFunc(workspaces(ev), func(id string) bool {
		return id != "" && slices.ContainsFunc(wanted, func(want string) bool { return strings.EqualFold(want, id) })
	})
}

// workspaces answers the ids of the workspaces that an event names, and empty
// texts for those it does not.
func workspaces(ev *yousignv1.Event) []string {
	ids := []string{
		ev.GetSignatureRequest().GetWorkspaceId(),
		ev.GetContact().GetWorkspaceId(),
		ev.GetElectronicSeal().GetWorkspaceId(),
		ev.GetIdentityVideo().GetWorkspaceId(),
		ev.GetIdentityDocument().GetWorkspaceId(),
		ev.GetBankAccount().GetWorkspaceId(),
		ev.GetBankAccountConnection().GetWorkspaceId(),
		ev.GetBankAccountLookup().GetWorkspaceId(),
		ev.GetCompany().GetWorkspaceId(),
		ev.GetWatchlist().GetWorkspaceId(),
		ev.GetProofOfAddress().GetWorkspaceId(),
		ev.GetDocumentAnalysis().GetWorkspaceId(),
		ev.GetWorkflowSession().GetWorkspaceId(),
		ev.GetMonitoring().GetWorkspaceId(),
		ev.GetVideoIdentityVerification().GetWorkspaceId(),
		ev.GetBankAccountVerification().GetWorkspaceId(),
		ev.GetIdDocumentVerification().GetWorkspaceId(),
	}
	for _, workspace := range ev.GetUser().GetWorkspaces() {
		ids = append(ids, workspace.GetId())
	}
	return ids
}
