package app

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

var recheckOutcomes = map[provider.Outcome]hookstreamv1.VerifyEventResponse_Outcome{
	provider.Undecided: hookstreamv1.VerifyEventResponse_OUTCOME_UNKNOWN,
	provider.Genuine:   hookstreamv1.VerifyEventResponse_OUTCOME_GENUINE,
	provider.Rejected:  hookstreamv1.VerifyEventResponse_OUTCOME_NOT_GENUINE,
}

// recheck checks the proof of an event as it is kept, by the provider of its source
// as that is configured now.
func (a *App) recheck(e *hookstreamv1.Event) *hookstreamv1.VerifyEventResponse {
	unknown := func(reason string) *hookstreamv1.VerifyEventResponse {
		return &hookstreamv1.VerifyEventResponse{
			Outcome: hookstreamv1.VerifyEventResponse_OUTCOME_UNKNOWN, Method: e.GetVerification().GetMethod(),
			Reason: reason, KeyFingerprint: e.GetProof().GetKeyFingerprint(),
		}
	}
	if e.GetProof() == nil {
		return unknown(provider.ReasonProofNotKept)
	}
	src, err := a.sources.Get(source.ParseName(e.GetSource()))
	if err != nil {
		return unknown("source_gone")
	}
	verifier, err := a.providers.Open(src)
	prover, ok := verifier.(provider.Prover)
	if err != nil || !ok || provider.IDOf(src) != e.GetProvider() {
		return unknown("source_changed")
	}
	v := prover.Recheck(ingress.KeptRequest(e))
	out := unknown(v.Reason)
	out.Outcome = recheckOutcomes[v.Outcome]
	if !v.Retired.IsZero() {
		out.SecretRetireTime = timestamppb.New(v.Retired)
	}
	return out
}
