package yousign

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// maxRetired bounds the secrets that are kept once they are accepted no more.
const maxRetired = 20

// Retire keeps in next, as retired, the secrets that src accepted and next does
// not: what they signed can then still be checked. What a caller says of retired
// secrets counts for nothing. src may be nil.
func (Provider) Retire(src, next *hookstreamv1.Source, now time.Time) {
	cfg := next.GetYousign()
	if cfg == nil {
		return
	}
	var retired []*yousignv1.RetiredSecret
	for _, secret := range src.GetYousign().GetSecrets() {
		if !slices.Contains(cfg.GetSecrets(), secret) {
			retired = append(retired, &yousignv1.RetiredSecret{Secret: secret, RetireTime: ended(src, secret, now)})
		}
	}
	for _, earlier := range src.GetYousign().GetRetiredSecrets() {
		if !slices.Contains(cfg.GetSecrets(), earlier.GetSecret()) {
			retired = append(retired, earlier)
		}
	}
	cfg.RetiredSecrets = retired[:min(len(retired), maxRetired)]
}

// ended answers when a secret ceased to be accepted: now, if it had not expired.
func ended(src *hookstreamv1.Source, secret string, now time.Time) *timestamppb.Timestamp {
	if end := expiry(src.GetYousign(), secret); expired(end, now) {
		return end
	}
	return timestamppb.New(now)
}
