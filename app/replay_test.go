package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// acked acknowledges what one pull of crm answers, and answers how often each event came
// for which replay: "" is none.
func (g *gateway) acked() map[[2]string]int {
	g.t.Helper()
	out := make(map[[2]string]int)
	got, _ := g.mustREST("POST", "/v1/subscriptions/crm:pull", `{"wait": "5s"}`)["deliveries"].([]any)
	for _, one := range got {
		d := one.(map[string]any)
		replay, _ := d["replay"].(string)
		if replayed := d["replayed"] == true; replayed != (replay != "") {
			g.t.Errorf("delivery %v", d)
		}
		out[[2]string{replay, d["event"].(map[string]any)["name"].(string)}]++
		g.mustREST("POST", "/v1/subscriptions/crm:acknowledge", fmt.Sprintf(`{"settlements": [{"ackToken": %q, "verdict": "VERDICT_ACK"}]}`, d["ackToken"]))
	}
	return out
}

// replayIs waits until a replay is in a state.
func (g *gateway) replayIs(name, state string) (now map[string]any) {
	g.t.Helper()
	wait(g.t, name+" to be "+state, func() bool {
		now = g.mustREST("GET", "/v1/"+name, "")
		return now["state"] == state
	})
	return now
}

// sameOverGRPC holds what gRPC says of a replay against what REST did.
func (g *gateway) sameOverGRPC(now map[string]any) {
	g.t.Helper()
	r, err := hookstreamv1.NewSubscriptionServiceClient(g.conn).GetReplay(g.t.Context(), &hookstreamv1.GetReplayRequest{Name: now["name"].(string)})
	if err != nil {
		g.t.Fatal(err)
	}
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(r)
	if err != nil {
		g.t.Fatal(err)
	}
	var said map[string]any
	if err := json.Unmarshal(text, &said); err != nil {
		g.t.Fatal(err)
	}
	for field, value := range now {
		if fmt.Sprint(said[field]) != fmt.Sprint(value) {
			g.t.Errorf("%s: %s is %v over gRPC, %v over REST", now["name"], field, said[field], value)
		}
	}
}

// Two replays at once, one of what a filter finds and one of what was named: each event
// comes once for each, marked with its replay, and both go on after a restart. gRPC says
// of them what REST says.
func TestReplaysSurviveARestart(t *testing.T) {
	o := options(t)
	g := start(t, o)
	src := g.createSource("billing", yousignSource())
	for n := range 4 {
		g.webhook(src.GetIngressPath(), n+1)
	}
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm", `{"selector": {"types": ["signer.*"]}}`)
	const all = "/v1/subscriptions/crm/replays"
	if dry := g.mustREST("POST", all, `{"filter": "type:signer.*", "validateOnly": true}`); dry["totalEvents"] != "4" {
		t.Errorf("it would be %v", dry)
	}
	if list, _ := g.mustREST("GET", all, "")["replays"].([]any); len(list) != 0 {
		t.Errorf("after a count there is %v", list)
	}
	events := g.mustREST("GET", "/v1/events", "")["events"].([]any)
	newest := events[0].(map[string]any)["name"].(string)
	found := g.mustREST("POST", all, `{"replayId": "found", "filter": "type:signer.*"}`)
	named := g.mustREST("POST", all, fmt.Sprintf(`{"replayId": "named", "names": [%q]}`, newest))
	if found["totalEvents"] != "4" || named["totalEvents"] != "1" || found["state"] != "STATE_RUNNING" {
		t.Fatalf("begun %v and %v", found, named)
	}
	g.webhook(src.GetIngressPath(), 5) // it is in neither
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}

	g = start(t, o)
	want := map[[2]string]int{{"subscriptions/crm/replays/named", newest}: 1}
	for _, e := range events {
		want[[2]string{"subscriptions/crm/replays/found", e.(map[string]any)["name"].(string)}] = 1
	}
	got := make(map[[2]string]int)
	for began := time.Now(); len(got) <= len(want) && time.Since(began) < 30*time.Second; {
		for d, n := range g.acked() {
			got[d] += n
		}
	}
	maps.DeleteFunc(got, func(d [2]string, _ int) bool { return d[0] == "" })
	if !maps.Equal(got, want) {
		t.Errorf("came %v\nwant %v", got, want)
	}
	for name, n := range map[string]string{"found": "4", "named": "1"} {
		now := g.replayIs("subscriptions/crm/replays/"+name, "STATE_SUCCEEDED")
		if now["queuedEvents"] != n || now["settledEvents"] != n {
			t.Errorf("%s: %v", name, now)
		}
		g.sameOverGRPC(now)
	}
	if status, out := g.rest("POST", all+"/named:cancel", "{}"); status != http.StatusBadRequest || !strings.Contains(fmt.Sprint(out), "REPLAY_OVER") {
		t.Errorf("cancelling what is over: %d %v", status, out)
	}
	if status, _ := g.rest("POST", all, `{"replayId": "named", "filter": "type:signer.*"}`); status != http.StatusConflict {
		t.Errorf("an id that is taken: %d", status)
	}
}

// What cannot be replayed is told, by what it is that is wrong.
func TestReplaysThatAreRefused(t *testing.T) {
	g := start(t, options(t))
	src := g.createSource("billing", yousignSource())
	g.webhook(src.GetIngressPath(), 1)
	g.mustREST("POST", "/v1/subscriptions?subscriptionId=crm", `{"selector": {"types": ["contact.*"]}}`)
	name := g.mustREST("GET", "/v1/events", "")["events"].([]any)[0].(map[string]any)["name"].(string)
	for _, c := range []struct {
		to, body string
		status   int
		says     string
	}{
		{"crm", `{}`, 400, "either names or a filter"},
		{"crm", fmt.Sprintf(`{"names": [%q], "filter": "type:a"}`, name), 400, "either names or a filter"},
		{"crm", `{"filter": "nonsense:a"}`, 400, "filter"},
		{"crm", `{"filter": "words"}`, 400, "content cannot be searched here"},
		{"crm", `{"filter": "type:contact.* text:words"}`, 400, "text"},
		{"crm", `{"filter": "cel:event.type == \"a\""}`, 400, "cel"},
		{"crm", fmt.Sprintf(`{"names": [%q]}`, name), 400, "does not select it"},
		{"crm", `{"names": ["events/nothing"]}`, 404, "the log does not hold it"},
		{"nobody", `{"filter": "type:a"}`, 404, "RESOURCE_NOT_FOUND"},
		{"crm", `{"filter": "type:a", "replayId": "No"}`, 400, "replay_id"},
		{"crm", `{"filter": "type:a", "eventsPerSecond": -1}`, 400, "events_per_second"},
	} {
		status, out := g.rest("POST", "/v1/subscriptions/"+c.to+"/replays", c.body)
		if status != c.status || !strings.Contains(fmt.Sprint(out), c.says) {
			t.Errorf("%s: %d %v", c.body, status, out)
		}
	}
	// What is not selected among what a filter finds is passed over, and counted.
	g.mustREST("POST", "/v1/subscriptions/crm/replays", `{"replayId": "r", "filter": "type:*"}`)
	if now := g.replayIs("subscriptions/crm/replays/r", "STATE_SUCCEEDED"); now["unselectedEvents"] != "1" || now["totalEvents"] != "1" {
		t.Errorf("it is %v", now)
	}
	if status, _ := g.rest("GET", "/v1/subscriptions/crm/replays/none", ""); status != http.StatusNotFound {
		t.Errorf("a replay that is not there: %d", status)
	}
}
