package load

import (
	"bytes"
	"fmt"
	"strconv"
)

// template puts a text of any length in one place of a body.
type template struct {
	head         []byte // up to the value of Content-Length
	before, rest []byte // of the body, around the place
	texts        func() []byte
	request      []byte
}

// NewTemplate makes unsigned requests to a path of a host. Each posts the body
// with another text in its place, until texts answers nil. texts may be nil: then
// the body is posted as it is. It fails for a body without the place.
func NewTemplate(host, path string, body, place []byte, texts func() []byte) (Requests, error) {
	before, rest, ok := bytes.Cut(body, place)
	if !ok {
		return nil, fmt.Errorf("load: the body has no place %q", place)
	}
	if texts == nil {
		texts = func() []byte { return place }
	}
	return &template{
		head: fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: hookstream-bench\r\nContent-Type: application/json\r\nContent-Length: ",
			path, host),
		before: before, rest: rest, texts: texts,
	}, nil
}

func (t *template) Next() (request, text []byte) {
	text = t.texts()
	if text == nil {
		return nil, nil
	}
	r := append(t.request[:0], t.head...)
	r = strconv.AppendInt(r, int64(len(t.before)+len(text)+len(t.rest)), 10)
	r = append(r, "\r\n\r\n"...)
	r = append(r, t.before...)
	r = append(r, text...)
	t.request = append(r, t.rest...)
	return t.request, text
}
