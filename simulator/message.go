package simulator

import (
	"encoding/json"
	"math/rand/v2"
)

// A Message is a webhook to be sent, complete but for what is made at the moment
// of sending: event id, times, token. Made by Examples and Repertoire.Story.
type Message struct {
	// Provider is the sender's id.
	Provider string
	// Type is topic and action as they stand in the body.
	Type string

	of       *Repertoire
	template template
	texts    []string // one for each placeholder
}

// Body answers the body with what was left open filled in: a text, as it stands in
// JSON, for each placeholder that is named.
func (m Message) Body(with map[string]string) []byte {
	return m.template.fill(m.of.fillIn(m.texts, with))
}

// Escaped is a text as it stands between quotes in JSON.
func Escaped(text string) string {
	quoted, _ := json.Marshal(text) // a string: nothing can go wrong
	return string(quoted[1 : len(quoted)-1])
}

// newRand makes the randomness of what is to be repeatable. Tokens and event ids
// are not: those come from crypto/rand.
func newRand(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0))
}
