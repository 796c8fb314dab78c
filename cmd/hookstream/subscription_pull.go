package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// cliClientID is what the commands call themselves.
const cliClientID = "hookstream cli"

type subscriptionPullCommand struct {
	connection
	output
	subscriptionArgument
	Max  int32         `help:"Take this many at most: 1 to 1000." default:"10" placeholder:"N"`
	For  time.Duration `help:"How long to wait for the first one, up to 20s." default:"0s" placeholder:"DURATION"`
	View string        `help:"How much of each event to get: metadata, typed, raw, full." enum:"metadata,typed,raw,full" default:"typed" placeholder:"VIEW"`
	Ack  bool          `help:"Acknowledge what was printed."`
}

// Run takes deliveries and prints them with their tokens.
func (c *subscriptionPullCommand) Run(ctx context.Context, p *program) error {
	if c.Max < 1 {
		return misused("--max is 1 to 1000")
	}
	// A wait that is longer than a call may last ends before it.
	req := &hookstreamv1.PullRequest{
		Name: c.name(), MaxEvents: c.Max, Wait: durationpb.New(c.For), View: views[c.View], ClientId: cliClientID,
	}
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		resp, err := client.Pull(ctx, req)
		if err != nil {
			return err
		}
		if err := c.print(p, resp); err != nil || !c.Ack || len(resp.GetDeliveries()) == 0 {
			return err
		}
		if err := syncFile(p.stdout); err != nil {
			return err
		}
		tokens := make([]string, 0, len(resp.GetDeliveries()))
		for _, d := range resp.GetDeliveries() {
			tokens = append(tokens, d.GetAckToken())
		}
		answer, err := client.Acknowledge(ctx, acks(c.name(), tokens))
		if err != nil {
			return err
		}
		return settled(answer.GetResults())
	})
}

func (c *subscriptionPullCommand) print(p *program, resp *hookstreamv1.PullResponse) error {
	if c.forProgram() {
		return c.write(p.stdout, resp)
	}
	if resp.GetGap() != nil {
		p.say("%s", gapWords(resp.GetGap()))
	}
	if len(resp.GetDeliveries()) == 0 {
		p.say("nothing to hand out")
		return nil
	}
	var rows [][]string
	for _, d := range resp.GetDeliveries() {
		e := d.GetEvent()
		rows = append(rows, []string{
			e.GetName(), e.GetType(), e.GetEntity(), strconv.Itoa(int(d.GetAttempt())), timeOf(d.GetAckDeadline()), d.GetAckToken(),
		})
	}
	heading := []string{"EVENT", "TYPE", "ENTITY", "ATTEMPT", "DEADLINE", "TOKEN"}
	if c.wide() {
		heading = append(heading, "SOURCE", "RECEIVED")
		for i, d := range resp.GetDeliveries() {
			rows[i] = append(rows[i], d.GetEvent().GetSource(), timeOf(d.GetEvent().GetReceiveTime()))
		}
	}
	return writeTable(p.stdout, heading, rows)
}

type subscriptionAckCommand struct {
	connection
	output
	subscriptionArgument
	Token  []string `arg:"" help:"Tokens as pull and tail print them; - reads them from standard input, one a line."`
	As     string   `help:"What becomes of them: ack is done; retry, later; release, not begun, to somebody else at the cost of no attempt; park, set aside for an operator; skip, given up; extend, takes longer." enum:"ack,retry,release,park,skip,extend" default:"ack" placeholder:"ack|retry|release|park|skip|extend"`
	Delay  *span    `help:"With retry: how long to wait; the subscription's back-off unless said otherwise." placeholder:"DURATION"`
	By     *span    `help:"With extend: the new deadline from now; the subscription's unless said otherwise." placeholder:"DURATION"`
	Reason string   `help:"With retry, park and skip: why, for whoever looks at what was parked." placeholder:"TEXT" empty:"ok"`
}

// Run settles deliveries. It fails when one of them was not settled.
func (c *subscriptionAckCommand) Run(ctx context.Context, p *program) error {
	tokens, err := c.tokens(p)
	if err != nil {
		return err
	}
	req, err := c.request(tokens)
	if err != nil {
		return err
	}
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		resp, err := client.Acknowledge(ctx, req)
		if err != nil {
			return err
		}
		if c.forProgram() {
			err = c.write(p.stdout, resp)
		} else {
			err = p.printResults(resp.GetResults())
		}
		if err != nil {
			return err
		}
		return settled(resp.GetResults())
	})
}

