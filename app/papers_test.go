package app_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/yousign"
)

// paperBodies have what was read from papers, where Yousign says and where it does
// not: the rest of a body.
var paperBodies = []string{
	`"event_name":"document_analysis.done","data":{"document_analysis":{"id":"v","status":"done","extracted_from_document":{"social_security_number":"SECRET"}}}`,
	`"event_name":"document_analysis.done","data":{"document_analysis":{"id":"v","paper":{"first":"SECRET"}}}`,
	`"event_name":"verification.bank_account.done","data":{"bank_account":{"id":"v","holder":"SECRET"}}`,
	`"event_name":"verification.identity_document.done","data":{"identity_document":{"id":"v","data":{"first":"SECRET"}}}`,
	`"event_name":"applicant.processed","data":{"applicant":{"id":"a","found":"SECRET"}}`,
	`"event_name":"workflow_session.done","data":{"workflow_session":{"id":"w","action_groups":[{"actions":[{"resource":{"id":"r","first":"SECRET"}}]}]}}`,
	`"event_name":"kyc.done","data":{"kyc":{"first":"SECRET"}}`,
	`"event_name":"signer.done","kyc":{"first":"SECRET"},"data":{"signer":{"id":"s"}}`,
	`"event_name":"signer.done","metadata":{"kyc":["SECRET"]},"data":{"signer":{"id":"s"}}`,
	`"event_name":"verification.company.done","first":"SECRET","data":{}`,
	`"event_name":"signer.done","first":"SECRET"`,
	`"event_name":"contact.created","data":{"kyc":{"first":"SECRET"}}`,
}

// What was read from papers is shown by nothing that shows events, in no view that
// is given without asking for it, and to no filter; and asking is refused.
func TestPapersAreShownByNothing(t *testing.T) {
	g := start(t, options(t))
	src := g.createSource("papers", yousignSource())
	for i, rest := range paperBodies {
		body := fmt.Sprintf(`{"event_id":"%d",%s}`, i, rest)
		if status := g.post(src.GetIngressPath(), yousign.Sign(secret, []byte(body)), body); status != http.StatusOK {
			t.Fatalf("%s was answered %d", body, status)
		}
	}
	p := &papers{gateway: g}
	wait(t, "the list to have all", func() bool { return len(p.names()) == len(paperBodies) })
	for _, view := range []hookstreamv1.EventView{0, hookstreamv1.EventView_EVENT_VIEW_METADATA, hookstreamv1.EventView_EVENT_VIEW_TYPED} {
		for how, show := range p.ways() {
			shown, err := show(view)
			switch {
			case err != nil:
				t.Errorf("%s, %s: %v", how, view, err)
			case strings.Contains(shown, "SECRET"):
				t.Errorf("%s, %s: it is shown: %s", how, view, shown)
			case strings.Count(shown, `"providerEventId"`) != len(paperBodies):
				t.Errorf("%s, %s: not all are there: %s", how, view, shown)
			case view != hookstreamv1.EventView_EVENT_VIEW_METADATA && strings.Count(shown, `"redactedFields"`) != len(paperBodies):
				t.Errorf("%s, %s: it is not told: %s", how, view, shown)
			}
		}
	}
	for _, view := range []hookstreamv1.EventView{hookstreamv1.EventView_EVENT_VIEW_RAW, hookstreamv1.EventView_EVENT_VIEW_FULL} {
		for how, show := range p.ways() {
			if shown, err := show(view); err == nil || !strings.Contains(err.Error(), "SENSITIVE_FIELDS_WITHHELD") {
				t.Errorf("%s, %s: not refused: %.300s, %v", how, view, shown, err)
			}
		}
	}
	for _, filter := range []string{
		`event.yousign.rest.kyc.first == "SECRET"`, `event.yousign.envelope_rest.first == "SECRET"`, `event.yousign.document_analysis.rest.paper.first == "SECRET"`,
		`event.yousign.data_rest.kyc.first == "SECRET"`, `"SECRET" in event.yousign.metadata_rest.kyc`,
	} {
		if shown, err := p.streamed(&hookstreamv1.SubscribeRequest{Selector: &hookstreamv1.EventSelector{Filter: filter}}); err != nil || strings.Contains(shown, "providerEventId") {
			t.Errorf("%s selects: %s, %v", filter, shown, err)
		}
	}
}

// papers asks for all events in every way there is.
type papers struct {
	*gateway
	subscriptions int
}

