package source

import (
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/setting"
)

// Table has a row for each setting of a source, but for those of its provider's own
// config, which the provider looks after.
var Table = setting.Table{
	{Field: "description", Help: "What it is for, for people", Listed: true},
	{Field: "labels", Help: "A label of your own"},
	{Field: "disabled", Switch: true, Help: "Answer with 503 until the source is enabled"},
	{Field: "disabled_types", Help: "Pattern of types to answer with 200 and not publish"},
	{
		Field: "verification_mode", Flag: "mode", Values: setting.Choice{Preset: hookstreamv1.VerificationMode_VERIFICATION_MODE_ENFORCE},
		Help: "What happens to a request that is not genuine: enforce refuses it, shadow publishes it, marked",
	},
	{Field: "include_sensitive_fields", Help: "Show signer links and proof tokens to everybody who may subscribe"},
	{Field: "include_sensitive", Help: "Show some kinds of sensitive fields only: access (links and tokens), identity (what was read from papers)"},
	{Field: "keyless", Help: "Leave the unguessable part out of the URL"},
	{
		Field: "max_requests_per_second", Flag: "max-rate", Values: setting.Numbers{Max: 1_000_000},
		Help: "Requests per second above which 429 is answered, 0 for the gateway's default",
	},
}
