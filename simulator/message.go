package simulator

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/provider/ignisign"
)

// yousignID is the id of the provider that has no constant for it.
const yousignID = "yousign"

// A Message is a webhook to be sent, complete but for what is made at the moment
// of sending: event id, times, token. Made by Examples and Story.
type Message struct {
	// Provider is yousign or ignisign.
	Provider string
	// Type is topic and action as they stand in the body.
	Type string

	template template
	texts    []string // one for each placeholder of the provider
}

func newMessage(provider string, t template, texts []string) Message {
	m := Message{Provider: provider, template: t, texts: texts}
	m.Type = typeOf(provider, t.fill(texts))
	return m
}

// body fills in what was left open.
func (m Message) body(with map[string]string) []byte {
	return m.template.fill(fillIn(placeholdersOf(m.Provider), m.texts, with))
}

// yousignBody is the body of a message as an event that happens now.
func (m Message) yousignBody(eventID, subscription string, now time.Time) []byte {
	with := map[string]string{
		holdEventID: eventID, holdEventTime: strconv.FormatInt(now.Unix(), 10), holdMoment: timestamp(now),
		holdSubscription: escaped(subscription),
	}
	return m.body(with)
}

// ignisignBody is the body of a message as an event of an application, with a
// token or a placeholder for it.
func (m Message) ignisignBody(app App, token string) []byte {
	return m.body(map[string]string{holdAppID: escaped(app.ID), holdAppEnv: escaped(app.Env), holdToken: token})
}

// escaped is a text as it stands between quotes in JSON.
func escaped(text string) string {
	quoted, _ := json.Marshal(text) // a string: nothing can go wrong
	return string(quoted[1 : len(quoted)-1])
}

func placeholdersOf(provider string) []placeholder {
	if provider == ignisign.ID {
		return ignisignPlaceholders
	}
	return yousignPlaceholders
}

// newRand makes the randomness of what is to be repeatable. Tokens and event ids
// are not: those come from crypto/rand.
func newRand(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0))
}
