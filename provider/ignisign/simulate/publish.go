package simulate

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/simulator"
)

// ErrNotFound says that there is no such endpoint, event or application.
var ErrNotFound = errors.New("simulator: not found")

// Publish posts a sample of a type to every endpoint of the first application
// that wants its topic, one after the other, each with a token of its own, and
// answers the records of what came of it: none when there is no endpoint.
func (s *API) Publish(ctx context.Context, typ string) ([]WebhookEvent, error) {
	app := s.App()
	body, err := ignisign.Sample(typ, app.ID, app.Env, "")
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	return s.PublishBody(ctx, body)
}

// PublishBody is Publish with a body of the caller's. The application is the one
// that the body names; its verificationToken is replaced.
func (s *API) PublishBody(ctx context.Context, body []byte) ([]WebhookEvent, error) {
	found := gjson.GetManyBytes(body, "appId", "appEnv", "topic")
	app, ok := s.app(found[0].Str, found[1].Str)
	if !ok {
		return nil, fmt.Errorf("%w: the application of the body", ErrNotFound)
	}
	var sent []WebhookEvent
	for _, hook := range s.webhooks.of(app) {
		if hook.IsDisabled || hook.off[found[2].Str] {
			continue
		}
		event := s.newRecord(hook, body)
		s.records.add(event)
		sent = append(sent, s.post(ctx, hook, event))
	}
	return sent, nil
}

// Resend posts an event again, with a new token, and answers what came of it.
func (s *API) Resend(ctx context.Context, webhookID, eventID string) (WebhookEvent, error) {
	event, ok := s.records.get(webhookID, eventID)
	if !ok {
		return WebhookEvent{}, fmt.Errorf("%w: event %s", ErrNotFound, eventID)
	}
	hook, ok := s.webhooks.get(App{ID: event.AppID, Env: event.AppEnv}, webhookID)
	if !ok {
		return WebhookEvent{}, fmt.Errorf("%w: webhook %s", ErrNotFound, webhookID)
	}
	s.records.reopen(event.ID)
	return s.post(ctx, hook, event), nil
}

// repost posts an event again in the background, as the API does.
func (s *API) repost(hook Webhook, event WebhookEvent) {
	s.records.reopen(event.ID)
	s.background.run(func(ctx context.Context) { s.post(ctx, hook, event) })
}

// mintFor makes the token for one post of an event.
func (s *API) mintFor(event WebhookEvent) string {
	t := &token{appID: event.AppID, appEnv: event.AppEnv, minted: s.opts.Now()}
	if s.opts.WithContext {
		t.context = event.context()
	}
	return s.tokens.mint(t)
}

// post posts an event to its endpoint once and answers the record as it is then.
func (s *API) post(ctx context.Context, hook Webhook, event WebhookEvent) WebhookEvent {
	s.counters.posts.Add(1)
	body := simulator.SetValue(event.body, simulator.SetText("verificationToken", s.mintFor(event)))
	ctx, cancel := context.WithTimeout(ctx, s.opts.PostTimeout)
	defer cancel()
	status, err := simulator.Post(ctx, s.client, hook.URL, body, header())
	if err != nil {
		return s.records.complete(event.ID, nil)
	}
	return s.records.complete(event.ID, &Response{Status: status, StatusText: http.StatusText(status)})
}

// header is what Ignisign sends beside a body: nothing is documented, and
// only the content type is certain.
func header() http.Header {
	return http.Header{"Content-Type": {"application/json"}}
}
