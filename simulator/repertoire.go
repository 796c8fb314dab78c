package simulator

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Repertoire is what a sender can be had to send: its examples, and stories that
// are made of them.
type Repertoire struct {
	// Provider is the sender's id, as in Event.provider.
	Provider string
	// Types are those of its catalog.
	Types []string
	// Placeholders are the texts of the examples that differ from event to event. No
	// placeholder begins with another.
	Placeholders []Placeholder
	// Example answers the body of a type, or of a variant of one that has a name,
	// with its placeholders in it.
	Example func(typ string) ([]byte, error)
	// TypeOf answers the type that a body is of, whatever its example is called.
	TypeOf func(body []byte) string
	// ByHand answers the small body of a new event, for a shell's single quotes. May be
	// nil.
	ByHand func(now time.Time) []byte
	// Plot draws the course of something that is told by several events, from its
	// beginning to its end, and the texts of those placeholders that depend on when
	// it begins.
	Plot func(r *rand.Rand, start time.Time) ([]Scene, map[string]string)
}

// A Scene is one step of a story: an example and what is different about it.
type Scene struct {
	Type  string
	Edits []Edit
}

// Story answers the webhooks of one story of the sender's, in order. Ids, people and
// titles are made up for the story and stay the same in all of it. The same seed
// gives the same story; start is when it begins, and only its times depend on it.
func (o *Repertoire) Story(seed uint64, start time.Time) ([]Message, error) {
	r := newRand(seed)
	texts := o.cast(r)
	scenes, own := o.Plot(r, start)
	texts = o.fillIn(texts, own)
	var story []Message
	for _, s := range scenes {
		m, err := o.message(s.Type, s.Edits, texts)
		if err != nil {
			return nil, err
		}
		story = append(story, m)
	}
	return story, nil
}

// cast gives every placeholder a text of its own, for one webhook or for all of a
// story. Those for the moment of sending stay empty.
func (o *Repertoire) cast(r *rand.Rand) []string {
	texts := make([]string, len(o.Placeholders))
	for i, p := range o.Placeholders {
		if p.Fresh != nil {
			texts[i] = p.Fresh(r)
		}
	}
	return texts
}

// fillIn gives placeholders other texts, in a copy.
func (o *Repertoire) fillIn(texts []string, with map[string]string) []string {
	texts = append([]string(nil), texts...)
	for i, p := range o.Placeholders {
		if text, ok := with[p.Text]; ok {
			texts[i] = text
		}
	}
	return texts
}

// message makes a message of an example.
func (o *Repertoire) message(typ string, edits []Edit, texts []string) (Message, error) {
	body, err := o.Example(typ)
	if err != nil {
		return Message{}, fmt.Errorf("simulator: %w", err)
	}
	for _, e := range edits {
		body = SetValue(body, e)
	}
	m := Message{Provider: o.Provider, of: o, template: cut(body, o.Placeholders), texts: texts}
	m.Type = o.TypeOf(m.template.fill(texts))
	return m, nil
}
