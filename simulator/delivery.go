package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
)

// A delivery is one event on its way: the same body at every attempt.
type delivery struct {
	provider, typ, eventID, token string
	url                           string
	body                          []byte
	signature                     string // of Yousign
	record                        string // of Ignisign: the API's record
	fault                         Fault
	twice                         bool
}

// prepare makes what is made at the moment of sending.
func (s *Sender) prepare(m Message, d draw) (delivery, error) {
	switch {
	case m.Provider == yousignID && s.opts.Yousign.URL != "":
		return s.prepareYousign(m, d), nil
	case m.Provider == ignisign.ID && s.opts.Ignisign.URL != "":
		return s.prepareIgnisign(m, d), nil
	}
	return delivery{}, fmt.Errorf("simulator: no target for a message of %q", m.Provider)
}

func (s *Sender) prepareYousign(m Message, d draw) delivery {
	target := s.opts.Yousign
	id := uuid.NewString()
	body := m.yousignBody(id, target.SubscriptionID, time.Now())
	secret := target.Secret
	if d.fault == FaultForged {
		secret = randomText(32)
	}
	signature := yousign.Sign(secret, body)
	if d.fault == FaultFlipped {
		flip(body, d.where)
	}
	return delivery{
		provider: m.Provider, typ: m.Type, eventID: id, url: target.URL,
		body: body, signature: signature, fault: d.fault, twice: d.twice,
	}
}

func (s *Sender) prepareIgnisign(m Message, d draw) delivery {
	api := s.opts.Ignisign.API
	event := api.newRecord(s.hook, m.ignisignBody(api.App(), ""))
	api.records.add(event)
	token := randomText(tokenLength)
	if d.fault != FaultForged {
		token = api.mintFor(event)
	}
	if d.fault == FaultFlipped {
		token = flipped(token, d.where)
	}
	return delivery{
		provider: m.Provider, typ: m.Type, eventID: event.ID, token: token, url: s.opts.Ignisign.URL,
		body: m.ignisignBody(api.App(), token), record: event.ID, fault: d.fault, twice: d.twice,
	}
}

// flip changes one bit of a body.
func flip(body []byte, where uint64) {
	body[where/8%uint64(len(body))] ^= 1 << (where % 8)
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

// header is what the sender sends beside the body at this attempt.
func (d delivery) header(attempt int, now time.Time) http.Header {
	if d.provider == ignisign.ID {
		return ignisignHeader()
	}
	return http.Header{
		"Content-Type":                 {"application/json"},
		yousign.DefaultSignatureHeader: {d.signature},
		"X-Yousign-Retry":              {strconv.Itoa(attempt)},
		"X-Yousign-Issued-At":          {strconv.FormatInt(now.Unix(), 10)},
		"User-Agent":                   {"Yousign Webhook Bot"},
	}
}

// timeout is how long the sender waits for an answer at this attempt.
func (d delivery) timeout(attempt int) time.Duration {
	if d.provider == yousignID && attempt == 0 {
		return time.Second
	}
	return 10 * time.Second
}
