package simulate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
	"github.com/hookstream/hookstream/simulator"
	"github.com/hookstream/hookstream/simulator/simulatortest"
)

func start(t *testing.T, opts simulate.Options) *simulate.API {
	t.Helper()
	api, err := simulate.Start("127.0.0.1:0", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	})
	return api
}

// An answer is the status and body of a call; err when the connection was dropped.
type answer struct {
	status int
	header http.Header
	body   gjson.Result
	err    error
}

// ask calls the API with a bearer.
func ask(t *testing.T, api *simulate.API, bearer, method, path string, question any) answer {
	t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, api.URL()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: gjson.ParseBytes(text), err: err}
}

const checkPath = "/tokens/webhook-verification/checking-consumption"

// check asks about a token with the application's own key.
func check(t *testing.T, api *simulate.API, token string) answer {
	t.Helper()
	app := api.App()
	return ask(t, api, app.Keys[0], "POST", "/v4"+checkPath, map[string]string{"token": token, "appId": app.ID, "appEnv": app.Env})
}

func mint(api *simulate.API) string { return api.MintToken(api.App().ID, api.App().Env) }

func setFaults(t *testing.T, api *simulate.API, f simulate.Faults) {
	t.Helper()
	if err := api.SetFaults(f); err != nil {
		t.Fatal(err)
	}
}

// trueFlags answers which flags of a verdict are raised.
func trueFlags(a answer) []string {
	var flags []string
	a.body.ForEach(func(k, v gjson.Result) bool {
		if v.Type == gjson.True {
			flags = append(flags, k.Str)
		}
		return true
	})
	slices.Sort(flags)
	return flags
}

func TestTokenIsGoodForOneOfManyChecks(t *testing.T) {
	api := start(t, simulate.Options{})
	token := mint(api)
	if len(token) != 46 {
		t.Errorf("a token of %d characters", len(token))
	}
	var valid, consumed atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			a := check(t, api, token)
			if a.body.Get("isValid").Bool() && a.body.Get("haveBeenConsumed").Bool() {
				valid.Add(1)
			}
			if a.body.Get("alreadyConsumed").Bool() {
				consumed.Add(1)
			}
		})
	}
	all.Wait()
	if valid.Load() != 1 || consumed.Load() != 49 || api.Checks(token) != 50 {
		t.Errorf("%d times valid, %d times consumed, %d checks", valid.Load(), consumed.Load(), api.Checks(token))
	}
	if n := api.Counts(); n.Checks != 50 || n.Spent != 1 {
		t.Errorf("counted %+v", n)
	}
}

// twoApps is an API for two applications and a clock that the test owns.
func twoApps(t *testing.T, opts simulate.Options) (*simulate.API, *atomic.Int64) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	opts.Apps = []simulate.App{{ID: "appId_one", Env: "STAGING"}, {ID: "appId_two", Env: "STAGING"}}
	opts.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
	return start(t, opts), &clock
}

// badTokens makes one token of every kind that a check refuses.
func badTokens(t *testing.T, api *simulate.API, clock *atomic.Int64) map[string]string {
	app := api.App()
	outlived := mint(api)
	clock.Add(60)
	spent := mint(api)
	check(t, api, spent)
	return map[string]string{
		"notFound": "unheard-of", "alreadyConsumed": spent, "isExpired": outlived,
		"badTarget": api.MintOtherToken(app.ID, app.Env), "badRelatedId": api.MintToken("appId_two", "STAGING"),
	}
}

func TestEveryRefusalRaisesItsFlag(t *testing.T) {
	api, clock := twoApps(t, simulate.Options{TokenLifetime: time.Minute})
	for flag, token := range badTokens(t, api, clock) {
		a := check(t, api, token)
		if a.status != 200 || !cmp.Equal(trueFlags(a), []string{flag}) || a.body.Get("isValid").Type != gjson.False {
			t.Errorf("%s: %d, %s", flag, a.status, a.body)
		}
	}
}

func TestRefusalsComeAsErrorsIfAskedFor(t *testing.T) {
	api, clock := twoApps(t, simulate.Options{TokenLifetime: time.Minute, RefusalStatus: 400})
	codes := map[string]string{
		"notFound": "TOKEN_NOT_FOUND", "alreadyConsumed": "TOKEN_ALREADY_CONSUMED", "isExpired": "TOKEN_EXPIRED",
		"badTarget": "TOKEN_INVALID", "badRelatedId": "TOKEN_INVALID",
	}
	for flag, token := range badTokens(t, api, clock) {
		a := check(t, api, token)
		if a.status != 400 || a.body.Get("code").Str != codes[flag] {
			t.Errorf("%s: %d, %s", flag, a.status, a.body)
		}
	}
}

