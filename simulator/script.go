package simulator

import (
	"errors"
	"math/rand/v2"
	"time"
)

// A Script says what is sent, message by message. A Sender asks for one message
// at a time; false ends the sending.
type Script interface {
	Next() (Message, bool)
}

// Examples answers an endless script of a sender's examples in turn: those of the
// named types, or of every type in the catalog when none is named. A type named twice
// comes twice as often, and the name of a variant will do too. What identifies things
// is fresh in every message, and is the same again for the same seed.
func Examples(of *Repertoire, seed uint64, types ...string) (Script, error) {
	if len(types) == 0 {
		types = of.Types
	}
	e := &examples{of: of, rand: newRand(seed)}
	texts := of.cast(e.rand)
	for _, typ := range types {
		m, err := of.message(typ, nil, texts)
		if err != nil {
			return nil, err
		}
		e.messages = append(e.messages, m)
	}
	return e, nil
}

type examples struct {
	of       *Repertoire
	rand     *rand.Rand
	messages []Message
	next     int
}

func (e *examples) Next() (Message, bool) {
	m := e.messages[e.next]
	e.next = (e.next + 1) % len(e.messages)
	m.texts = e.of.cast(e.rand)
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

// Stories answers an endless script of stories of these senders. A few are under way
// at a time, each in its own order. The same seed gives the same stories, save their
// times.
func Stories(seed uint64, of ...*Repertoire) (Script, error) {
	if len(of) == 0 {
		return nil, errors.New("simulator: stories of nobody")
	}
	for _, o := range of {
		if _, err := o.Story(seed, time.Now()); err != nil {
			return nil, err
		}
	}
	return &stories{of: of, rand: newRand(seed)}, nil
}

type stories struct {
	of       []*Repertoire
	rand     *rand.Rand
	begun    int
	underWay [][]Message
}

func (s *stories) Next() (Message, bool) {
	for len(s.underWay) < storiesAtOnce {
		story, err := s.of[s.begun%len(s.of)].Story(s.rand.Uint64(), time.Now())
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
