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
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/lenient"
)

// Inspect reads the envelope, and of the content the id of the object it is
// about. A body that is not a JSON object is malformed; one without `event_name`
// has no topic.
func (p *Verifier) Inspect(req *provider.Request) (provider.Info, error) {
	root, err := lenient.View(req.Body)
	if err != nil {
		return provider.Info{Attempt: attempt(req.Header)}, fmt.Errorf("yousign: %w: %w", provider.ErrMalformed, err)
	}
	e := readEnvelope(root)
	topic, action := event.SplitType(own(e.eventName()))
	return provider.Info{
		Topic:       topic,
		Action:      action,
		Environment: e.environment(),
		EventID:     own(e.eventID()),
		DedupKey:    dedupKey(&e, root),
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
// without a usable id is told by what it says.
func dedupKey(e *envelope, root gjson.Result) string {
	subscription, id := e.subscriptionID(), e.eventID()
	if isID(id) && (subscription == "" || isID(subscription)) {
		return subscription + ":" + id
	}
	sum := sha256.Sum256(lenient.AppendCanonical(nil, root))
	return "json:" + hex.EncodeToString(sum[:])
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
	for _, place := range places {
		if id := t.id(place(t, data)); id != "" {
			return t.entities + "/" + id
		}
	}
	return ""
}

// places are where the id of the object may stand, in the order in which they
// are looked at: in the object itself; in the one that belongs to it, by name or
// as an object within; beside both.
var places = []func(t topic, data gjson.Result) gjson.Result{
	func(t topic, data gjson.Result) gjson.Result {
		if t.about == t.node {
			return child(t.nodeOf(data), "id")
		}
		return child(child(data, string(t.about)), "id")
	},
	func(t topic, data gjson.Result) gjson.Result { return child(t.nodeOf(data), t.idKey()) },
	func(t topic, data gjson.Result) gjson.Result {
		return child(child(t.nodeOf(data), string(t.about)), "id")
	},
	func(t topic, data gjson.Result) gjson.Result { return child(data, t.idKey()) },
	func(t topic, data gjson.Result) gjson.Result {
		if t.entities != "verifications" {
			return gjson.Result{}
		}
		return child(data, "verification_id")
	},
	func(t topic, data gjson.Result) gjson.Result {
		if t.about != t.node {
			return gjson.Result{} // it is another object's
		}
		return child(data, "id")
	},
}

func (t topic) nodeOf(data gjson.Result) gjson.Result {
	_, node := t.find(data)
	return node
}

func (t topic) idKey() string { return string(t.about) + "_id" }

// id answers what may be the id of an object, empty otherwise.
func (t topic) id(value gjson.Result) string {
	id := value.Str
	if value.Type != gjson.String {
		id = lenient.Digits(value)
	}
	if !isID(id) {
		return ""
	}
	return id
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
