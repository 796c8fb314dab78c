package load

import (
	"context"
	"fmt"

	"google.golang.org/grpc/mem"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Handed are the frames of a consumer of a durable subscription: see Hand.
var Handed = Shape{hookstreamv1.EventService_Subscribe_FullMethodName, (*Stream).receiveHand}

// A Hand is what a consumer was handed with one message: the sequence and the
// ack token of every delivery.
type Hand struct {
	Seqs   []uint64
	Tokens []string
}

// fieldDeliveryAckToken is Delivery.ack_token.
const fieldDeliveryAckToken = 3

func (s *Stream) receiveHand(data mem.BufferSlice) error {
	s.message(data)
	s.hand = Hand{} // whoever took the one before has it still
	err := eachDelivery(data, func(bytes int, seq uint64) {
		s.count(bytes, seq)
		s.hand.Seqs = append(s.hand.Seqs, seq)
	})
	if err != nil || len(s.hand.Seqs) == 0 {
		return err
	}
	s.hand.Tokens = make([]string, 0, len(s.hand.Seqs))
	return eachEncoded(data, func(delivery []byte) error {
		return eachBytes(delivery, fieldDeliveryAckToken, func(token []byte) error {
			s.hand.Tokens = append(s.hand.Tokens, string(token))
			return nil
		})
	})
}

// Hand answers what a stream of the shape Handed received last; there is nothing
// in it when that was no batch.
func (s *Stream) Hand() Hand { return s.hand }

// Acknowledge settles a hand of the stream with one call over the stream's
// connection. It is an error when one of the acks is not confirmed. Many
// goroutines may call it at once.
func (s *Stream) Acknowledge(ctx context.Context, h Hand) error {
	settlements := make([]*hookstreamv1.Settlement, len(h.Tokens))
	for i, token := range h.Tokens {
		settlements[i] = &hookstreamv1.Settlement{AckToken: token, Verdict: hookstreamv1.Settlement_VERDICT_ACK}
	}
	answer, err := hookstreamv1.NewSubscriptionServiceClient(s.conn).Acknowledge(ctx, &hookstreamv1.AcknowledgeRequest{
		Name: s.req.GetSubscription(), Settlements: settlements,
	})
	if err != nil {
		return fmt.Errorf("load: acknowledge: %w", err)
	}
	if got, want := len(answer.GetResults()), len(h.Seqs); got != want {
		return fmt.Errorf("load: acknowledge: %d answers for %d deliveries", got, want)
	}
	for i, ack := range answer.GetResults() {
		if ack.GetOutcome() != hookstreamv1.AckOutcome_ACK_OUTCOME_DONE {
			return fmt.Errorf("load: the ack of event %d came to %s", h.Seqs[i], ack.GetOutcome())
		}
	}
	return nil
}