func TestRefusedTokenIsNotSpent(t *testing.T) {
	api := start(t, simulate.Options{})
	token := mint(api)
	setFaults(t, api, simulate.Faults{ExpireTokens: true})
	if a := check(t, api, token); !cmp.Equal(trueFlags(a), []string{"isExpired"}) {
		t.Errorf("expired: %s", a.body)
	}
	setFaults(t, api, simulate.Faults{})
	if a := check(t, api, token); !a.body.Get("isValid").Bool() {
		t.Errorf("after the fault: %s", a.body)
	}
}

func TestLostAnswerSpendsTheToken(t *testing.T) {
	api := start(t, simulate.Options{})
	token := mint(api)
	setFaults(t, api, simulate.Faults{LoseAnswer: true, Times: 1})
	if a := check(t, api, token); a.err == nil {
		t.Errorf("an answer came: %s", a.body)
	}
	if a := check(t, api, token); !cmp.Equal(trueFlags(a), []string{"alreadyConsumed"}) {
		t.Errorf("second check: %s", a.body)
	}
	if api.Checks(token) != 2 {
		t.Errorf("%d checks", api.Checks(token))
	}
}

func TestUntakenCallSpendsNothing(t *testing.T) {
	api := start(t, simulate.Options{})
	for name, c := range map[string]struct {
		faults simulate.Faults
		status int // 0: dropped
	}{
		"dropped":     {simulate.Faults{Down: simulate.DownDrop}, 0},
		"unavailable": {simulate.Faults{Down: simulate.Down503}, 503},
		"limited":     {simulate.Faults{RateLimited: true, RetryAfter: 7 * time.Second}, 429},
		"refused":     {simulate.Faults{RefuseCredentials: true}, 401},
	} {
		token := mint(api)
		setFaults(t, api, c.faults)
		a := check(t, api, token)
		if a.status != c.status || (a.err != nil) != (c.status == 0) || api.Checks(token) != 0 {
			t.Errorf("%s: status %d, error %v, %d checks", name, a.status, a.err, api.Checks(token))
		}
		if got := a.header.Get("Retry-After"); c.status == 429 && got != "7" {
			t.Errorf("%s: Retry-After %q", name, got)
		}
		setFaults(t, api, simulate.Faults{})
		if a := check(t, api, token); !a.body.Get("isValid").Bool() {
			t.Errorf("%s, afterwards: %s", name, a.body)
		}
	}
}

func TestSlowAnswerIsToATokenSpentAtOnce(t *testing.T) {
	api := start(t, simulate.Options{})
	token := mint(api)
	setFaults(t, api, simulate.Faults{Delay: time.Hour, Times: 1})
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		body := strings.NewReader(`{"token":"` + token + `","appId":"` + api.App().ID + `","appEnv":"DEVELOPMENT"}`)
		req, _ := http.NewRequestWithContext(ctx, "POST", api.URL()+"/v4"+checkPath, body)
		req.Header.Set("Authorization", "Bearer "+api.App().Keys[0])
		_, err := http.DefaultClient.Do(req)
		gone <- err
	}()
	until(t, func() bool { return api.Checks(token) == 1 })
	if a := check(t, api, token); !cmp.Equal(trueFlags(a), []string{"alreadyConsumed"}) {
		t.Errorf("while the answer lingers: %s", a.body)
	}
	giveUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("the slow answer: %v", err)
	}
}

