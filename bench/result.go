package bench

// unknown is a figure that could not be measured here. It is left out of tables
// and JSON.
const unknown = -1.0

// A Result is what came of a scenario.
type Result struct {
	Scenario string `json:"scenario"`
	About    string `json:"about,omitempty"`
	// Rows are the contenders, the subject first.
	Rows []Row `json:"rows,omitempty"`
	// Ratios are those of the subject's rate to each baseline's: medians of the
	// ratios of each round.
	Ratios []Ratio `json:"ratios,omitempty"`
	// Figures are what else was measured.
	Figures []Figure `json:"figures,omitempty"`
	// Notes say what a reader must know.
	Notes []string `json:"notes,omitempty"`
	// Error is why there is no result, or none that counts.
	Error string `json:"error,omitempty"`
	// Took is how long it took, in seconds.
	Took float64 `json:"tookSeconds"`
}

// A Row is what a contender reached: medians of all rounds. What is not known is
// negative.
type Row struct {
	Name string `json:"name"`
	// Rate is events per second, P50 and P99 milliseconds that one takes, CPU
	// microseconds of the process for one, Peak the most MiB that the process had.
	Rate float64 `json:"perSecond"`
	P50  float64 `json:"p50Milliseconds"`
	P99  float64 `json:"p99Milliseconds"`
	CPU  float64 `json:"cpuMicroseconds"`
	Peak float64 `json:"peakMiB"`
}

// A Ratio is the subject's rate over a baseline's.
type Ratio struct {
	Against string  `json:"against"`
	Value   float64 `json:"value"`
	Target  *Target `json:"target,omitempty"`
}

// A Figure is one number with a name.
type Figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit,omitempty"`
	Target *Target `json:"target,omitempty"`
}

// A Target is what a value must reach.
type Target struct {
	// Bound is `>=` or `<=`.
	Bound string  `json:"bound"`
	Value float64 `json:"value"`
}

// AtLeast is the target of a value that should be large.
func AtLeast(v float64) *Target { return &Target{">=", v} }

// AtMost is the target of a value that should be small.
func AtMost(v float64) *Target { return &Target{"<=", v} }

// Met reports whether a value reaches the target. No target is met by any.
func (t *Target) Met(v float64) bool {
	switch {
	case t == nil:
		return true
	case t.Bound == ">=":
		return v >= t.Value
	}
	return v <= t.Value
}

// Misses are the targets that a result does not reach, in words. An error is one.
func (r Result) Misses() []string {
	var misses []string
	if r.Error != "" {
		misses = append(misses, r.Scenario+": "+r.Error)
	}
	for _, x := range r.Ratios {
		if !x.Target.Met(x.Value) {
			misses = append(misses, r.Scenario+": ratio to "+x.Against+" is "+number(x.Value)+", not "+x.Target.String())
		}
	}
	for _, f := range r.Figures {
		if !f.Target.Met(f.Value) {
			misses = append(misses, r.Scenario+": "+f.Name+" is "+number(f.Value)+", not "+f.Target.String())
		}
	}
	return misses
}

// String writes the target as it stands in the table.
func (t *Target) String() string { return t.Bound + " " + number(t.Value) }
