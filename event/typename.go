package event

import (
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// TypeNames answers every name that a type goes by, its own first: a sender may
// have renamed a topic or an action, or may call one differently here and there.
// The schema states what is one. A type of which it states nothing has one name.
func TypeNames(typ string) []string {
	t, action := renamed(typ)
	if t == nil {
		return []string{typ}
	}
	actions := t.actions[action]
	if actions == nil {
		actions = []string{action}
	}
	out := []string{typ}
	for _, topic := range t.names {
		for _, action := range actions {
			if name := JoinType(topic, action); name != typ {
				out = append(out, name)
			}
		}
	}
	return out
}

// Names are all that an event's type, topic and action are called, each with its own
// name first. Empty: it has no other.
type Names struct{ Types, Topics, Actions []string }

// NamesOf answers the names of an event by its type, topic and action.
func NamesOf(typ, topic, action string) (n Names) {
	if all := TypeNames(typ); len(all) > 1 {
		n.Types = all
	}
	t, short := renamed(typ)
	if t == nil {
		return n
	}
	if slices.Contains(t.names, topic) {
		n.Topics = ownFirst(topic, t.names)
	}
	if short == action {
		n.Actions = ownFirst(action, t.actions[action])
	}
	return n
}

func ownFirst(own string, all []string) []string {
	if len(all) < 2 {
		return nil
	}
	return append([]string{own}, slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == own })...)
}

// renamed answers the topic with which a type begins, if that has several names,
// and the action: one that nobody has heard of may hold dots.
func renamed(typ string) (t *renamedTopic, action string) {
	known := renamedTopics()
	topic, action := SplitType(typ)
	for {
		if t = known[topic]; t != nil {
			return t, action
		}
		i := strings.LastIndexByte(topic, '.')
		if i < 0 {
			return nil, ""
		}
		topic, action = topic[:i], typ[i+1:]
	}
}

// MatchType reports whether any pattern matches a type under any of its names.
func (p Patterns) MatchType(typ string) bool {
	return !p.Empty() && (p.Match(typ) || slices.ContainsFunc(TypeNames(typ)[1:], p.Match))
}

// A renamedTopic is one topic, or an action of it, with more than one name.
type renamedTopic struct {
	names   []string            // all of the topic's
	actions map[string][]string // all names, by each
}

// renamedTopics are by each of their names.
var renamedTopics = sync.OnceValue(func() map[string]*renamedTopic {
	out := make(map[string]*renamedTopic)
	payloads := (*hookstreamv1.Event)(nil).ProtoReflect().Descriptor().Oneofs().ByName("payload").Fields()
	for i := range payloads.Len() {
		topics := payloads.Get(i).Message().Fields().ByName("topic")
		if topics == nil || topics.Enum() == nil {
			continue
		}
		for j := range topics.Enum().Values().Len() {
			addTopic(out, topics.Enum().Values().Get(j))
		}
	}
	return out
})

func addTopic(to map[string]*renamedTopic, topic protoreflect.EnumValueDescriptor) {
	t := &renamedTopic{names: SenderNames(topic), actions: make(map[string][]string)}
	if actions := actionsOf(topic); actions != nil {
		for i := range actions.Values().Len() {
			names := SenderNames(actions.Values().Get(i))
			for _, name := range names {
				if len(names) > 1 {
					t.actions[name] = names
				}
			}
		}
	}
	if topic.Number() == 0 || len(t.names) == 1 && len(t.actions) == 0 {
		return
	}
	for _, name := range t.names {
		if to[name] == nil { // no two senders share a name so far
			to[name] = t
		}
	}
}

// actionsOf answers the enum of a topic's actions, nil for none.
func actionsOf(topic protoreflect.EnumValueDescriptor) protoreflect.EnumDescriptor {
	name := enumFacts(topic).GetActions()
	if name == "" {
		for _, word := range strings.Split(shortName(topic), "_") {
			name += word[:min(1, len(word))] + strings.ToLower(word[min(1, len(word)):])
		}
		name += "Action"
	}
	file := topic.ParentFile()
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(file.Package().Append(protoreflect.Name(name)))
	if err != nil {
		return nil
	}
	enum, _ := found.(protoreflect.EnumDescriptor)
	return enum
}

// SenderNames answers how the sender spells a value, its name of today first.
func SenderNames(v protoreflect.EnumValueDescriptor) []string {
	name := enumFacts(v).GetWire()
	if name == "" {
		name = shortName(v)
	}
	return append([]string{name}, enumFacts(v).GetAliases()...)
}

func enumFacts(v protoreflect.EnumValueDescriptor) *optionsv1.EnumValueFacts {
	facts, _ := proto.GetExtension(v.Options(), optionsv1.E_EnumValue).(*optionsv1.EnumValueFacts)
	return facts
}

// shortName is a value's name without that of its enum, which is known by the value
// for zero: TOPIC_UNSPECIFIED.
func shortName(v protoreflect.EnumValueDescriptor) string {
	zero := string(v.Parent().(protoreflect.EnumDescriptor).Values().Get(0).Name())
	return strings.TrimPrefix(string(v.Name()), strings.TrimSuffix(zero, "UNSPECIFIED"))
}
