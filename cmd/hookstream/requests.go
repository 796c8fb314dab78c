package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// requestsCommand groups what looks at requests that were refused.
type requestsCommand struct {
	List     requestListCommand     `cmd:"" help:"List requests that were refused, that which came last first."`
	Show     requestShowCommand     `cmd:"" help:"Show one request that was refused."`
	Reverify requestReverifyCommand `cmd:"" help:"Check requests with today's secrets, and say what most likely happened to those that are not genuine. Changes nothing."`
	Promote  requestPromoteCommand  `cmd:"" help:"Publish what is genuine by today's secrets, in the order of arrival, each once."`
}

// A requestSearch says which requests are meant.
type requestSearch struct {
	Filter string `help:"Only requests that fit: words key:value, which must all hold, of source, cause, reason, remote, method, id, sha256, promoted, after, before. - negates a word, a comma separates alternatives, * stands for anything." placeholder:"FILTER" variable:"none"`
}

// refused says of what is wrong with a filter that it is the flag's.
func (s requestSearch) refused(err error) error {
	return filterRefused(err, `as: --filter 'source:billing cause:forged after:2h'`)
}

// withRequests calls f with a client of the gateway's requests.
func (c connection) withRequests(ctx context.Context, f func(context.Context, hookstreamv1.RequestServiceClient) error) error {
	return c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		return f(ctx, hookstreamv1.NewRequestServiceClient(conn))
	})
}

type requestListCommand struct {
	connection
	output
	requestSearch
	Limit int `help:"The most requests to show; 0 for all." default:"50" placeholder:"N"`
}

// Run lists requests.
func (c *requestListCommand) Run(ctx context.Context, p *program) error {
	if c.Limit < 0 {
		return usageError{errors.New("--limit must not be negative")}
	}
	return c.withRequests(ctx, func(ctx context.Context, client hookstreamv1.RequestServiceClient) error {
		all, err := c.find(ctx, client)
		switch {
		case err != nil:
			return c.refused(err)
		case c.forProgram():
			return c.write(p.stdout, &hookstreamv1.ListRequestsResponse{Requests: all})
		case len(all) == 0:
			_, err := fmt.Fprintln(p.stderr, "no request fits")
			return err
		}
		return c.print(p, all)
	})
}

// find answers as many as are to be shown.
func (c *requestListCommand) find(ctx context.Context, client hookstreamv1.RequestServiceClient) ([]*hookstreamv1.Request, error) {
	left := c.Limit
	return everyPage(func(token string) ([]*hookstreamv1.Request, string, error) {
		size := pageItems
		if c.Limit > 0 {
			size = min(left, pageItems)
		}
		page, err := client.ListRequests(ctx, &hookstreamv1.ListRequestsRequest{Filter: c.Filter, PageSize: int32(size), PageToken: token})
		if left -= len(page.GetRequests()); c.Limit > 0 && left <= 0 {
			return page.GetRequests(), "", err
		}
		return page.GetRequests(), page.GetNextPageToken(), err
	})
}

func (c *requestListCommand) print(p *program, all []*hookstreamv1.Request) error {
	heading := []string{"RECEIVED", "NAME", "SOURCE", "CAUSE", "REASON", "FROM", "COUNT", "EVENT"}
	if c.wide() {
		heading = append(heading, "STATUS", "BYTES", "FIRST", "PROMOTED")
	}
	rows := make([][]string, 0, len(all))
	for _, r := range all {
		row := []string{timeOf(r.GetLastReceiveTime()), r.GetName(), r.GetSource(), causeOf(r), r.GetReason(), r.GetRemoteAddress(), strconv.FormatInt(r.GetCount(), 10), r.GetEvent()}
		if c.wide() {
			row = append(row, strconv.Itoa(int(r.GetHttpStatus())), strconv.FormatInt(r.GetSizeBytes(), 10), timeOf(r.GetReceiveTime()), timeOf(r.GetPromoteTime()))
		}
		rows = append(rows, row)
	}
	return writeTable(p.stdout, heading, rows)
}

func causeOf(r *hookstreamv1.Request) string {
	return strings.ToLower(strings.TrimPrefix(r.GetCause().String(), "REFUSAL_CAUSE_"))
}

type requestShowCommand struct {
	connection
	output
	Name string `arg:"" help:"The request's name: requests/… or what follows the slash."`
	Raw  bool   `name:"raw-body" help:"Print nothing but what is kept of the body, byte for byte. Needs a source that includes sensitive fields."`
}

// Run shows a request, and why it is refused today.
func (c *requestShowCommand) Run(ctx context.Context, p *program) error {
	return c.withRequests(ctx, func(ctx context.Context, client hookstreamv1.RequestServiceClient) error {
		id := strings.TrimPrefix(c.Name, "requests/")
		req := &hookstreamv1.GetRequestRequest{Name: "requests/" + id}
		if c.Raw {
			req.View = hookstreamv1.RequestView_REQUEST_VIEW_FULL
		}
		r, err := client.GetRequest(ctx, req)
		switch {
		case err != nil:
			return err
		case c.Raw:
			_, err = p.stdout.Write(r.GetBody())
			return err
		case c.forProgram():
			return c.write(p.stdout, r)
		}
		again, err := client.ReverifyRequests(ctx, &hookstreamv1.ReverifyRequestsRequest{Filter: `id:"` + id + `"`})
		if err != nil {
			return err
		}
		return p.printRequest(r, again.GetVerdicts())
	})
}

