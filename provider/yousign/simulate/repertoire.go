package simulate

import (
	"bytes"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/simulator"
)

var repertoire = simulator.Repertoire{
	Provider:     yousign.ID,
	Types:        types(),
	Placeholders: placeholders,
	Example:      example,
	TypeOf:       func(body []byte) string { return gjson.GetBytes(body, "event_name").Str },
	ByHand:       byHand,
	Plot:         plot,
}

func types() (all []string) {
	for _, t := range yousign.Catalog() {
		all = append(all, t.GetType())
	}
	return all
}

// example answers an example with the placeholders of what is known when it is sent.
func example(typ string) ([]byte, error) {
	body, _, err := yousign.Sample(typ, time.Time{})
	if err != nil {
		return nil, err
	}
	body = simulator.SetValue(body, simulator.SetText("event_id", holdEventID))
	body = simulator.SetValue(body, simulator.SetText("event_time", holdEventTime))
	for _, moment := range exampleMoments {
		body = bytes.ReplaceAll(body, []byte(moment), []byte(holdMoment))
	}
	return body, nil
}

// body is the body of a message as an event that happens now.
func body(m simulator.Message, eventID, subscription string, now time.Time) []byte {
	return m.Body(map[string]string{
		holdEventID: eventID, holdEventTime: strconv.FormatInt(now.Unix(), 10), holdMoment: timestamp(now),
		holdSubscription: simulator.Escaped(subscription),
	})
}

// byHand is a small webhook that fits into a shell's quotes.
func byHand(now time.Time) []byte {
	return []byte(`{"event_id":"` + uuid.NewString() + `","event_name":"signer.done","event_time":"` + strconv.FormatInt(now.Unix(), 10) +
		`","sandbox":true,"data":{"signature_request":{"id":"` + uuid.NewString() + `","status":"ongoing","name":"Sent by hand"},"signer":{"status":"signed"}}}`)
}
