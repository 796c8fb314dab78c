package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

type verifyEventCommand struct {
	connection
	plainOutput
	Event string `required:"" help:"The event's name: events/… or what follows the slash." placeholder:"EVENT"`
}

// Run has the gateway check the proof that is kept with an event.
func (c *verifyEventCommand) Run(ctx context.Context, p *program) error {
	name := "events/" + strings.TrimPrefix(c.Event, "events/")
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		got, err := hookstreamv1.NewEventServiceClient(conn).VerifyEvent(ctx, &hookstreamv1.VerifyEventRequest{Name: name})
		if err != nil {
			return err
		}
		if !c.json() {
			tellKept(newReport(p.stdout), name, got)
		} else if err := writeJSON(p.stdout, got); err != nil {
			return err
		}
		return verdictOf(got)
	})
}

// unknownHints say what a reason for not knowing means.
var unknownHints = map[string]string{
	"proof_not_kept": "the event was kept before proofs were, or by an older gateway",
	"secret_gone":    "the source no longer has the secret that matched: it keeps the last twenty",
	"source_gone":    "the source was deleted, and its secrets with it",
	"source_changed": "the source under that name is another now",
	"answer_cut":     "the sender's answer was too long to be kept whole",
}

func tellKept(r report, name string, got *hookstreamv1.VerifyEventResponse) {
	defer r.end()
	r.step("event", "%s", name)
	r.step("proof", "%s", provider.Told(got.GetMethod(), keyOf(got)))
	switch got.GetOutcome() {
	case hookstreamv1.VerifyEventResponse_OUTCOME_GENUINE:
		r.step("verdict", "genuine: what is kept is what the sender vouched for")
	case hookstreamv1.VerifyEventResponse_OUTCOME_NOT_GENUINE:
		r.step("verdict", "NOT GENUINE: %s", got.GetReason())
	default:
		r.step("verdict", "UNKNOWN: %s", got.GetReason())
	}
}

// verdictOf answers what a proof that does not hold, or of which that cannot be told,
// ends the command with.
func verdictOf(got *hookstreamv1.VerifyEventResponse) error {
	switch got.GetOutcome() {
	case hookstreamv1.VerifyEventResponse_OUTCOME_GENUINE:
		return nil
	case hookstreamv1.VerifyEventResponse_OUTCOME_NOT_GENUINE:
		return fmt.Errorf("%w: %s", provider.ErrNotGenuine, got.GetReason())
	}
	return hinted(fmt.Errorf("it cannot be told: %s", got.GetReason()), "%s", unknownHints[got.GetReason()])
}

func keyOf(got *hookstreamv1.VerifyEventResponse) string {
	switch {
	case got.GetKeyFingerprint() == "":
		return ""
	case got.GetSecretRetireTime() != nil:
		return fmt.Sprintf("key %s, accepted until %s", got.GetKeyFingerprint(), got.GetSecretRetireTime().AsTime().Format(time.RFC3339))
	}
	return "key " + got.GetKeyFingerprint()
}
