package simulator

import (
	"slices"

	"github.com/tidwall/gjson"
)

// A template is an example cut up at its placeholders, so that a body costs one
// copy.
type template struct {
	pieces [][]byte // one more than there are slots
	slots  []int    // which placeholder stands between them
}

// cut cuts a body up. No placeholder begins with another.
func cut(body []byte, at []Placeholder) template {
	var begins [256]bool // so that most bytes are passed over quickly
	for _, p := range at {
		begins[p.Text[0]] = true
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
		i += len(at[slot].Text)
		from = i
	}
	t.pieces = append(t.pieces, body[from:])
	return t
}

// placeholderAt answers which placeholder a text begins with, -1 for none.
func placeholderAt(body []byte, at []Placeholder) int {
	return slices.IndexFunc(at, func(p Placeholder) bool {
		return len(body) >= len(p.Text) && string(body[:len(p.Text)]) == p.Text
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

// An Edit puts another value, in JSON, where an example has one at this path.
type Edit struct{ Path, JSON string }

// SetText answers an edit that puts a text there.
func SetText(path, s string) Edit { return Edit{path, `"` + s + `"`} }

// SetValue makes an edit, and leaves every other byte as it is.
func SetValue(body []byte, e Edit) []byte {
	old := gjson.GetBytes(body, e.Path)
	if !old.Exists() {
		return body
	}
	return slices.Concat(body[:old.Index], []byte(e.JSON), body[old.Index+len(old.Raw):])
}
