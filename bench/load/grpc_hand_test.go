package load

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// acknowledger is a server that answers the tokens of the events 1, 2 and so on
// with its outcomes.
type acknowledger struct {
	hookstreamv1.UnimplementedSubscriptionServiceServer
	outcomes []hookstreamv1.AckOutcome
}

func (a *acknowledger) Acknowledge(_ context.Context, req *hookstreamv1.AcknowledgeRequest) (*hookstreamv1.AcknowledgeResponse, error) {
	want := &hookstreamv1.AcknowledgeRequest{Name: "subscriptions/bench"}
	for i := range req.GetSettlements() {
		want.Settlements = append(want.Settlements, &hookstreamv1.Settlement{
			AckToken: ackToken(uint64(i) + 1), Verdict: hookstreamv1.Settlement_VERDICT_ACK,
		})
	}
	if !proto.Equal(req, want) {
		return nil, status.Errorf(codes.InvalidArgument, "%v", req)
	}
	answer := new(hookstreamv1.AcknowledgeResponse)
	for _, o := range a.outcomes {
		answer.Results = append(answer.Results, &hookstreamv1.AckResult{Outcome: o})
	}
	return answer, nil
}

func TestHandIsWhatTheLastMessageHeld(t *testing.T) {
	for _, size := range []int{1, 7, 1000} {
		st := new(Stream)
		if err := st.receiveHand(cut(batchOf(t, 8, 2), size)); err != nil {
			t.Fatal(err)
		}
		first := st.Hand()
		if d := cmp.Diff(Hand{[]uint64{8, 9}, []string{ackToken(8), ackToken(9)}}, first); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if err := st.receiveHand(cut(batchOf(t, 10, 2), size)); err != nil {
			t.Fatal(err)
		}
		if first.Seqs[0] != 8 || first.Tokens[0] != ackToken(8) {
			t.Error("a hand changed when the next came")
		}
		if err := st.receiveHand(nil); err != nil || len(st.Hand().Seqs) > 0 {
			t.Errorf("a message that holds none left %v, %v", st.Hand(), err)
		}
	}
}

func TestAcknowledgeWantsEveryAckConfirmed(t *testing.T) {
	const done, expired = hookstreamv1.AckOutcome_ACK_OUTCOME_DONE, hookstreamv1.AckOutcome_ACK_OUTCOME_EXPIRED
	for _, tc := range []struct {
		name     string
		outcomes []hookstreamv1.AckOutcome
		want     string // in the error; empty: none
	}{
		{"all", []hookstreamv1.AckOutcome{done, done}, ""},
		{"one is not", []hookstreamv1.AckOutcome{done, expired}, "event 2 came to ACK_OUTCOME_EXPIRED"},
		{"one has no answer", []hookstreamv1.AckOutcome{done}, "1 answers for 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			subs := subscribers(t, &sequences{seqs: []uint64{1, 2}}, tc.outcomes...)
			st, err := subs.Open(t.Context(), Handed, &hookstreamv1.SubscribeRequest{Subscription: "subscriptions/bench"})
			if err != nil {
				t.Fatal(err)
			}
			if err := st.Next(); err != nil {
				t.Fatal(err)
			}
			err = st.Acknowledge(t.Context(), st.Hand())
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
