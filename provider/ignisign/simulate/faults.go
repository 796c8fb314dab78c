package simulate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Ways of being down.
const (
	// DownDrop closes the connection of every call without reading its body.
	DownDrop = "drop"
	// Down503 answers every call with 503.
	Down503 = "503"
)

// Faults are what is wrong with Ignisign's API. The zero value is an API in good
// health. Several at once are met in the order of the fields.
type Faults struct {
	// Down is DownDrop, Down503 or empty. No call is taken: no token is spent.
	Down string
	// RateLimited answers every call with 429, and RetryAfter, in whole seconds,
	// as the pause it asks for, unless that is 0.
	RateLimited bool
	RetryAfter  time.Duration
	// RefuseCredentials answers every call with 401.
	RefuseCredentials bool
	// ExpireTokens takes every token for expired, without spending it.
	ExpireTokens bool
	// Delay is how late answers come. What was asked is done at once.
	Delay time.Duration
	// LoseAnswer drops the connection of every check after the token was spent.
	LoseAnswer bool
	// Times is how many calls meet a fault before all is well again; 0 for all
	// until the faults are set anew.
	Times int
}

// Validate says what is wrong with the wrong.
func (f Faults) Validate() error {
	switch {
	case f.Down != "" && f.Down != DownDrop && f.Down != Down503:
		return fmt.Errorf("simulator: no such way of being down: %q", f.Down)
	case f.Delay < 0 || f.RetryAfter < 0 || f.Times < 0:
		return errors.New("simulator: a fault's number is negative")
	}
	return nil
}

// strikes reports whether a call meets any of these faults.
func (f Faults) strikes(check bool) bool {
	return f.Down != "" || f.RateLimited || f.RefuseCredentials || f.Delay > 0 ||
		check && (f.ExpireTokens || f.LoseAnswer)
}

// SetFaults replaces the faults, from the next call on; Faults{} ends them.
func (s *API) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	s.faults.set(f)
	return nil
}

// Faults answers those in force.
func (s *API) Faults() Faults { return s.faults.get() }

type faultSwitch struct {
	mu  sync.Mutex
	now Faults
}

func (s *faultSwitch) set(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = f
}

func (s *faultSwitch) get() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// next answers the faults for one call and counts it, if it meets any.
func (s *faultSwitch) next(check bool) (f Faults, struck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.now.strikes(check) {
		return Faults{}, false
	}
	f = s.now
	if f.Times == 1 {
		s.now = Faults{}
	} else if f.Times > 1 {
		s.now.Times--
	}
	return f, true
}

// faultsJSON is the form in which faults travel: durations as Go writes them,
// "250ms".
type faultsJSON struct {
	Down              string `json:"down,omitempty"`
	RateLimited       bool   `json:"rateLimited,omitempty"`
	RetryAfter        string `json:"retryAfter,omitempty"`
	RefuseCredentials bool   `json:"refuseCredentials,omitempty"`
	ExpireTokens      bool   `json:"expireTokens,omitempty"`
	Delay             string `json:"delay,omitempty"`
	LoseAnswer        bool   `json:"loseAnswer,omitempty"`
	Times             int    `json:"times,omitempty"`
}

// MarshalJSON writes the form that PUT /_simulator/faults takes.
func (f Faults) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultsJSON{
		Down: f.Down, RateLimited: f.RateLimited, RetryAfter: durationText(f.RetryAfter),
		RefuseCredentials: f.RefuseCredentials, ExpireTokens: f.ExpireTokens,
		Delay: durationText(f.Delay), LoseAnswer: f.LoseAnswer, Times: f.Times,
	})
}

// UnmarshalJSON reads that form. It refuses a name it does not know: a misspelt
// fault would pass for good health.
func (f *Faults) UnmarshalJSON(text []byte) error {
	var j faultsJSON
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return err
	}
	read, err := j.faults()
	if err == nil {
		*f = read
	}
	return err
}

func (j faultsJSON) faults() (Faults, error) {
	delay, err := readDuration(j.Delay)
	if err != nil {
		return Faults{}, fmt.Errorf("simulator: delay: %w", err)
	}
	retryAfter, err := readDuration(j.RetryAfter)
	if err != nil {
		return Faults{}, fmt.Errorf("simulator: retryAfter: %w", err)
	}
	f := Faults{
		Down: j.Down, RateLimited: j.RateLimited, RetryAfter: retryAfter,
		RefuseCredentials: j.RefuseCredentials, ExpireTokens: j.ExpireTokens,
		Delay: delay, LoseAnswer: j.LoseAnswer, Times: j.Times,
	}
	return f, f.Validate()
}

func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func readDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}
