package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// The table has 120 columns at most.
const (
	headLine = "%-30s %12s %10s %10s %10s %9s %7s  %s\n"
	nameCut  = 30
)

// WriteBegin writes what stands above the machine.
func (r Report) WriteBegin(w io.Writer) {
	fmt.Fprintf(w, "hookstream %s, %d rounds of %s\n", r.Version, r.Rounds, r.Span)
}

// WriteColumns writes the names of the columns.
func WriteColumns(w io.Writer) {
	fmt.Fprintf(w, headLine, "", "RATE/S", "P50 MS", "P99 MS", "CPU US", "PEAK MIB", "RATIO", "TARGET")
}

// Write writes the result for people.
func (r Result) Write(w io.Writer) {
	fmt.Fprintln(w, r.Scenario)
	for i, row := range r.Rows {
		ratio, target := "", ""
		name := "  " + row.Name
		if i > 0 && i <= len(r.Ratios) {
			name = "  vs " + row.Name
			ratio, target = number(r.Ratios[i-1].Value), verdict(r.Ratios[i-1].Target, r.Ratios[i-1].Value)
		}
		writeTrimmed(w, headLine, cut(name), known(row.Rate), known(row.P50), known(row.P99), known(row.CPU), known(row.Peak), ratio, target)
	}
	for _, f := range r.Figures {
		writeTrimmed(w, "  %-41s %14s %-26s %s\n", f.Name, known(f.Value), f.Unit, verdict(f.Target, f.Value))
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "  note: %s\n", note)
	}
	if r.Error != "" {
		fmt.Fprintf(w, "  not measured: %s\n", strings.ReplaceAll(r.Error, "\n", "\n    "))
	}
}

func writeTrimmed(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf(format, args...), " \n"))
}

func cut(name string) string {
	if len(name) > nameCut {
		return name[:nameCut-2] + ".."
	}
	return name
}

func verdict(t *Target, v float64) string {
	switch {
	case t == nil:
		return ""
	case t.Met(v):
		return t.String() + "  met"
	}
	return t.String() + "  MISSED"
}

func known(v float64) string {
	if v < 0 {
		return "n/a"
	}
	return number(v)
}

// number writes three digits that mean something, and thousands apart.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case v == 0:
		return "0"
	case abs < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case abs < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return grouped(strconv.FormatFloat(v, 'f', 0, 64))
}

func grouped(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}