func (p *papers) ways() map[string]func(hookstreamv1.EventView) (string, error) {
	return map[string]func(hookstreamv1.EventView) (string, error){
		"Subscribe": func(view hookstreamv1.EventView) (string, error) {
			return p.streamed(&hookstreamv1.SubscribeRequest{View: view})
		},
		"Subscribe to a subscription": func(view hookstreamv1.EventView) (string, error) {
			return p.streamed(&hookstreamv1.SubscribeRequest{View: view, Subscription: p.subscription()})
		},
		"Pull": func(view hookstreamv1.EventView) (string, error) {
			name := p.subscription()
			return untilAll(func() (string, error) {
				got, err := hookstreamv1.NewSubscriptionServiceClient(p.conn).Pull(p.t.Context(), &hookstreamv1.PullRequest{Name: name, View: view, MaxEvents: 100})
				return protojson.Format(got), named(err)
			})
		},
		"ListEvents": func(view hookstreamv1.EventView) (string, error) {
			got, err := hookstreamv1.NewEventServiceClient(p.conn).ListEvents(p.t.Context(), &hookstreamv1.ListEventsRequest{View: view})
			return protojson.Format(got), named(err)
		},
		"GetEvent": func(view hookstreamv1.EventView) (all string, err error) {
			for _, name := range p.names() {
				got, err := hookstreamv1.NewEventServiceClient(p.conn).GetEvent(p.t.Context(), &hookstreamv1.GetEventRequest{Name: name, View: view})
				if err != nil {
					return "", named(err)
				}
				all += protojson.Format(got)
			}
			return all, nil
		},
		"NDJSON": func(view hookstreamv1.EventView) (string, error) {
			return p.text("GET", "/v1/events:subscribe?earliest=true&atHead=true&view="+view.String(), "", "application/json")
		},
		"SSE": func(view hookstreamv1.EventView) (string, error) {
			return p.text("GET", "/v1/events:subscribe?earliest=true&atHead=true&view="+view.String(), "", "text/event-stream")
		},
		"Pull over REST": func(view hookstreamv1.EventView) (string, error) {
			name := p.subscription()
			return untilAll(func() (string, error) {
				return p.text("POST", "/v1/"+name+":pull", `{"maxEvents":100,"view":"`+view.String()+`"}`, "")
			})
		},
		"ListEvents over REST": func(view hookstreamv1.EventView) (string, error) {
			return p.text("GET", "/v1/events?view="+view.String(), "", "")
		},
		"GetEvent over REST": func(view hookstreamv1.EventView) (all string, err error) {
			for _, name := range p.names() {
				got, err := p.text("GET", "/v1/"+name+"?view="+view.String(), "", "")
				if err != nil {
					return "", err
				}
				all += got
			}
			return all, nil
		},
	}
}

// untilAll pulls until it has all events: an answer may have some.
func untilAll(pull func() (string, error)) (all string, err error) {
	for strings.Count(all, `"providerEventId"`) < len(paperBodies) {
		got, err := pull()
		if err != nil {
			return "", err
		}
		all += got
	}
	return all, nil
}

// named is an error with its reason in its text.
func named(err error) error {
	if st, ok := status.FromError(err); ok && err != nil {
		return fmt.Errorf("%w: %v", err, st.Details())
	}
	return err
}

// subscription answers a new one, to all events.
func (p *papers) subscription() string {
	p.t.Helper()
	p.subscriptions++
	id := fmt.Sprintf("papers-%d", p.subscriptions)
	p.mustREST("POST", "/v1/subscriptions?subscriptionId="+id+"&earliest=true", `{}`)
	return "subscriptions/" + id
}

// streamed answers the frames of a stream of all events.
func (p *papers) streamed(req *hookstreamv1.SubscribeRequest) (all string, err error) {
	p.t.Helper()
	if req.Subscription == "" {
		req.Start, req.Stop = &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}, &hookstreamv1.SubscribeRequest_AtHead{AtHead: true}
	}
	for stream := p.subscribe(req); strings.Count(all, `"providerEventId"`) < len(paperBodies); {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", named(err)
		}
		all += protojson.Format(frame)
	}
	return all, nil
}

// text answers what REST says.
func (p *papers) text(method, path, body, accept string) (string, error) {
	req, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.Addrs().HTTP+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = status.Error(codes.Unknown, string(b))
	}
	return strings.ReplaceAll(string(b), `": "`, `":"`), err
}

// names are those of all events.
func (p *papers) names() (names []string) {
	p.t.Helper()
	got, err := hookstreamv1.NewEventServiceClient(p.conn).ListEvents(p.t.Context(), &hookstreamv1.ListEventsRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range got.GetEvents() {
		names = append(names, e.GetName())
	}
	return names
}
