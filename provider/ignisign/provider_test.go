package ignisign

import (
	"testing"

	"github.com/hookstream/hookstream/provider/providertest"
)

// Ignisign vouches for every token here: what is refused is refused by us.
func TestProvider(t *testing.T) {
	f := newFakeAPI(t, "v4")
	providertest.Run(t, f.provider(newKey), "testdata/requests")
}