func TestFaultsSwitchAtRunTimeOverHTTP(t *testing.T) {
	api := start(t, simulate.Options{})
	put := func(f string) answer { return ask(t, api, "", "PUT", "/_simulator/faults", json.RawMessage(f)) }
	if a := put(`{"rateLimited": true, "retryAfter": "2s"}`); a.status != 200 {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	if got, want := api.Faults(), (simulate.Faults{RateLimited: true, RetryAfter: 2 * time.Second}); got != want {
		t.Errorf("in force: %+v", got)
	}
	if a := check(t, api, mint(api)); a.status != 429 {
		t.Errorf("with the fault: %d", a.status)
	}
	if a := put(`{}`); a.status != 200 || check(t, api, mint(api)).status != 200 {
		t.Errorf("without: %s", a.body)
	}
	for _, bad := range []string{`{"down":"a bit"}`, `{"dwon":"drop"}`, `{"delay":"5"}`, `{"times":-1}`, `[]`} {
		setFaults(t, api, simulate.Faults{})
		if a := put(bad); a.status != 400 || api.Faults() != (simulate.Faults{}) {
			t.Errorf("%s: %d, %+v", bad, a.status, api.Faults())
		}
	}
}

func TestFaultsSurviveTheirJSON(t *testing.T) {
	want := simulate.Faults{
		Down: simulate.Down503, RateLimited: true, RetryAfter: time.Minute, RefuseCredentials: true,
		ExpireTokens: true, Delay: 30 * time.Millisecond, LoseAnswer: true, Times: 3,
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got simulate.Faults
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%s: %+v, %v", text, got, err)
	}
}

func TestFaultsEndAfterTheirTimes(t *testing.T) {
	api := start(t, simulate.Options{})
	setFaults(t, api, simulate.Faults{Down: simulate.Down503, Times: 2})
	var statuses []int
	for range 3 {
		statuses = append(statuses, check(t, api, mint(api)).status)
	}
	if !cmp.Equal(statuses, []int{503, 503, 200}) || api.Counts().Struck != 2 {
		t.Errorf("%v, %d struck", statuses, api.Counts().Struck)
	}
}

// exchange gives the application's old key for a JWT.
func exchange(t *testing.T, api *simulate.API, version string) string {
	t.Helper()
	app := api.App()
	a := ask(t, api, "", "POST", version+"/auth/app-api", map[string]string{"appId": app.ID, "appEnv": app.Env, "secret": app.Keys[1]})
	if a.status != 200 || a.body.Get("jwtToken").Str == "" {
		t.Fatalf("exchange: %d, %s", a.status, a.body)
	}
	return a.body.Get("jwtToken").Str
}

func TestOutdatedJWTIsRefused(t *testing.T) {
	api, clock := twoApps(t, simulate.Options{JWTLifetime: time.Minute})
	app := api.App()
	jwt := exchange(t, api, "/v4")
	use := func(bearer string) int {
		return ask(t, api, bearer, "GET", "/v4/applications/"+app.ID+"/envs/"+app.Env+"/webhooks", nil).status
	}
	if got := use(jwt); got != 200 {
		t.Errorf("fresh: %d", got)
	}
	clock.Add(59)
	if got := use(jwt); got != 200 {
		t.Errorf("a second before its end: %d", got)
	}
	clock.Add(1)
	if got := use(jwt); got != 401 {
		t.Errorf("at its end: %d", got)
	}
	if got := use(exchange(t, api, "/v3")); got != 200 {
		t.Errorf("renewed: %d", got)
	}
}

func TestOnlyGoodCredentialsAreTaken(t *testing.T) {
	api, _ := twoApps(t, simulate.Options{})
	app, jwt := api.App(), exchange(t, api, "/v4")
	path := "/v4/applications/" + app.ID + "/envs/" + app.Env + "/webhooks"
	for name, bearer := range map[string]string{
		"none": "", "an old key": app.Keys[1], "another key": "skv2_staging_one_guessed",
		"an altered JWT": jwt[:len(jwt)-4] + "AAAA", "no JWT": "a.b.c",
	} {
		if a := ask(t, api, bearer, "GET", path, nil); a.status != 401 || a.body.Get("code").Str == "" {
			t.Errorf("%s: %d, %s", name, a.status, a.body)
		}
	}
	for _, secret := range []string{"guessed", ""} {
		a := ask(t, api, "", "POST", "/v4/auth/app-api", map[string]string{"appId": app.ID, "appEnv": app.Env, "secret": secret})
		if a.status/100 != 4 || a.body.Get("jwtToken").Exists() {
			t.Errorf("secret %q: %d, %s", secret, a.status, a.body)
		}
	}
	if a := ask(t, api, app.Keys[0], "GET", "/v4/applications/appId_two/envs/STAGING/webhooks", nil); a.status != 403 {
		t.Errorf("another application: %d", a.status)
	}
}

func TestEndpointsAreCreatedChangedAndDeleted(t *testing.T) {
	api := start(t, simulate.Options{})
	key, all := api.App().Keys[0], "/v4/applications/"+api.App().ID+"/envs/"+api.App().Env+"/webhooks"
	urls := func(a answer) []string {
		var urls []string
		for _, h := range a.body.Array() {
			urls = append(urls, h.Get("url").Str)
		}
		return urls
	}
	a := ask(t, api, key, "GET", all, nil)
	if a.status != 200 || a.body.Raw[0] != '[' || len(urls(a)) != 0 {
		t.Errorf("at first: %d, %s", a.status, a.body)
	}
	ask(t, api, key, "POST", all, map[string]string{"url": "http://127.0.0.1:1/a"})
	a = ask(t, api, key, "POST", all, map[string]string{"url": "http://127.0.0.1:1/b", "description": "second"})
	if want := []string{"http://127.0.0.1:1/b", "http://127.0.0.1:1/a"}; !cmp.Equal(urls(a), want) {
		t.Errorf("created: %s", a.body)
	}
	one := "/v3/webhooks/" + a.body.Get("0._id").Str
	a = ask(t, api, key, "PUT", one, map[string]string{"url": "http://localhost:1/c"})
	if want := []string{"http://localhost:1/c", "http://127.0.0.1:1/a"}; !cmp.Equal(urls(a), want) {
		t.Errorf("updated: %s", a.body)
	}
	if a = ask(t, api, key, "DELETE", one, nil); !cmp.Equal(urls(a), []string{"http://127.0.0.1:1/a"}) {
		t.Errorf("deleted: %s", a.body)
	}
	if a = ask(t, api, key, "DELETE", one, nil); a.status != 404 || a.body.Get("code").Str != "WEBHOOK_NOT_FOUND" {
		t.Errorf("deleted twice: %d, %s", a.status, a.body)
	}
}

func register(t *testing.T, api *simulate.API, url string) simulate.Webhook {
	t.Helper()
	hook, err := api.Register(url)
	if err != nil {
		t.Fatal(err)
	}
	return hook
}

func publish(t *testing.T, api *simulate.API, typ string) []simulate.WebhookEvent {
	t.Helper()
	sent, err := api.Publish(t.Context(), typ)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func tokenOf(body []byte) string { return gjson.GetBytes(body, "verificationToken").Str }

func TestEveryEndpointGetsItsOwnToken(t *testing.T) {
	api := start(t, simulate.Options{})
	one, two := simulatortest.Receive(t), simulatortest.Receive(t)
	register(t, api, one.URL)
	register(t, api, two.URL)
	register(t, api, two.URL) // there already
	if sent := publish(t, api, "SIGNER.CREATED"); len(sent) != 2 {
		t.Fatalf("sent %d times", len(sent))
	}
	a, b := tokenOf(one.Got()[0]), tokenOf(two.Got()[0])
	if a == b || !check(t, api, a).body.Get("isValid").Bool() || !check(t, api, b).body.Get("isValid").Bool() {
		t.Errorf("tokens %q and %q", a, b)
	}
	if len(two.Got()) != 1 {
		t.Errorf("registered twice, sent %d times", len(two.Got()))
	}
}

func TestOnlyStatus200IsASuccess(t *testing.T) {
	api := start(t, simulate.Options{})
	r := simulatortest.Receive(t)
	register(t, api, r.URL)
	for _, status := range []int{200, 204, 302, 401, 503} {
		r.Status.Store(int32(status))
		event := publish(t, api, "SIGNER.CREATED")[0]
		want := simulate.StatusFailed
		if status == 200 {
			want = simulate.StatusSuccess
		}
		if event.Status != want || event.Response.Status != status {
			t.Errorf("answered %d: %s, %+v", status, event.Status, event.Response)
		}
	}
	r.Close()
	if event := publish(t, api, "SIGNER.CREATED")[0]; event.Status != simulate.StatusFailed || event.Response != nil {
		t.Errorf("nobody there: %s, %+v", event.Status, event.Response)
	}
}

func TestEventsAreListedByPagesAndFilter(t *testing.T) {
	api := start(t, simulate.Options{})
	r := simulatortest.Receive(t)
	hook := register(t, api, r.URL)
	for i := range 13 {
		r.Status.Store(200)
		if i == 4 {
			r.Status.Store(500)
		}
		publish(t, api, "SIGNER.CREATED")
	}
	list := func(query string) answer {
		return ask(t, api, api.App().Keys[0], "GET", "/v4/webhooks/"+hook.ID+"/events"+query, nil)
	}
	for query, want := range map[string][2]int{"": {10, 13}, "?page=2": {3, 13}, "?page=3": {0, 13}, "?filter=FAILED": {1, 1}, "?filter=SUCCESS&page=2": {2, 12}} {
		a := list(query)
		events, total := len(a.body.Get("events").Array()), int(a.body.Get("searchData.total").Int())
		if events != want[0] || total != want[1] || a.body.Get("searchData.nbEventsPerPage").Int() != 10 {
			t.Errorf("%q: %d of %d", query, events, total)
		}
	}
	failed := list("?filter=FAILED").body.Get("events.0")
	one := ask(t, api, api.App().Keys[0], "GET", "/v4/webhooks/"+hook.ID+"/events/"+failed.Get("_id").Str, nil).body
	if one.Get("response.status").Int() != 500 || one.Get("topic").Str != "SIGNER" || one.Get("content.signerId").Str == "" {
		t.Errorf("one: %s", one)
	}
	if one.Get("verificationToken").Exists() {
		t.Error("a record shows its token")
	}
	if a := list("?filter=PENDING"); a.status != 400 {
		t.Errorf("an unknown filter: %d", a.status)
	}
}

func TestResendMintsANewToken(t *testing.T) {
	api := start(t, simulate.Options{})
	r := simulatortest.Receive(t)
	hook := register(t, api, r.URL)
	r.Status.Store(503)
	event := publish(t, api, "SIGNATURE_PROOF.GENERATED")[0]
	r.Status.Store(200)
	path := "/v4/webhooks/" + hook.ID + "/events/" + event.ID + "/resend"
	if a := ask(t, api, api.App().Keys[0], "POST", path, struct{}{}); a.status != 200 {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	until(t, func() bool { return len(r.Got()) == 2 && api.Events(hook.ID)[0].Status == simulate.StatusSuccess })
	first, second := r.Got()[0], r.Got()[1]
	if tokenOf(first) == tokenOf(second) || len(tokenOf(second)) != 46 {
		t.Errorf("tokens %q and %q", tokenOf(first), tokenOf(second))
	}
	if !bytes.Equal(bytes.ReplaceAll(first, []byte(tokenOf(first)), []byte(tokenOf(second))), second) {
		t.Errorf("more than the token differs:\n%s\n%s", first, second)
	}
	if len(api.Events(hook.ID)) != 1 {
		t.Errorf("%d records", len(api.Events(hook.ID)))
	}
}

func TestDisabledTopicsAreNotPosted(t *testing.T) {
	api := start(t, simulate.Options{})
	r := simulatortest.Receive(t)
	hook := register(t, api, r.URL)
	off := map[string]any{"topics": map[string]bool{"ALL": true, "SIGNER": true, "APP": false}}
	if a := ask(t, api, api.App().Keys[0], "POST", "/v4/webhooks/"+hook.ID+"/disabled-events", off); a.status != 200 {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	for typ, want := range map[string]int{"SIGNER.CREATED": 0, "APP.ARCHIVED": 1, "SIGNATURE_PROOF.GENERATED": 1} {
		if sent := publish(t, api, typ); len(sent) != want {
			t.Errorf("%s: sent %d times", typ, len(sent))
		}
	}
}

func TestOldestAreForgottenFirst(t *testing.T) {
	api := start(t, simulate.Options{MaxTokens: 3, MaxEvents: 10})
	hook := register(t, api, simulatortest.Receive(t).URL)
	tokens := []string{mint(api), mint(api), mint(api), mint(api), mint(api)}
	for i, token := range tokens {
		if a := check(t, api, token); a.body.Get("notFound").Bool() != (i < 2) {
			t.Errorf("token %d: %s", i, a.body)
		}
	}
	var last string
	for range 30 {
		last = publish(t, api, "SIGNER.CREATED")[0].ID
	}
	if events := api.Events(hook.ID); len(events) > 11 || events[0].ID != last {
		t.Errorf("%d events are left", len(events))
	}
}

func TestContextTellsTheEvent(t *testing.T) {
	api := start(t, simulate.Options{WithContext: true})
	r := simulatortest.Receive(t)
	register(t, api, r.URL)
	event := publish(t, api, "SIGNER.CREATED")[0]
	told := check(t, api, tokenOf(r.Got()[0])).body.Get("context")
	if told.Get("webhookEventId").Str != event.ID || told.Get("action").Str != "CREATED" || told.Get("content.signerId").Str == "" {
		t.Errorf("context: %s", told)
	}
}

func TestTokensAreMintedOverHTTP(t *testing.T) {
	api, _ := twoApps(t, simulate.Options{})
	a := ask(t, api, "", "POST", "/_simulator/tokens", map[string]string{"appId": "appId_one", "appEnv": "STAGING"})
	if a.status != 200 || !check(t, api, a.body.Get("token").Str).body.Get("isValid").Bool() {
		t.Errorf("%d: %s", a.status, a.body)
	}
	if a := ask(t, api, "", "POST", "/_simulator/tokens", map[string]string{"appId": "appId_three"}); a.status != 404 {
		t.Errorf("an unknown application: %d", a.status)
	}
}

func TestNothingLeavesLoopback(t *testing.T) {
	api := start(t, simulate.Options{})
	key, all := api.App().Keys[0], "/v4/applications/"+api.App().ID+"/envs/"+api.App().Env+"/webhooks"
	for _, url := range []string{"http://192.0.2.1/hook", "http://example.com/hook", "http://127.0.0.1.example.com/", "ftp://127.0.0.1/", "127.0.0.1:80", "http:///x", ""} {
		if _, err := api.Register(url); err == nil {
			t.Errorf("registered %q", url)
		}
		if a := ask(t, api, key, "POST", all, map[string]string{"url": url}); a.status != 400 {
			t.Errorf("created %q: %d", url, a.status)
		}
	}
	if _, err := simulate.Start("0.0.0.0:0", simulate.Options{}); !errors.Is(err, simulator.ErrRemote) {
		t.Errorf("listening everywhere: %v", err)
	}
}

// The gateway's own provider takes this API for Ignisign's, with a key of either
// generation, in either version, and however verdicts come.
func TestProviderUnderstandsTheAPI(t *testing.T) {
	for _, opts := range []simulate.Options{{}, {WithContext: true}, {RefusalStatus: 404}} {
		api := start(t, opts)
		r := simulatortest.Receive(t)
		register(t, api, r.URL)
		for i, key := range api.App().Keys {
			version := []ignisignv1.ApiVersion{ignisignv1.ApiVersion_API_VERSION_V4, ignisignv1.ApiVersion_API_VERSION_V3}[i]
			verifier, err := ignisign.NewVerifier(&ignisignv1.SourceConfig{
				AppId: api.App().ID, AppEnv: api.App().Env, ApiKey: key, ApiBaseUrl: api.URL(), ApiVersion: version,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			event := publish(t, api, "SIGNATURE_REQUEST.COMPLETED")[0]
			req := &provider.Request{Body: slices.Clone(r.Got()[len(r.Got())-1]), ReceiveTime: time.Now()}
			info, err := verifier.Inspect(req)
			if err != nil {
				t.Fatal(err)
			}
			if v := verifier.Verify(t.Context(), req, info); v.Outcome != provider.Genuine || (v.EventID == event.ID) != opts.WithContext {
				t.Errorf("%+v, key %d: %+v", opts, i, v)
			}
			if v := verifier.Verify(t.Context(), req, info); v.Outcome != provider.Rejected || !v.AlreadySpent {
				t.Errorf("%+v, key %d, again: %+v", opts, i, v)
			}
		}
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	api, err := simulate.Start("127.0.0.1:0", simulate.Options{PostTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	posted := make(chan struct{}, 2)
	var posts atomic.Int32
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if posts.Add(1) == 1 {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client leave
		posted <- struct{}{}
		<-r.Context().Done()
	}))
	defer stuck.Close()
	hook := register(t, api, stuck.URL)
	event := publish(t, api, "SIGNER.CREATED")[0]
	path := "/v4/webhooks/" + hook.ID + "/events/" + event.ID + "/resend"
	ask(t, api, api.App().Keys[0], "POST", path, struct{}{})
	<-posted
	if got := api.Events(hook.ID)[0].Status; got != simulate.StatusPending {
		t.Errorf("posted again and not answered: %s", got)
	}
	if err := api.Close(); err != nil {
		t.Error(err)
	}
	if got := api.Events(hook.ID)[0].Status; got != simulate.StatusFailed {
		t.Errorf("the post under way: %s", got)
	}
}

// until waits for a condition.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the condition never came true")
		}
	}
}
