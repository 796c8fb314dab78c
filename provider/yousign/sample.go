package yousign

import (
	"embed"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider"
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
		return nil, "", fmt.Errorf("yousign: %w: %q", provider.ErrNoSuchType, typ)
	}
	body, err = examples.ReadFile(exampleFile(typ))
	if err != nil {
		return nil, "", fmt.Errorf("yousign: %w", err)
	}
	eventID = uuid.NewString()
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
