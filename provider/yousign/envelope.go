package yousign

import (
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/lenient"
)

// An envelope is what surrounds the content. Yousign documents it flat, in the
// body itself; one library has it nested in `metadata`. Both are read: what the
// body has goes before what `metadata` has.
type envelope struct {
	outer, inner   header
	data, metadata gjson.Result
}

// A header is the part of an envelope that may be nested. Of a key that is
// repeated, the first counts.
type header struct {
	eventID, eventName, eventTime, subscriptionID, sandbox gjson.Result
}

func readEnvelope(root gjson.Result) envelope {
	var e envelope
	root.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "data":
			keepFirst(&e.data, value)
		case "metadata":
			keepFirst(&e.metadata, value)
		default:
			e.outer.read(key.Str, value)
		}
		return true
	})
	if e.metadata.IsObject() {
		e.metadata.ForEach(func(key, value gjson.Result) bool {
			e.inner.read(key.Str, value)
			return true
		})
	}
	return e
}

func (h *header) read(key string, value gjson.Result) {
	switch key {
	case "event_id":
		keepFirst(&h.eventID, value)
	case "event_name":
		keepFirst(&h.eventName, value)
	case "event_time":
		keepFirst(&h.eventTime, value)
	case "subscription_id":
		keepFirst(&h.subscriptionID, value)
	case "sandbox":
		keepFirst(&h.sandbox, value)
	}
}

func keepFirst(place *gjson.Result, value gjson.Result) {
	if !place.Exists() {
		*place = value
	}
}

func (e *envelope) eventID() string   { return idText(e.outer.eventID, e.inner.eventID) }
func (e *envelope) eventName() string { return text(e.outer.eventName, e.inner.eventName) }
func (e *envelope) subscriptionID() string {
	return idText(e.outer.subscriptionID, e.inner.subscriptionID)
}

// environment names the sender's environment; empty when it does not say.
func (e *envelope) environment() string {
	for _, value := range []gjson.Result{e.outer.sandbox, e.inner.sandbox} {
		switch value.Type {
		case gjson.True:
			return "sandbox"
		case gjson.False:
			return "production"
		}
	}
	return ""
}

func text(outer, inner gjson.Result) string {
	if outer.Type == gjson.String {
		return outer.Str
	}
	if inner.Type == gjson.String {
		return inner.Str
	}
	return ""
}

// idText is text for ids, which some JSON libraries write as numbers.
func idText(outer, inner gjson.Result) string {
	if digits := lenient.Digits(outer); digits != "" {
		return digits
	}
	if outer.Type == gjson.String {
		return outer.Str
	}
	if digits := lenient.Digits(inner); digits != "" {
		return digits
	}
	return text(outer, inner)
}

// eventTime answers when it happened as sent, and as a time where it can be
// read: seconds in a string, as documented, or any other form that lenient.Time
// reads.
func eventTime(value gjson.Result) (raw string, t time.Time) {
	switch value.Type {
	case gjson.String:
		raw = value.Str
	case gjson.Number:
		raw = value.Raw
	default:
		return "", time.Time{}
	}
	if seconds, err := strconv.ParseInt(raw, 10, 64); err == nil && seconds >= 0 && seconds <= lastSecond {
		return raw, time.Unix(seconds, 0).UTC()
	}
	if t, ok := lenient.Time(value); ok {
		return raw, t.UTC()
	}
	return raw, time.Time{}
}

// lastSecond is the last one that a Timestamp can hold: the end of the year 9999.
const lastSecond = 253402300799
