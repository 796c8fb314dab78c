package simulator

import (
	"errors"
	"fmt"
	"time"
)

// SenderOptions say what is sent where, how fast, how much and how badly.
type SenderOptions struct {
	// Targets are where to send to, one of each sender.
	Targets []Target
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
	// Timeout bounds every post. At 0 it is the sender's own.
	Timeout time.Duration

	// Forge, Flip and Duplicate are the shares of events, from 0 to 1, that are
	// sent with a proof somebody made up, sent with something changed on the way (of
	// what the proof vouches for, or of itself), and sent twice.
	Forge, Flip, Duplicate float64
	// Seed makes the choice of those events repeatable.
	Seed uint64

	// Retry sends again what was not acknowledged, if the sender does and after its
	// own pauses; not what was forged or flipped on purpose.
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
	OrDefault(&o.Connections, 1)
	OrDefault(&o.RetryScale, 1)
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
	for _, t := range o.Targets {
		s, err := Examples(t.Repertoire(), o.Seed)
		if err != nil {
			return o, err
		}
		scripts = append(scripts, s)
	}
	o.Script = Alternate(scripts...)
	return o, nil
}

func (o SenderOptions) validate() error {
	for _, t := range o.Targets {
		if err := errors.Join(CheckTarget(t.URL(), o.AllowRemote), t.Validate()); err != nil {
			return err
		}
	}
	switch {
	case len(o.Targets) == 0:
		return errors.New("simulator: nowhere to send to")
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
