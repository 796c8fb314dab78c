package lenient

import (
	"errors"
	"strings"
	"testing"
)

// A body that would become a hundred times its size in messages is not made into
// any; one of a few long texts is.
func TestBodiesOfTooManyValues(t *testing.T) {
	for why, body := range map[string]string{
		"objects":          `{"a":[` + strings.Repeat("{},", 1<<18) + `{}]}`,
		"lists":            `{"a":[` + strings.Repeat("[[]],", 1<<16) + `0]}`,
		"numbers":          `{"a":[` + strings.Repeat("1,", MaxValues) + `1]}`,
		"members":          `{` + strings.Repeat(`"a":1,`, MaxValues) + `"b":1}`,
		"after odd quotes": `{"\"":"\\","a":[` + strings.Repeat("1,", MaxValues) + `1]}`,
	} {
		if _, err := Content([]byte(body)); !errors.Is(err, ErrTooMany) {
			t.Errorf("%s: %v", why, err)
		}
	}
	for why, body := range map[string]string{
		"a long text":    `{"a":"` + strings.Repeat("{,[", MaxValues) + `"}`,
		"as many as may": `{"a":[` + strings.Repeat("1,", MaxValues-10) + `1]}`,
	} {
		if _, err := Content([]byte(body)); err != nil {
			t.Errorf("%s: %v", why, err)
		}
	}
}