// printRequest shows a request to people, and what it is found to be.
func (p *program) printRequest(r *hookstreamv1.Request, verdicts []*hookstreamv1.RequestVerdict) error {
	size := fmt.Sprintf("%d bytes", r.GetSizeBytes())
	if r.GetBodyCut() {
		size += ", not kept whole"
	}
	properties := []property{
		{"name", r.GetName()},
		{"source", r.GetSource()},
		{"cause", causeOf(r)},
		{"reason", r.GetReason()},
		{"detail", r.GetDetail()},
		{"received", timeOf(r.GetReceiveTime())},
		{"received last", timeOf(r.GetLastReceiveTime())},
		{"count", strconv.FormatInt(r.GetCount(), 10)},
		{"from", r.GetRemoteAddress()},
		{"request", r.GetMethod() + " " + r.GetPath()},
		{"answered", fmt.Sprintf("%d after %s", r.GetHttpStatus(), r.GetLatency().AsDuration())},
		{"body", size},
		{"sha256", r.GetSha256()},
	}
	for _, h := range r.GetHeaders() {
		properties = append(properties, property{"header", h.GetName() + ": " + h.GetValue()})
	}
	properties = append(properties, property{"promoted", timeOf(r.GetPromoteTime())}, property{"event", r.GetEvent()})
	for _, v := range verdicts {
		for _, s := range v.GetSteps() {
			properties = append(properties, property{s.GetName(), s.GetText()})
		}
		properties = append(properties, property{"today", verdictText(v)}, property{"hint", v.GetEvidence()})
	}
	return writeProperties(p.stdout, properties...)
}

func verdictText(v *hookstreamv1.RequestVerdict) string {
	text := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(v.GetOutcome().String(), "OUTCOME_")), "_", " ")
	if v.GetReason() != "" {
		text += ": " + v.GetReason()
	}
	return text
}

type requestReverifyCommand struct {
	connection
	output
	requestSearch
}

// Run checks requests.
func (c *requestReverifyCommand) Run(ctx context.Context, p *program) error {
	return c.withRequests(ctx, func(ctx context.Context, client hookstreamv1.RequestServiceClient) error {
		sum := new(hookstreamv1.ReverifyRequestsResponse)
		for req := (&hookstreamv1.ReverifyRequestsRequest{Filter: c.Filter}); ; {
			page, err := client.ReverifyRequests(ctx, req)
			if err != nil {
				return c.refused(err)
			}
			sum.GenuineRequests += page.GetGenuineRequests()
			sum.NotGenuineRequests += page.GetNotGenuineRequests()
			sum.UnknownRequests += page.GetUnknownRequests()
			sum.Verdicts = append(sum.Verdicts, page.GetVerdicts()...)
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if c.forProgram() {
			return c.write(p.stdout, sum)
		}
		if err := printVerdicts(p, sum.GetVerdicts(), true); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "%d genuine, %d not genuine, %d unknown\n", sum.GetGenuineRequests(), sum.GetNotGenuineRequests(), sum.GetUnknownRequests())
		return err
	})
}

// printVerdicts tells of each request what it is found to be.
func printVerdicts(p *program, all []*hookstreamv1.RequestVerdict, evidence bool) error {
	if len(all) == 0 {
		return nil
	}
	heading := []string{"REQUEST", "VERDICT", "EVENT"}
	if evidence {
		heading = append(heading, "EVIDENCE")
	}
	rows := make([][]string, 0, len(all))
	for _, v := range all {
		row := []string{v.GetRequest(), verdictText(v), v.GetEvent()}
		if evidence {
			row = append(row, v.GetEvidence())
		}
		rows = append(rows, row)
	}
	return writeTable(p.stdout, heading, rows)
}

type requestPromoteCommand struct {
	connection
	output
	requestSearch
	All          bool `help:"All requests: needed when there is no --filter."`
	ValidateOnly bool `help:"Only say what would be published."`
}

// Run publishes requests.
func (c *requestPromoteCommand) Run(ctx context.Context, p *program) error {
	if c.All == (c.Filter != "") {
		return misused("either --filter or --all must say which requests")
	}
	return c.withRequests(ctx, func(ctx context.Context, client hookstreamv1.RequestServiceClient) error {
		sum := new(hookstreamv1.PromoteRequestsResponse)
		for req := (&hookstreamv1.PromoteRequestsRequest{Filter: c.Filter, ValidateOnly: c.ValidateOnly}); ; {
			page, err := client.PromoteRequests(ctx, req)
			if err != nil {
				return c.refused(err)
			}
			sum.PublishedRequests += page.GetPublishedRequests()
			sum.DuplicateRequests += page.GetDuplicateRequests()
			sum.PendingRequests += page.GetPendingRequests()
			sum.LeftRequests += page.GetLeftRequests()
			sum.Verdicts = append(sum.Verdicts, page.GetVerdicts()...)
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if c.forProgram() {
			return c.write(p.stdout, sum)
		}
		if err := printVerdicts(p, sum.GetVerdicts(), false); err != nil {
			return err
		}
		what := "published"
		if c.ValidateOnly {
			what = "would be published"
		}
		_, err := fmt.Fprintf(p.stdout, "%d %s, %d duplicates, %d pending, %d left\n", sum.GetPublishedRequests(), what,
			sum.GetDuplicateRequests(), sum.GetPendingRequests(), sum.GetLeftRequests())
		return err
	})
}
