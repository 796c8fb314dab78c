package ignisign

import (
	"slices"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
)

// Match reports whether an event has all that a selector asks for. A nil
// selector asks for nothing.
func Match(s *ignisignv1.Selector, event *ignisignv1.Event) bool {
	return among(s.GetTopics(), event.GetTopic()) &&
		among(s.GetMsgNatures(), event.GetMsgNature()) &&
		text(s.GetAppIds(), event.GetAppId()) &&
		text(s.GetAppEnvs(), event.GetAppEnvRaw()) &&
		(!selectsActions(s) || matchAction(s, event))
}

// among reports whether a list asks for a value. An empty one asks for all.
func among[T comparable](list []T, value T) bool {
	return len(list) == 0 || slices.Contains(list, value)
}

// text is among for texts, of which `*` stands for all.
func text(list []string, value string) bool {
	return among(list, value) || slices.Contains(list, "*")
}

func selectsActions(s *ignisignv1.Selector) bool {
	return len(s.GetApplicationActions())+
		len(s.GetSignatureActions())+
		len(s.GetSignatureRequestActions())+
		len(s.GetSignerActions())+
		len(s.GetSignatureProfileActions())+
		len(s.GetSignatureSessionActions())+
		len(s.GetSignatureProofActions())+
		len(s.GetSignatureSignerImageActions())+
		len(s.GetDocumentRequestActions())+
		len(s.GetIdProofingActions()) > 0
}

// matchAction looks for the event's action in the list of its topic.
func matchAction(s *ignisignv1.Selector, event *ignisignv1.Event) bool {
	switch a := event.GetAction().(type) {
	case *ignisignv1.Event_ApplicationAction:
		return slices.Contains(s.GetApplicationActions(), a.ApplicationAction)
	case *ignisignv1.Event_SignatureAction:
		return slices.Contains(s.GetSignatureActions(), a.SignatureAction)
	case *ignisignv1.Event_SignatureRequestAction:
		return slices.Contains(s.GetSignatureRequestActions(), a.SignatureRequestAction)
	case *ignisignv1.Event_SignerAction:
		return slices.Contains(s.GetSignerActions(), a.SignerAction)
	case *ignisignv1.Event_SignatureProfileAction:
		return slices.Contains(s.GetSignatureProfileActions(), a.SignatureProfileAction)
	case *ignisignv1.Event_SignatureSessionAction:
		return slices.Contains(s.GetSignatureSessionActions(), a.SignatureSessionAction)
	case *ignisignv1.Event_SignatureProofAction:
		return slices.Contains(s.GetSignatureProofActions(), a.SignatureProofAction)
	case *ignisignv1.Event_SignatureSignerImageAction:
		return slices.Contains(s.GetSignatureSignerImageActions(), a.SignatureSignerImageAction)
	case *ignisignv1.Event_DocumentRequestAction:
		return slices.Contains(s.GetDocumentRequestActions(), a.DocumentRequestAction)
	case *ignisignv1.Event_IdProofingAction:
		return slices.Contains(s.GetIdProofingActions(), a.IdProofingAction)
	}
	return false
}
