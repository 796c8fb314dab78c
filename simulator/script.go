package simulator

import (
	"fmt"
	"math/rand/v2"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
)

// A Script says what is sent, message by message. A Sender asks for one message
// at a time; false ends the sending.
type Script interface {
	Next() (Message, bool)
}

// Examples answers an endless script of a provider's examples in turn: those of
// the named types, or of every type in the catalog when none is named. A type
// named twice comes twice as often. Of Ignisign, the name of a variant such as
// SIGNATURE_PROOF.GENERATED.error will do too. The ids of signature requests,
// signers and documents are fresh in every message, and are the same again for
// the same seed.
func Examples(provider string, seed uint64, types ...string) (Script, error) {
	if len(types) == 0 {
		types = catalogTypes(provider)
	}
	newTemplate, err := templatesOf(provider)
	if err != nil {
		return nil, err
	}
	e := &examples{provider: provider, rand: newRand(seed)}
	texts := cast(placeholdersOf(provider), e.rand)
	for _, typ := range types {
		t, err := newTemplate(typ)
		if err != nil {
			return nil, err
		}
		e.messages = append(e.messages, newMessage(provider, t, texts))
	}
	return e, nil
}

func catalogTypes(provider string) []string {
	var catalog []*hookstreamv1.EventType
	switch provider {
	case yousignID:
		catalog = yousign.Catalog()
	case ignisign.ID:
		catalog = ignisign.Catalog()
	}
	var types []string
	for _, t := range catalog {
		types = append(types, t.GetType())
	}
	return types
}

func templatesOf(provider string) (func(typ string, edits ...edit) (template, error), error) {
	switch provider {
	case yousignID:
		return yousignTemplate, nil
	case ignisign.ID:
		return ignisignTemplate, nil
	}
	return nil, fmt.Errorf("simulator: no such provider: %q", provider)
}

type examples struct {
	provider string
	rand     *rand.Rand
	messages []Message
	next     int
}

func (e *examples) Next() (Message, bool) {
	m := e.messages[e.next]
	e.next = (e.next + 1) % len(e.messages)
	m.texts = cast(placeholdersOf(e.provider), e.rand)
	return m, true
}

// Alternate answers a script that takes from these in turn, and goes on with the
// others when one ends.
func Alternate(scripts ...Script) Script { return &alternation{scripts: scripts} }

type alternation struct {
	scripts []Script
	next    int
}

func (a *alternation) Next() (Message, bool) {
	for len(a.scripts) > 0 {
		i := a.next % len(a.scripts)
		if m, ok := a.scripts[i].Next(); ok {
			a.next = i + 1
			return m, true
		}
		a.scripts = append(a.scripts[:i:i], a.scripts[i+1:]...)
		a.next = i
	}
	return Message{}, false
}

// Play answers a script of these messages, once.
func Play(messages ...Message) Script { return &play{messages} }

type play struct{ messages []Message }

func (p *play) Next() (Message, bool) {
	if len(p.messages) == 0 {
		return Message{}, false
	}
	m := p.messages[0]
	p.messages = p.messages[1:]
	return m, true
}

// storiesAtOnce is how many stories of Stories are under way at a time.
const storiesAtOnce = 4

// Stories answers an endless script of stories of these providers, of both when
// none is named. A few are under way at a time, each in its own order. The same
// seed gives the same stories, save their times.
func Stories(seed uint64, providers ...string) (Script, error) {
	if len(providers) == 0 {
		providers = []string{yousignID, ignisign.ID}
	}
	for _, p := range providers {
		if _, err := Story(p, seed, time.Now()); err != nil {
			return nil, err
		}
	}
	return &stories{providers: providers, rand: newRand(seed)}, nil
}

type stories struct {
	providers []string
	rand      *rand.Rand
	begun     int
	underWay  [][]Message
}

func (s *stories) Next() (Message, bool) {
	for len(s.underWay) < storiesAtOnce {
		story, err := Story(s.providers[s.begun%len(s.providers)], s.rand.Uint64(), time.Now())
		if err != nil {
			return Message{}, false // not after the first ones could be told
		}
		s.begun++
		s.underWay = append(s.underWay, story)
	}
	i := s.rand.IntN(len(s.underWay))
	m := s.underWay[i][0]
	if s.underWay[i] = s.underWay[i][1:]; len(s.underWay[i]) == 0 {
		s.underWay = append(s.underWay[:i], s.underWay[i+1:]...)
	}
	return m, true
}
