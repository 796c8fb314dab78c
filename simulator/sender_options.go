package simulator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hookstream/hookstream/provider/ignisign"
)

// YousignTarget is a source of Yousign at a gateway.
type YousignTarget struct {
	// URL is where the webhooks go: the ingress with the source's path.
	URL string
	// Secret is the subscription's secret key, with which bodies are signed.
	Secret string
	// SubscriptionID is the subscription they are of; that of the examples when
	// empty.
	SubscriptionID string
}

// IgnisignTarget is a source of Ignisign at a gateway.
type IgnisignTarget struct {
	// URL is where the webhooks go: the ingress with the source's path. It is
	// registered as an endpoint of the API, so that its records tell what became
	// of each.
	URL string
	// API mints the tokens: the one that the gateway asks. The webhooks are of
	// its first application.
	API *Ignisign
}

// SenderOptions say what is sent where, how fast, how much and how badly.
type SenderOptions struct {
	// Yousign and Ignisign are where to send to; one may be empty.
	Yousign  YousignTarget
	Ignisign IgnisignTarget
	// Script says what is sent; all examples of the given targets in turn when
	// nil.
	Script Script

	// Rate is how many events are begun in a second, whatever becomes of them; as
	// fast as the connections allow when 0. Who falls behind catches up.
	Rate float64
	// Connections is how many events are under way at a time; 1 when 0. With one,
	// events arrive in the order of the script.
	Connections int
	// Count ends the sending after so many events; when the script or the context
	// ends if 0. Duplicates and retries are of an event that counts already.
	Count int
	// Duration ends the sending after so long; 0 for no end. What was posted then
	// is waited for, retries are not.
	Duration time.Duration
	// Timeout bounds every post. At 0 it is the sender's own: of Yousign 1 second
	// for the first, 10 for retries; of Ignisign 10, for want of better knowledge.
	Timeout time.Duration

	// Forge, Flip and Duplicate are the shares of events, from 0 to 1, that are
	// sent with a proof somebody made up, sent with one bit changed on the way
	// (of what the proof vouches for: the body of Yousign, the token of
	// Ignisign), and sent twice.
	Forge, Flip, Duplicate float64
	// Seed makes the choice of those events repeatable.
	Seed uint64

	// Retry sends again what was not acknowledged, as Yousign does: after 2, 6 and
	// 30 minutes, 1, 5 and 18 hours, 1 and 2 days. Ignisign does not, and nobody
	// does with what was forged or flipped on purpose.
	Retry bool
	// RetryScale shortens the pauses between retries: 0.001 makes 120 ms of 2
	// minutes. 1 when 0.
	RetryScale float64

	// AllowRemote allows targets elsewhere than on the loopback interface.
	AllowRemote bool
	// OnResult is told of every post and its answer, one at a time, before the
	// connection is used again.
	OnResult func(Result)
}

func (o SenderOptions) withDefaults() (SenderOptions, error) {
	orDefault(&o.Yousign.SubscriptionID, holdSubscription)
	orDefault(&o.Connections, 1)
	orDefault(&o.RetryScale, 1)
	if o.OnResult == nil {
		o.OnResult = func(Result) {}
	}
	if err := o.validate(); err != nil {
		return o, err
	}
	if o.Script == nil {
		return o.withExamples()
	}
	return o, nil
}

func (o SenderOptions) withExamples() (SenderOptions, error) {
	var scripts []Script
	for _, p := range slices.Sorted(maps.Keys(o.targets())) {
		s, err := Examples(p, o.Seed)
		if err != nil {
			return o, err
		}
		scripts = append(scripts, s)
	}
	o.Script = Alternate(scripts...)
	return o, nil
}

func (o SenderOptions) validate() error {
	for _, target := range o.targets() {
		if err := checkTarget(target, o.AllowRemote); err != nil {
			return err
		}
	}
	switch {
	case len(o.targets()) == 0:
		return errors.New("simulator: nowhere to send to")
	case o.Yousign.URL != "" && o.Yousign.Secret == "":
		return errors.New("simulator: no secret to sign with")
	case o.Ignisign.URL != "" && o.Ignisign.API == nil:
		return errors.New("simulator: no API to mint tokens")
	case o.Rate < 0 || o.Connections < 0 || o.Count < 0 || o.Duration < 0 || o.Timeout < 0 || o.RetryScale < 0:
		return errors.New("simulator: an option's number is negative")
	}
	for _, share := range []float64{o.Forge, o.Flip, o.Duplicate} {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("simulator: a share is from 0 to 1, not %v", share)
		}
	}
	return nil
}

// targets are the URLs by provider.
func (o SenderOptions) targets() map[string]string {
	urls := map[string]string{yousignID: o.Yousign.URL, ignisign.ID: o.Ignisign.URL}
	maps.DeleteFunc(urls, func(_, url string) bool { return url == "" })
	return urls
}
