package simulate

import (
	"strings"
	"testing"

	"github.com/hookstream/hookstream/provider/yousign"
)

// The moments are texts of examples that somebody else may edit.
func TestMomentsAreInTheExamples(t *testing.T) {
	var all strings.Builder
	for _, e := range yousign.Catalog() {
		all.WriteString(e.GetExample())
	}
	for _, moment := range exampleMoments {
		if !strings.Contains(all.String(), moment) {
			t.Errorf("%q is in no example", moment)
		}
	}
}
