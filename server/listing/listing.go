// Package listing reads what a caller says of a list: a filter, as AIP-160
// writes them, and an order, as AIP-132 does. Both are compiled against the
// schema of what is listed, so that a name that is wrong is an error and not an
// empty list.
package listing

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Schema is what a list holds.
type Schema struct {
	// Message is the kind of the items.
	Message protoreflect.MessageDescriptor
	// Hidden says which fields do not exist for filters and orders: what a caller
	// is not shown must not be guessed by asking.
	Hidden func(protoreflect.FieldDescriptor) bool
}

// Error says what is wrong with a filter or an order, and where.
type Error struct {
	// Character is the place, counted from 1.
	Character int
	// Message says what is wrong there.
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s (at character %d)", e.Message, e.Character) }

// errorAt makes an Error of the place of a byte.
func errorAt(text string, offset int, format string, args ...any) *Error {
	offset = min(max(offset, 0), len(text))
	return &Error{Character: utf8.RuneCountInString(text[:offset]) + 1, Message: fmt.Sprintf(format, args...)}
}
