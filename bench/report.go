package bench

import (
	"encoding/json"
	"io"
	"time"
)

// A Report is all that was measured, and on what.
type Report struct {
	Version string    `json:"version"`
	Begin   time.Time `json:"begin"`
	Machine Machine   `json:"machine"`
	Rounds  int       `json:"rounds"`
	Span    string    `json:"roundDuration"`
	Quick   bool      `json:"quick,omitempty"`
	Results []Result  `json:"results"`
}

// Misses are the targets that were not reached, in words, and the scenarios that
// could not be measured.
func (r Report) Misses() []string {
	var misses []string
	for _, result := range r.Results {
		misses = append(misses, result.Misses()...)
	}
	return misses
}

// WriteJSON writes the report for tools.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// MarshalJSON leaves out what is not known.
func (r Row) MarshalJSON() ([]byte, error) {
	known := func(v float64) *float64 {
		if v < 0 {
			return nil
		}
		return &v
	}
	return json.Marshal(struct {
		Name string   `json:"name"`
		Rate float64  `json:"perSecond"`
		P50  *float64 `json:"p50Milliseconds,omitempty"`
		P99  *float64 `json:"p99Milliseconds,omitempty"`
		CPU  *float64 `json:"cpuMicroseconds,omitempty"`
		Peak *float64 `json:"peakMiB,omitempty"`
	}{r.Name, r.Rate, known(r.P50), known(r.P99), known(r.CPU), known(r.Peak)})
}
