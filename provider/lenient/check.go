package lenient

import (
	"bytes"
	"errors"
	"unsafe"

	"github.com/tidwall/gjson"
)

// MaxDepth is how deep the objects and arrays of a body may be nested.
const MaxDepth = 64

// Errors of Check and Decode. They never hold a part of the body.
var (
	// ErrNotObject says that a body is not one valid JSON object.
	ErrNotObject = errors.New("not a JSON object")
	// ErrTooDeep says that a body is nested deeper than MaxDepth.
	ErrTooDeep = errors.New("JSON nested too deep")
	// ErrTooMany says that a body has more than MaxValues values.
	ErrTooMany = errors.New("JSON of too many values")
)

// MaxValues is how many values a body may have that messages are made of. Each
// becomes several hundred bytes of memory, and again as much JSON: a megabyte of
// `{}` took 150 MiB and a second, each time it was read.
const MaxValues = 50_000

// Check reports whether the body is one valid JSON object, nested at most
// MaxDepth deep. It allocates nothing, and its time is linear in the body.
//
// Bytes that are not UTF-8 are let through: Decode replaces them.
func Check(body []byte) error {
	if first(body) != '{' {
		return ErrNotObject
	}
	// The depth comes first: gjson's validation is recursive, and a megabyte of
	// brackets would cost a hundred megabytes of stack.
	if tooDeep(body) {
		return ErrTooDeep
	}
	if !gjson.ValidBytes(body) {
		return ErrNotObject
	}
	return nil
}

// View checks the body and answers it as a document. All that is read of that are
// views of the body: what is to outlive it, or a change of it, must be cloned.
func View(body []byte) (gjson.Result, error) {
	if err := Check(body); err != nil {
		return gjson.Result{}, err
	}
	text := unsafe.String(unsafe.SliceData(body), len(body)) //nolint:gosec // a view, as promised
	return gjson.Parse(text), nil
}

// Content is View for who makes messages of all of it: of a body of more than
// MaxValues values the error is ErrTooMany.
func Content(body []byte) (gjson.Result, error) {
	if tooMany(body) {
		return gjson.Result{}, ErrTooMany
	}
	return View(body)
}

// Envelope answers a body of which members are to be found though it may not pass
// Check: a document with a byte order mark before it, nested too deep, or cut. It
// must begin as an object does; whole says that it passed. Members are found as far
// as it is JSON, and their values may be no JSON: read texts, numbers and names of
// them, at no more than MaxDepth.
func Envelope(body []byte) (doc gjson.Result, whole bool, err error) {
	if doc, err = View(body); err == nil {
		return doc, true, nil
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if first(body) != '{' {
		return gjson.Result{}, false, err
	}
	text := unsafe.String(unsafe.SliceData(body), len(body)) //nolint:gosec // a view, as View has it
	return gjson.Parse(text), false, nil
}

// first answers the first byte that is not JSON white space, 0 for none.
func first(body []byte) byte {
	for _, c := range body {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// tooDeep counts brackets outside of strings. As far as the body is valid JSON
// it counts right, and no parser looks further.
func tooDeep(body []byte) bool {
	// Most bodies have fewer brackets than may be nested.
	if bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) <= MaxDepth {
		return false
	}
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			i = stringEnd(body, i+1)
		case '{', '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// tooMany counts what begins a value, or comes between two, outside of strings.
func tooMany(body []byte) bool {
	if len(body) <= MaxValues { // as most are
		return false
	}
	n := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			i = stringEnd(body, i+1)
		case '{', '[', ',':
			n++
		}
	}
	return n > MaxValues
}

// stringEnd answers the place of the quote that ends the string whose content
// starts at i, or the length of the body.
func stringEnd(body []byte, i int) int {
	for ; i < len(body) && body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}
