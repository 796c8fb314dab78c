package simulate

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/simulator"
)

// Target is a source of Yousign at a gateway.
type Target struct {
	// To is where the webhooks go: the ingress with the source's path.
	To string
	// Secret is the subscription's secret key, with which bodies are signed.
	Secret string
	// SubscriptionID is the subscription they are of; that of the examples when
	// empty.
	SubscriptionID string
}

// Repertoire implements simulator.Target.
func (Target) Repertoire() *simulator.Repertoire { return &repertoire }

// URL implements simulator.Target.
func (t Target) URL() string { return t.To }

// Validate requires a secret.
func (t Target) Validate() error {
	if t.Secret == "" {
		return errors.New("simulator: no secret to sign with")
	}
	return nil
}

// Prepare signs an event that happens now.
func (t Target) Prepare(m simulator.Message, wrong simulator.Wrong) simulator.Sending {
	id := uuid.NewString()
	body := body(m, id, cmp.Or(t.SubscriptionID, holdSubscription), time.Now())
	secret := t.Secret
	if wrong.Fault == simulator.FaultForged {
		secret = simulator.RandomText(32)
	}
	signature := yousign.Sign(secret, body)
	if wrong.Fault == simulator.FaultFlipped {
		flip(body, wrong.Where)
	}
	return simulator.Sending{EventID: id, Body: body, Header: func(attempt int, now time.Time) http.Header {
		return http.Header{
			"Content-Type":                 {"application/json"},
			yousign.DefaultSignatureHeader: {signature},
			"X-Yousign-Retry":              {strconv.Itoa(attempt)},
			"X-Yousign-Issued-At":          {strconv.FormatInt(now.Unix(), 10)},
			"User-Agent":                   {"Yousign Webhook Bot"},
		}
	}}
}

// flip changes one bit of a body.
func flip(body []byte, where uint64) {
	body[where/8%uint64(len(body))] ^= 1 << (where % 8)
}

// pauses are those between Yousign's retries.
var pauses = []time.Duration{
	2 * time.Minute, 6 * time.Minute, 30 * time.Minute,
	time.Hour, 5 * time.Hour, 18 * time.Hour, 24 * time.Hour, 48 * time.Hour,
}

// Manners are Yousign's: it takes redirects for a success too.
func (Target) Manners() simulator.Manners {
	return simulator.Manners{
		Acknowledges: func(status int) bool { return status >= 200 && status < 400 },
		Timeout:      timeout,
		Pauses:       pauses,
	}
}

// timeout is how long Yousign waits for an answer at this attempt.
func timeout(attempt int) time.Duration {
	if attempt == 0 {
		return time.Second
	}
	return 10 * time.Second
}
