package lenient

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Same reports whether two bodies say the same: equal bytes, or JSON objects that
// differ in white space, in the order of members, in escapes and in how numbers
// are written only.
func Same(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	first, err := View(a)
	if err != nil {
		return false
	}
	second, err := View(b)
	if err != nil {
		return false
	}
	return bytes.Equal(AppendCanonical(nil, first), AppendCanonical(nil, second))
}

// AppendCanonical appends one text for all JSON that says the same, as Same has
// it. What is nested deeper than MaxDepth counts as it is written.
func AppendCanonical(dst []byte, value gjson.Result) []byte {
	return canonizer{}.value(dst, value, 1)
}

// AppendMeaning is AppendCanonical for senders that drop and add members at will
// that say nothing, null and empty objects, and keep the first of members that
// are repeated.
func AppendMeaning(dst []byte, value gjson.Result) []byte {
	return canonizer{meaning: true}.value(dst, value, 1)
}

// SaysNothing reports whether a text of AppendMeaning is that of nothing, null or
// an empty object.
func SaysNothing(text []byte) bool {
	return len(text) == 0 || string(text) == "null" || string(text) == "{}"
}

type canonizer struct{ meaning bool }

func (c canonizer) value(dst []byte, value gjson.Result, depth int) []byte {
	switch {
	case !value.Exists():
		return dst
	case depth > MaxDepth:
		return append(dst, value.Raw...)
	case value.Type == gjson.String:
		return strconv.AppendQuote(dst, value.Str)
	case value.Type == gjson.Number:
		return appendNumberText(dst, value)
	case value.IsArray():
		return c.array(dst, value, depth)
	case value.IsObject():
		return c.object(dst, value, depth)
	}
	return append(dst, value.Raw...) // true, false, null
}

func (c canonizer) array(dst []byte, array gjson.Result, depth int) []byte {
	dst = append(dst, '[')
	array.ForEach(func(_, value gjson.Result) bool {
		dst = append(c.value(dst, value, depth+1), ',')
		return true
	})
	return append(dst, ']')
}

type member struct {
	key   string
	value gjson.Result
}

func (c canonizer) object(dst []byte, object gjson.Result, depth int) []byte {
	var members []member
	object.ForEach(func(key, value gjson.Result) bool {
		members = append(members, member{key.Str, value})
		return true
	})
	// Stable: which of repeated keys counts depends on their order.
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	if c.meaning {
		members = slices.CompactFunc(members, func(a, b member) bool { return a.key == b.key })
	}
	dst = append(dst, '{')
	for _, m := range members {
		start := len(dst)
		dst = append(strconv.AppendQuote(dst, m.key), ':')
		at := len(dst)
		if dst = c.value(dst, m.value, depth+1); c.meaning && SaysNothing(dst[at:]) {
			dst = dst[:start]
			continue
		}
		dst = append(dst, ',')
	}
	return append(dst, '}')
}
