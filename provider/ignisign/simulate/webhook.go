package simulate

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hookstream/hookstream/simulator"
)

// A Webhook is one endpoint that an application has its events posted to.
type Webhook struct {
	ID          string    `json:"_id"`
	CreatedAt   time.Time `json:"_createdAt"`
	URL         string    `json:"url"`
	Description string    `json:"description,omitempty"`
	IsDisabled  bool      `json:"isDisabled"`

	appID, appEnv string
	off           map[string]bool // topics that are not posted
}

// webhooks are the endpoints, newest first.
type webhooks struct {
	mu   sync.Mutex
	list []Webhook
}

// add registers an endpoint and answers it; the one that is there if there is one
// for this URL already and again is false.
func (w *webhooks) add(hook Webhook, again bool) Webhook {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.list, func(h Webhook) bool {
		return h.URL == hook.URL && h.appID == hook.appID && h.appEnv == hook.appEnv
	})
	if i >= 0 && !again {
		return w.list[i]
	}
	w.list = slices.Insert(w.list, 0, hook)
	return hook
}

// of answers the endpoints of an application.
func (w *webhooks) of(a App) []Webhook {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []Webhook{} // an empty array in JSON, not null
	for _, h := range w.list {
		if a.same(h.appID, h.appEnv) {
			list = append(list, h)
		}
	}
	return list
}

func (w *webhooks) get(by App, id string) (Webhook, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.index(by, id)
	if i < 0 {
		return Webhook{}, false
	}
	return w.list[i], true
}

// change applies a change to an endpoint of an application, and reports whether it
// is there.
func (w *webhooks) change(by App, id string, change func(*Webhook)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.index(by, id)
	if i >= 0 {
		change(&w.list[i])
	}
	return i >= 0
}

func (w *webhooks) remove(by App, id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.index(by, id)
	if i >= 0 {
		w.list = slices.Delete(w.list, i, i+1)
	}
	return i >= 0
}

func (w *webhooks) index(by App, id string) int {
	return slices.IndexFunc(w.list, func(h Webhook) bool { return h.ID == id && by.same(h.appID, h.appEnv) })
}

// Register makes an endpoint of the first application, or answers the one that is
// there for this URL. It answers ErrRemote for a URL elsewhere than on the
// loopback interface, unless that is allowed.
func (s *API) Register(url string) (Webhook, error) {
	if err := simulator.CheckTarget(url, s.opts.AllowRemote); err != nil {
		return Webhook{}, err
	}
	return s.endpointFor(url), nil
}

// endpointFor answers the endpoint of the first application for a URL, which is made
// unless it is there.
func (s *API) endpointFor(url string) Webhook {
	return s.webhooks.add(s.newWebhook(s.App(), endpoint{URL: url}), false)
}

// endpoint is what a caller says of an endpoint.
type endpoint struct {
	URL         string `json:"url"`
	Description string `json:"description"`
}

func (s *API) newWebhook(a App, e endpoint) Webhook {
	return Webhook{
		ID: newObjectID(s.opts.Now()), CreatedAt: s.opts.Now().UTC().Truncate(time.Millisecond),
		URL: e.URL, Description: e.Description, appID: a.ID, appEnv: a.Env,
	}
}

// readEndpoint reads an endpoint and refuses one it will not post to.
func (s *API) readEndpoint(r *http.Request) (endpoint, *reply) {
	var e endpoint
	if no := read(r, &e); no != nil {
		return e, no
	}
	if err := simulator.CheckTarget(e.URL, s.opts.AllowRemote); err != nil {
		no := failure(http.StatusBadRequest, "BODY_VALIDATION_FAILED", "url: an HTTP URL that this simulator may post to is required")
		return e, &no
	}
	return e, nil
}

func webhookNotFound() reply {
	return failure(http.StatusNotFound, "WEBHOOK_NOT_FOUND", "No such webhook")
}

// listed answers all endpoints of the caller, as calls about one of them do too.
func (s *API) listed(by App) reply {
	return reply{status: http.StatusOK, body: s.webhooks.of(by)}
}

// foreign refuses a path that names another application than the caller's.
func foreign(by App, r *http.Request) *reply {
	if by.same(r.PathValue("app"), r.PathValue("env")) {
		return nil
	}
	no := failure(http.StatusForbidden, "UNAUTHORIZED_ERROR", "The bearer is of another application or environment")
	return &no
}

func (s *API) listWebhooks(by App, r *http.Request) reply {
	if no := foreign(by, r); no != nil {
		return *no
	}
	return s.listed(by)
}

func (s *API) createWebhook(by App, r *http.Request) reply {
	if no := foreign(by, r); no != nil {
		return *no
	}
	e, no := s.readEndpoint(r)
	if no != nil {
		return *no
	}
	s.webhooks.add(s.newWebhook(by, e), true)
	return s.listed(by)
}

func (s *API) updateWebhook(by App, r *http.Request) reply {
	e, no := s.readEndpoint(r)
	if no != nil {
		return *no
	}
	ok := s.webhooks.change(by, r.PathValue("webhook"), func(h *Webhook) {
		h.URL, h.Description = e.URL, e.Description
	})
	if !ok {
		return webhookNotFound()
	}
	return s.listed(by)
}

func (s *API) deleteWebhook(by App, r *http.Request) reply {
	if !s.webhooks.remove(by, r.PathValue("webhook")) {
		return webhookNotFound()
	}
	return s.listed(by)
}

// disableTopics switches topics off. ALL does not win over a topic that is not
// named: whoever is known to use this call names ALL and still gets proofs.
func (s *API) disableTopics(by App, r *http.Request) reply {
	var asked struct{ Topics map[string]bool }
	if no := read(r, &asked); no != nil {
		return *no
	}
	if !s.webhooks.change(by, r.PathValue("webhook"), func(h *Webhook) { h.off = asked.Topics }) {
		return webhookNotFound()
	}
	return reply{status: http.StatusOK, body: struct{}{}}
}
