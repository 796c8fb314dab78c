// Package event holds the words that every part of Hookstream uses for events:
// their types and patterns over types, their names, cursors, and the form in
// which they are kept.
package event

import (
	"strings"
)

// JoinType answers the type of an event, topic and action joined by a dot. The
// type of an event without an action is its topic, and SplitType takes it for that.
func JoinType(topic, action string) string {
	if action == "" {
		return topic
	}
	return topic + "." + action
}

// SplitType splits a type at its last dot: a topic may hold dots, an action
// does not. A type without a dot is a topic with an empty action.
func SplitType(typ string) (topic, action string) {
	i := strings.LastIndexByte(typ, '.')
	if i < 0 {
		return typ, ""
	}
	return typ[:i], typ[i+1:]
}
