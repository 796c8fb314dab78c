package ignisign

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// canonical answers one text for all JSON that says the same: members in the
// order of their names, numbers by value, and without the members of an object
// that are null or an empty object, which JavaScript and its databases drop and
// add at will. It is nil for what says nothing at all. The value must be of a
// document that has passed lenient.Check, which bounds the recursion.
func canonical(value gjson.Result) []byte {
	text := appendCanonical(nil, value)
	if nothing(text) {
		return nil
	}
	return text
}

func nothing(text []byte) bool {
	return len(text) == 0 || bytes.Equal(text, []byte("null")) || bytes.Equal(text, []byte("{}"))
}

func appendCanonical(dst []byte, value gjson.Result) []byte {
	switch {
	case !value.Exists():
		return dst
	case value.Type == gjson.String:
		return strconv.AppendQuote(dst, value.Str)
	case value.Type == gjson.Number:
		return appendNumber(dst, value)
	case value.IsArray():
		return appendArray(dst, value)
	case value.IsObject():
		return appendObject(dst, value)
	}
	return append(dst, value.Raw...) // true, false, null
}

func appendNumber(dst []byte, value gjson.Result) []byte {
	if n, err := strconv.ParseInt(value.Raw, 10, 64); err == nil {
		return strconv.AppendInt(dst, n, 10)
	}
	if math.IsInf(value.Num, 0) {
		return append(dst, value.Raw...)
	}
	if value.Num == math.Trunc(value.Num) && math.Abs(value.Num) < 1<<53 {
		return strconv.AppendInt(dst, int64(value.Num), 10)
	}
	return strconv.AppendFloat(dst, value.Num, 'g', -1, 64)
}

func appendArray(dst []byte, array gjson.Result) []byte {
	dst = append(dst, '[')
	array.ForEach(func(_, value gjson.Result) bool {
		dst = append(appendCanonical(dst, value), ',')
		return true
	})
	return append(dst, ']')
}

func appendObject(dst []byte, object gjson.Result) []byte {
	type pair struct {
		key   string
		value gjson.Result
	}
	var pairs []pair
	object.ForEach(func(key, value gjson.Result) bool {
		pairs = append(pairs, pair{key.Str, value})
		return true
	})
	// Stable, so that of repeated keys the first counts here too.
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	pairs = slices.CompactFunc(pairs, func(a, b pair) bool { return a.key == b.key })
	dst = append(dst, '{')
	for _, p := range pairs {
		start := len(dst)
		dst = append(strconv.AppendQuote(dst, p.key), ':')
		at := len(dst)
		if dst = appendCanonical(dst, p.value); nothing(dst[at:]) {
			dst = dst[:start]
			continue
		}
		dst = append(dst, ',')
	}
	return append(dst, '}')
}
