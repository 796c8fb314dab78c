package simulate

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/tidwall/gjson"
)

// States of an event's delivery.
const (
	StatusPending = "PENDING"
	StatusSuccess = "SUCCESS"
	StatusFailed  = "FAILED"
)

// A WebhookEvent is the API's record of one event for one endpoint. It keeps no
// token: whoever posts it again needs a new one.
type WebhookEvent struct {
	ID        string          `json:"_id"`
	AppID     string          `json:"appId"`
	AppEnv    string          `json:"appEnv"`
	WebhookID string          `json:"webhookId"`
	Topic     string          `json:"topic"`
	Action    string          `json:"action"`
	MsgNature string          `json:"msgNature"`
	Content   json.RawMessage `json:"content"`
	Error     json.RawMessage `json:"error,omitempty"`
	// Response is what the endpoint answered last; nil when it did not.
	Response *Response `json:"response,omitempty"`
	// Status is StatusPending, StatusSuccess or StatusFailed.
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"_createdAt"`

	body []byte // as posted, with whichever token
}

// Response is what an endpoint answered.
type Response struct {
	Status     int    `json:"status"`
	StatusText string `json:"statusText"`
}

// newObjectID makes an id as Ignisign's look: 24 hexadecimal digits, the first
// eight of them a time.
func newObjectID(now time.Time) string {
	var id [12]byte
	_, _ = rand.Read(id[4:]) // never fails, see crypto/rand
	binary.BigEndian.PutUint32(id[:4], uint32(now.Unix()))
	return hex.EncodeToString(id[:])
}

// newRecord makes the record of a body for an endpoint.
func (s *API) newRecord(hook Webhook, body []byte) WebhookEvent {
	found := gjson.GetManyBytes(body, "topic", "action", "msgNature", "content", "error")
	return WebhookEvent{
		ID: newObjectID(s.opts.Now()), AppID: hook.appID, AppEnv: hook.appEnv, WebhookID: hook.ID,
		Topic: found[0].Str, Action: found[1].Str, MsgNature: found[2].Str,
		Content: rawOrNull(found[3]), Error: json.RawMessage(found[4].Raw),
		Status: StatusPending, CreatedAt: s.opts.Now().UTC().Truncate(time.Millisecond),
		body: body,
	}
}

func rawOrNull(v gjson.Result) json.RawMessage {
	if !v.Exists() {
		return json.RawMessage("null")
	}
	return json.RawMessage(v.Raw)
}

// context is what a token for this event tells when it is checked.
func (e WebhookEvent) context() json.RawMessage {
	c, err := json.Marshal(struct {
		WebhookEventID string          `json:"webhookEventId"`
		AppID          string          `json:"appId"`
		AppEnv         string          `json:"appEnv"`
		Topic          string          `json:"topic"`
		Action         string          `json:"action"`
		MsgNature      string          `json:"msgNature"`
		Content        json.RawMessage `json:"content"`
	}{e.ID, e.AppID, e.AppEnv, e.Topic, e.Action, e.MsgNature, e.Content})
	if err != nil {
		return nil // the content is no JSON
	}
	return c
}

// records are the events, oldest first, at most max of them.
type records struct {
	mu    sync.Mutex
	max   int
	byID  map[string]*WebhookEvent
	order []string
}

// add keeps a record. A tenth too many are kept for a while, so that forgetting
// is not a matter of every call.
func (r *records) add(e WebhookEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = make(map[string]*WebhookEvent)
	}
	r.byID[e.ID] = &e
	r.order = append(r.order, e.ID)
	if len(r.order) <= r.max+r.max/10 {
		return
	}
	old := len(r.order) - r.max
	for _, id := range r.order[:old] {
		delete(r.byID, id)
	}
	r.order = append([]string(nil), r.order[old:]...)
}

// complete notes what came of a post: an answer, or none when response is nil. It
// answers the record as it is now.
func (r *records) complete(id string, response *Response) WebhookEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byID[id]
	if e == nil {
		return WebhookEvent{} // forgotten meanwhile
	}
	e.Response, e.Status = response, StatusFailed
	if response != nil && response.Status == http.StatusOK {
		e.Status = StatusSuccess
	}
	return *e
}

// reopen makes a record PENDING again.
func (r *records) reopen(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byID[id]; e != nil {
		e.Status = StatusPending
	}
}

func (r *records) get(webhook, id string) (WebhookEvent, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byID[id]
	if e == nil || e.WebhookID != webhook {
		return WebhookEvent{}, false
	}
	return *e, true
}

// of answers the events of an endpoint in one state, or in any when it is empty,
// newest first.
func (r *records) of(webhook, status string) []WebhookEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []WebhookEvent{} // an empty array in JSON, not null
	for i := len(r.order) - 1; i >= 0; i-- {
		e := r.byID[r.order[i]]
		if e.WebhookID == webhook && (status == "" || e.Status == status) {
			list = append(list, *e)
		}
	}
	return list
}

// Events answers the records of an endpoint, newest first.
func (s *API) Events(webhookID string) []WebhookEvent { return s.records.of(webhookID, "") }

const eventsPerPage = 10

// filters are the values of the list's filter; there is none for PENDING.
var filters = map[string]string{"": "", "ALL": "", "SUCCESS": StatusSuccess, "FAILED": StatusFailed}

// searchData says where in a list a page is. The first page has the number 1.
type searchData struct {
	Total           int `json:"total"`
	Page            int `json:"page"`
	NbEventsPerPage int `json:"nbEventsPerPage"`
}

func (s *API) listEvents(by App, r *http.Request) reply {
	if _, ok := s.webhooks.get(by, r.PathValue("webhook")); !ok {
		return webhookNotFound()
	}
	status, ok := filters[r.FormValue("filter")]
	if !ok {
		return failure(http.StatusBadRequest, "BODY_VALIDATION_FAILED", "filter is ALL, SUCCESS or FAILED")
	}
	page, err := strconv.Atoi(r.FormValue("page"))
	if err != nil || page < 1 {
		page = 1
	}
	events := s.records.of(r.PathValue("webhook"), status)
	from := min((page-1)*eventsPerPage, len(events))
	to := min(from+eventsPerPage, len(events))
	return reply{status: http.StatusOK, body: struct {
		Events     []WebhookEvent `json:"events"`
		SearchData searchData     `json:"searchData"`
	}{events[from:to], searchData{len(events), page, eventsPerPage}}}
}

// event answers the event that a path names.
func (s *API) event(by App, r *http.Request) (WebhookEvent, *reply) {
	if _, ok := s.webhooks.get(by, r.PathValue("webhook")); !ok {
		no := webhookNotFound()
		return WebhookEvent{}, &no
	}
	e, ok := s.records.get(r.PathValue("webhook"), r.PathValue("event"))
	if !ok {
		no := failure(http.StatusNotFound, "WEBHOOK_EVENT_NOT_FOUND", "No such event")
		return WebhookEvent{}, &no
	}
	return e, nil
}

func (s *API) getEvent(by App, r *http.Request) reply {
	e, no := s.event(by, r)
	if no != nil {
		return *no
	}
	return reply{status: http.StatusOK, body: e}
}

func (s *API) resendEvent(by App, r *http.Request) reply {
	e, no := s.event(by, r)
	if no != nil {
		return *no
	}
	hook, _ := s.webhooks.get(by, e.WebhookID)
	s.repost(hook, e)
	return reply{status: http.StatusOK, body: struct{}{}}
}