// tokens answers the arguments, with standard input in the place of a dash.
func (c *subscriptionAckCommand) tokens(p *program) ([]string, error) {
	var tokens []string
	for _, token := range c.Token {
		if token != "-" {
			tokens = append(tokens, token)
			continue
		}
		in := bufio.NewScanner(p.stdin)
		for in.Scan() {
			if line := strings.TrimSpace(in.Text()); line != "" {
				tokens = append(tokens, line)
			}
		}
		if err := in.Err(); err != nil {
			return nil, fmt.Errorf("read tokens: %w", err)
		}
	}
	if len(tokens) == 0 {
		return nil, misused("there is no token on standard input")
	}
	return tokens, nil
}

var verdicts = map[string]hookstreamv1.Settlement_Verdict{
	"ack":     hookstreamv1.Settlement_VERDICT_ACK,
	"retry":   hookstreamv1.Settlement_VERDICT_RETRY,
	"release": hookstreamv1.Settlement_VERDICT_RELEASE,
	"park":    hookstreamv1.Settlement_VERDICT_PARK,
	"skip":    hookstreamv1.Settlement_VERDICT_SKIP,
	"extend":  hookstreamv1.Settlement_VERDICT_EXTEND,
}

func (c *subscriptionAckCommand) request(tokens []string) (*hookstreamv1.AcknowledgeRequest, error) {
	switch {
	case c.Delay != nil && c.As != "retry":
		return nil, misused("--delay is for --as retry")
	case c.By != nil && c.As != "extend":
		return nil, misused("--by is for --as extend")
	case c.Reason != "" && c.As != "retry" && c.As != "park" && c.As != "skip":
		return nil, misused("--reason is for --as retry, park and skip")
	}
	return settlements(c.name(), tokens, &hookstreamv1.Settlement{
		Verdict: verdicts[c.As], Delay: durationOf(c.Delay), Reason: c.Reason, Extension: durationOf(c.By),
	}), nil
}

func durationOf(s *span) *durationpb.Duration {
	if s == nil {
		return nil
	}
	return durationpb.New(time.Duration(*s))
}

func (p *program) printResults(results []*hookstreamv1.AckResult) error {
	var rows [][]string
	for _, r := range results {
		rows = append(rows, []string{outcomeOf(r), timeOf(r.GetAckDeadline()), cmp.Or(r.GetNewAckToken(), r.GetAckToken())})
	}
	return writeTable(p.stdout, []string{"OUTCOME", "DEADLINE", "TOKEN"}, rows)
}

func outcomeOf(r *hookstreamv1.AckResult) string {
	return wordOf(r.GetOutcome().String(), "ACK_OUTCOME_")
}

// settled is an error when not everything was settled.
func settled(results []*hookstreamv1.AckResult) error {
	bad := map[string]int{}
	for _, r := range results {
		switch r.GetOutcome() {
		case hookstreamv1.AckOutcome_ACK_OUTCOME_DONE, hookstreamv1.AckOutcome_ACK_OUTCOME_PARKED:
		default:
			bad[outcomeOf(r)]++
		}
	}
	if len(bad) == 0 {
		return nil
	}
	var parts []string
	for outcome, n := range bad {
		parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
	}
	slices.Sort(parts)
	return hinted(fmt.Errorf("not settled, of %d: %s", len(results), strings.Join(parts, ", ")),
		"an expired delivery is handed out again; its new token settles it")
}

// acks says that deliveries are done with.
func acks(subscription string, tokens []string) *hookstreamv1.AcknowledgeRequest {
	return settlements(subscription, tokens, &hookstreamv1.Settlement{Verdict: hookstreamv1.Settlement_VERDICT_ACK})
}

// settlements says the same of all deliveries.
func settlements(subscription string, tokens []string, what *hookstreamv1.Settlement) *hookstreamv1.AcknowledgeRequest {
	req := &hookstreamv1.AcknowledgeRequest{Name: subscription}
	for _, token := range tokens {
		req.Settlements = append(req.Settlements, &hookstreamv1.Settlement{
			AckToken: token, Verdict: what.GetVerdict(), Delay: what.GetDelay(), Reason: what.GetReason(), Extension: what.GetExtension(),
		})
	}
	return req
}
