package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hookstream/hookstream/bench/load"
)

// A Contest lets a subject and baselines do the same, in turn.
type Contest struct {
	Subject   Contender
	Baselines []Contender
	// Targets are the least ratios of the subject's rate to that of a baseline,
	// by the baseline's name.
	Targets map[string]float64
	// WarmUp lets each do it once before, for a third of a span, and forgets it:
	// the first half second of a process goes into getting its memory.
	WarmUp bool
	// Times is how many times as many rounds are held as usual: two rounds differ by
	// more than a few per cent, where that matters. 0 is 1.
	Times int
}

// A Contender is one that is measured.
type Contender struct {
	Name string
	// Process is whose CPU and memory are counted; nil: nobody's.
	Process *Process
	// Round does it once, for about span.
	Round func(ctx context.Context, span time.Duration) (Sample, error)
}

// A Sample is what was done in one round.
type Sample struct {
	// Events is what was done, in Took.
	Events int64
	Took   time.Duration
	// Latency is how long each took; nil: not measured.
	Latency *load.Histogram
	// CPU is what the contender's process used meanwhile; negative: not known.
	CPU time.Duration
	// Peak is the most memory, in bytes, of a process that was there for this round
	// only; 0: not known, or the contender's process knows.
	Peak int64
	// Figures are what else was seen. Those of all rounds are merged by name: the
	// median is reported.
	Figures []Figure
}

// Rate is events per second.
func (s Sample) Rate() float64 { return perSecond(s.Events, s.Took) }

// Hold lets the contenders take turns, round after round, each second round
// backwards: what changes with time on the machine meets all alike.
func (b *Bench) Hold(ctx context.Context, c Contest) (Result, error) {
	all := append([]Contender{c.Subject}, c.Baselines...)
	if c.WarmUp {
		for _, who := range all {
			if _, err := b.round(ctx, who, b.Span/3, false); err != nil {
				return Result{}, err
			}
		}
	}
	samples := make([][]Sample, len(all))
	for round := range max(b.Rounds, 1) * max(c.Times, 1) {
		for turn := range all {
			i := turn
			if round%2 == 1 {
				i = len(all) - 1 - turn
			}
			s, err := b.round(ctx, all[i], b.Span, round == 0 && i == 0)
			if err != nil {
				return Result{}, err
			}
			samples[i] = append(samples[i], s)
		}
	}
	return c.result(all, samples), nil
}

func (b *Bench) round(ctx context.Context, c Contender, span time.Duration, profiled bool) (Sample, error) {
	if profiled {
		done := b.profile(ctx, c.Process)
		defer done()
	}
	s, err := c.Round(ctx, span)
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	if c.Process != nil {
		if died := c.Process.Died(); died != nil {
			return s, died
		}
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", c.Name, err)
	}
	return s, nil
}

func (c Contest) result(all []Contender, samples [][]Sample) Result {
	var r Result
	for i, who := range all {
		r.Rows = append(r.Rows, rowOf(who, samples[i]))
		if i == 0 {
			r.Figures = mergeFigures(samples[0])
			continue
		}
		ratio := Ratio{Against: who.Name, Value: medianOf(len(samples[i]), func(round int) float64 {
			return share(samples[0][round].Rate(), samples[i][round].Rate())
		})}
		if least, ok := c.Targets[who.Name]; ok {
			ratio.Target = AtLeast(least)
		}
		r.Ratios = append(r.Ratios, ratio)
	}
	return r
}

func rowOf(who Contender, samples []Sample) Row {
	row := Row{Name: who.Name, CPU: unknown, Peak: unknown}
	row.Rate = medianOf(len(samples), func(i int) float64 { return samples[i].Rate() })
	row.P50 = medianOf(len(samples), func(i int) float64 { return quantile(samples[i], 0.50) })
	row.P99 = medianOf(len(samples), func(i int) float64 { return quantile(samples[i], 0.99) })
	if !slices.ContainsFunc(samples, func(s Sample) bool { return s.CPU < 0 }) {
		row.CPU = medianOf(len(samples), func(i int) float64 { return perDelivery(samples[i].CPU, samples[i].Events) })
	}
	if peak := peakOf(who, samples); peak > 0 {
		row.Peak = float64(peak) / (1 << 20)
	}
	return row
}

// peakOf is in bytes, 0 when it is not known.
func peakOf(who Contender, samples []Sample) (peak int64) {
	if who.Process != nil {
		_, peak, _ = who.Process.Memory()
		return peak
	}
	for _, s := range samples {
		peak = max(peak, s.Peak)
	}
	return peak
}

// quantile is in milliseconds.
func quantile(s Sample, q float64) float64 {
	if s.Latency == nil || s.Latency.Count() == 0 {
		return unknown
	}
	return milliseconds(s.Latency.Quantile(q))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// mergeFigures answers the figures of the first sample with the medians of all.
func mergeFigures(samples []Sample) []Figure {
	if len(samples) == 0 {
		return nil
	}
	merged := slices.Clone(samples[0].Figures)
	for i := range merged {
		merged[i].Value = medianOf(len(samples), func(s int) float64 {
			if i >= len(samples[s].Figures) {
				return merged[i].Value
			}
			return samples[s].Figures[i].Value
		})
	}
	return merged
}

func share(of, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return of / whole
}

// medianOf answers the median of n values; the mean of the two in the middle
// when n is even.
func medianOf(n int, value func(int) float64) float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = value(i)
	}
	slices.Sort(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}
