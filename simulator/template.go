package simulator

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
)

// A template is an example cut up at its placeholders, so that a body costs one
// copy.
type template struct {
	pieces [][]byte // one more than there are slots
	slots  []int    // which placeholder stands between them
}

// cut cuts a body up. No placeholder begins with another.
func cut(body []byte, at []placeholder) template {
	var begins [256]bool // so that most bytes are passed over quickly
	for _, p := range at {
		begins[p.text[0]] = true
	}
	var t template
	from := 0
	for i := 0; i < len(body); {
		slot := -1
		if begins[body[i]] {
			slot = placeholderAt(body[i:], at)
		}
		if slot < 0 {
			i++
			continue
		}
		t.pieces = append(t.pieces, body[from:i])
		t.slots = append(t.slots, slot)
		i += len(at[slot].text)
		from = i
	}
	t.pieces = append(t.pieces, body[from:])
	return t
}

// placeholderAt answers which placeholder a text begins with, -1 for none.
func placeholderAt(body []byte, at []placeholder) int {
	return slices.IndexFunc(at, func(p placeholder) bool {
		return len(body) >= len(p.text) && string(body[:len(p.text)]) == p.text
	})
}

// fill puts texts in the places. Texts go as they are: none needs escaping.
func (t template) fill(texts []string) []byte {
	size := len(t.pieces[0])
	for i, slot := range t.slots {
		size += len(texts[slot]) + len(t.pieces[i+1])
	}
	body := append(make([]byte, 0, size), t.pieces[0]...)
	for i, slot := range t.slots {
		body = append(body, texts[slot]...)
		body = append(body, t.pieces[i+1]...)
	}
	return body
}

// An edit puts another value, in JSON, where an example has one at this path.
type edit struct{ path, json string }

func text(path, s string) edit { return edit{path, `"` + s + `"`} }

// yousignTemplate cuts up an example of Yousign after some edits.
func yousignTemplate(typ string, edits ...edit) (template, error) {
	body, _, err := yousign.Sample(typ, time.Time{})
	if err != nil {
		return template{}, fmt.Errorf("simulator: %w", err)
	}
	edits = append([]edit{text("event_id", holdEventID), text("event_time", holdEventTime)}, edits...)
	for _, e := range edits {
		body = setValue(body, e)
	}
	for _, moment := range exampleMoments {
		body = bytes.ReplaceAll(body, []byte(moment), []byte(holdMoment))
	}
	return cut(body, yousignPlaceholders), nil
}

// ignisignTemplate cuts up an example of Ignisign after some edits.
func ignisignTemplate(typ string, edits ...edit) (template, error) {
	body, err := ignisign.Sample(typ, holdAppID, holdAppEnv, holdToken)
	if err != nil {
		return template{}, fmt.Errorf("simulator: %w", err)
	}
	for _, e := range edits {
		body = setValue(body, e)
	}
	return cut(body, ignisignPlaceholders), nil
}

// cast gives every placeholder a text of its own, for one webhook or for all of a
// story. Those for the moment of sending stay empty.
func cast(at []placeholder, r *rand.Rand) []string {
	texts := make([]string, len(at))
	for i, p := range at {
		if p.fresh != nil {
			texts[i] = p.fresh(r)
		}
	}
	return texts
}

// fillIn gives placeholders other texts, in a copy.
func fillIn(at []placeholder, texts []string, with map[string]string) []string {
	texts = append([]string(nil), texts...)
	for i, p := range at {
		if text, ok := with[p.text]; ok {
			texts[i] = text
		}
	}
	return texts
}

// setValue makes an edit, and leaves every other byte as it is.
func setValue(body []byte, e edit) []byte {
	old := gjson.GetBytes(body, e.path)
	if !old.Exists() {
		return body
	}
	return slices.Concat(body[:old.Index], []byte(e.json), body[old.Index+len(old.Raw):])
}

// typeOf answers the type that a body is of, whatever its example is called.
func typeOf(provider string, body []byte) string {
	if provider == yousignID {
		return gjson.GetBytes(body, "event_name").Str
	}
	return gjson.GetBytes(body, "topic").Str + "." + gjson.GetBytes(body, "action").Str
}
