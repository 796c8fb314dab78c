package server

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/server/listing"
)

// listRequest is what all requests for lists have.
type listRequest interface {
	pageRequest
	GetFilter() string
	GetOrderBy() string
}

// list is something that is listed in pages.
type list[T proto.Message] struct {
	name  string         // in page tokens
	key   func(T) string // tells items apart, and orders them unless said otherwise
	shown func(T) T      // what a caller is shown of an item; nil: all of it
}

// page answers the asked page of all, which are sorted by key.
func (l list[T]) page(all []T, req listRequest) (items []T, next string, err error) {
	var none T
	q, err := parseQuery(listing.Schema{Message: none.ProtoReflect().Descriptor(), Hidden: isInputOnly}, req)
	if err != nil {
		return nil, "", err
	}
	if q.plain() {
		items, next, err = page(all, l.key, l.name, req)
		return l.show(items), next, err
	}
	// Compared is what would be shown: nobody finds out by asking what is not
	// answered.
	items = slices.DeleteFunc(l.show(all), func(item T) bool { return !q.filter(item) })
	places := make(map[string]string, len(items))
	for _, item := range items {
		places[l.key(item)] = string(q.order(item)) + l.key(item)
	}
	place := func(item T) string { return places[l.key(item)] }
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(place(a), place(b)) })
	return page(items, place, q.list(l.name), req)
}

// show answers a new list of what a caller is shown.
func (l list[T]) show(items []T) []T {
	if l.shown == nil {
		return slices.Clone(items)
	}
	out := make([]T, 0, len(items))
	for _, item := range items {
		out = append(out, l.shown(item))
	}
	return out
}

func isInputOnly(fd protoreflect.FieldDescriptor) bool {
	return has(fd, annotations.FieldBehavior_INPUT_ONLY)
}

// listQuery is what of a list is asked for, and in which order.
type listQuery struct {
	filter listing.Filter
	order  listing.Order
	texts  [2]string
}

// parseQuery reads the filter and the order of a request.
func parseQuery(schema listing.Schema, req listRequest) (q listQuery, err error) {
	var bad violations
	q.texts = [2]string{req.GetFilter(), req.GetOrderBy()}
	q.filter, err = schema.Filter(req.GetFilter())
	bad.addListing("filter", err)
	q.order, err = schema.Order(req.GetOrderBy())
	bad.addListing("order_by", err)
	return q, bad.err()
}

// addListing adds what is wrong with a filter or an order.
func (v *violations) addListing(field string, err error) {
	var wrong *listing.Error
	if errors.As(err, &wrong) {
		v.add(field, "%s", wrong)
	}
}

// plain says that everything is asked for, in the order of the list.
func (q listQuery) plain() bool { return q.texts == [2]string{} }

// list names a list as this query answers it, so that a page token of another
// listQuery is refused.
func (q listQuery) list(name string) string {
	if q.plain() {
		return name
	}
	sum := sha256.Sum256([]byte(q.texts[0] + "\x00" + q.texts[1]))
	return name + "?" + base64.RawURLEncoding.EncodeToString(sum[:12])
}
