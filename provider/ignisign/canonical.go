package ignisign

import (
	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/lenient"
)

// canonical answers one text for all JSON that says the same, without the members
// that JavaScript and its databases drop and add at will. It is nil for what says
// nothing at all.
func canonical(value gjson.Result) []byte {
	text := lenient.AppendMeaning(nil, value)
	if lenient.SaysNothing(text) {
		return nil
	}
	return text
}
