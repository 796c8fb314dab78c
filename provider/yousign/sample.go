package yousign

import (
	"crypto/rand"
	"embed"
	"fmt"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
)

// A body of every event. They are composed, not captured: all ids and people in
// them are made up.
//
//go:embed examples/*.json
var examples embed.FS

func exampleFile(name string) string { return "examples/" + name + ".json" }

// Sample answers the example body of an event under a new event id and with now
// as its time. Nothing else of the example's bytes is changed. It fails for a
// name that Catalog does not list.
func Sample(typ string, now time.Time) (body []byte, eventID string, err error) {
	if _, known := meanings[typ]; !known {
		return nil, "", fmt.Errorf("yousign: no such event type: %q", typ)
	}
	body, err = examples.ReadFile(exampleFile(typ))
	if err != nil {
		return nil, "", fmt.Errorf("yousign: %w", err)
	}
	eventID = newUUID()
	body = replace(body, "event_id", eventID)
	return replace(body, "event_time", strconv.FormatInt(now.Unix(), 10)), eventID, nil
}

// replace puts a text in the place of a value of the envelope.
func replace(body []byte, key, value string) []byte {
	old := gjson.GetBytes(body, key)
	changed := append([]byte(nil), body[:old.Index]...)
	changed = strconv.AppendQuote(changed, value)
	return append(changed, body[old.Index+len(old.Raw):]...)
}

// newUUID makes a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
