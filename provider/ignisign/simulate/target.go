package simulate

import (
	"errors"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/simulator"
)

// Target is a source of Ignisign at a gateway.
type Target struct {
	// To is where the webhooks go: the ingress with the source's path. It is made an
	// endpoint of the API, so that its records tell what became of each.
	To string
	// API mints the tokens: the one that the gateway asks. The webhooks are of
	// its first application.
	API *API
}

// Repertoire implements simulator.Target.
func (Target) Repertoire() *simulator.Repertoire { return &repertoire }

// URL implements simulator.Target.
func (t Target) URL() string { return t.To }

// Validate requires an API.
func (t Target) Validate() error {
	if t.API == nil {
		return errors.New("simulator: no API to mint tokens")
	}
	return nil
}

// Prepare makes the API's record of an event, and the token that stands for it.
func (t Target) Prepare(m simulator.Message, wrong simulator.Wrong) simulator.Sending {
	app := t.API.App()
	event := t.API.newRecord(t.API.endpointFor(t.To), body(m, app, ""))
	t.API.records.add(event)
	token := simulator.RandomText(tokenLength)
	if wrong.Fault != simulator.FaultForged {
		token = t.API.mintFor(event)
	}
	if wrong.Fault == simulator.FaultFlipped {
		token = flipped(token, wrong.Where)
	}
	return simulator.Sending{
		EventID: event.ID, Token: token, Body: body(m, app, token),
		Header: func(int, time.Time) http.Header { return header() },
		Note: func(res simulator.Result) {
			var response *Response
			if res.Err == nil {
				response = &Response{Status: res.Status, StatusText: http.StatusText(res.Status)}
			}
			t.API.records.complete(event.ID, response)
		},
	}
}

// flipped changes one character of a token so that all stay letters and digits.
func flipped(token string, where uint64) string {
	b := []byte(token)
	i := where % uint64(len(b))
	if b[i]++; b[i] > 'z' || b[i] == 'Z'+1 || b[i] == '9'+1 {
		b[i] = '0'
	}
	return string(b)
}

// Manners are Ignisign's: nothing but 200 is a success, and nothing is sent again.
// How long it waits is not known.
func (Target) Manners() simulator.Manners {
	return simulator.Manners{
		Acknowledges: func(status int) bool { return status == http.StatusOK },
		Timeout:      func(int) time.Duration { return 10 * time.Second },
	}
}
