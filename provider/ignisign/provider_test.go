package ignisign

import (
	"testing"

	"github.com/hookstream/hookstream/provider/providertest"
)

// Ignisign vouches for the token of all requests here and for no other: which of them
// are refused is ours.
func TestProvider(t *testing.T) {
	f := newFakeAPI(t, "v4")
	f.stranger = reply(200, apiExample(t, "verification.response.not-found"))
	providertest.Run(t, f.provider(newKey), "testdata/requests")
}
