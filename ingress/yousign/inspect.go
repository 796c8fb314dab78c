package yousign

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/ingress/lenient"
)

// Inspect reads the envelope, and of the content the id of the object it is
// about. A body that is not a JSON object or has no `event_name` is malformed.
func (p *Provider) Inspect(req *ingress.Request) (ingress.Info, error) {
	root, err := lenient.View(req.Body)
	if err != nil {
		return ingress.Info{}, fmt.Errorf("yousign: %w: %w", ingress.ErrMalformed, err)
	}
	e := readEnvelope(root)
	name := e.eventName()
	if name == "" {
		return ingress.Info{}, fmt.Errorf("yousign: %w: no envelope", ingress.ErrMalformed)
	}
	topic, action := event.SplitType(own(name))
	return ingress.Info{
		Topic:       topic,
		Action:      action,
		Environment: e.environment(),
		EventID:     own(e.eventID()),
		DedupKey:    dedupKey(&e, req.Body),
		Entity:      topics[topic].entity(e.data),
		OccurTime:   e.occurTime(),
		Attempt:     attempt(req.Header),
	}, nil
}

// valid answers text that Protobuf, where it will be kept, can hold.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// own is valid for text of a view, which ends with the body.
func own(s string) string { return strings.Clone(valid(s)) }

// dedupKey is the id of the event within its subscription: whether two
// subscriptions are sent one event under one id is not documented. A body
// without a usable id is told by its bytes, which are the same when it is sent
// again.
func dedupKey(e *envelope, body []byte) string {
	subscription, id := e.subscriptionID(), e.eventID()
	if isID(id) && (subscription == "" || isID(subscription)) {
		return subscription + ":" + id
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// isID reports whether s looks like an id: short, and of characters that need no
// quoting anywhere.
func isID(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// entity names the object that the events of a topic are about; empty when there
// is none, or none with an id.
func (t topic) entity(data gjson.Result) string {
	if t.entities == "" || !data.IsObject() {
		return ""
	}
	var node gjson.Result
	if t.about == t.node {
		_, node = t.find(data)
	} else {
		node = child(data, string(t.about))
	}
	id := child(node, "id")
	if id.Type != gjson.String && t.flat {
		id = child(data, "workflow_session_id")
	}
	if id.Type != gjson.String || !isID(id.Str) {
		return ""
	}
	return t.entities + "/" + id.Str
}

// child answers the first value under a key. Unlike gjson's Get it reads no
// pattern into the key.
func child(object gjson.Result, name string) gjson.Result {
	var found gjson.Result
	if object.IsObject() {
		object.ForEach(func(key, value gjson.Result) bool {
			if key.Str == name {
				found = value
			}
			return !found.Exists()
		})
	}
	return found
}

func (e *envelope) occurTime() time.Time {
	raw, t := eventTime(e.outer.eventTime)
	if raw == "" {
		_, t = eventTime(e.inner.eventTime)
	}
	return t
}

var attemptHeaders = []string{"X-Yousign-Retry", "X-Yousign-Retry-Count"}

// attempt reads the count of earlier attempts under its name, then under the
// one that older documentation has. It is not signed.
func attempt(header http.Header) int {
	for _, name := range attemptHeaders {
		values := header[name]
		if len(values) == 0 { // the error of an empty number would be made for every request
			continue
		}
		if n, err := strconv.ParseUint(values[0], 10, 31); err == nil {
			return int(n)
		}
	}
	return -1
}
