package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// samples are measurements of one thing.
type samples []float64

func (s *samples) add(v float64) { *s = append(*s, v) }

// quantile is the smallest sample that at least q of all do not exceed; 0 when there are none.
func (s samples) quantile(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// String is the median with the least and the greatest: "3 (1–5)".
func (s samples) String() string {
	if len(s) == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.quantile(0.5)), number(s.quantile(0)), number(s.quantile(1)))
}

// spread is the same with decimals: "2.26 (1.93–2.46)".
func (s samples) spread(decimals int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.quantile(0.5), decimals, s.quantile(0), decimals, s.quantile(1))
}

// timing is a row of a table of seconds.
type timing struct {
	what string
	took samples
}

// timeTable writes a table of seconds.
func timeTable(decimals int, rows ...timing) string {
	var b strings.Builder
	b.WriteString("| what | seconds |\n|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", row.what, row.took.spread(decimals))
	}
	return b.String()
}

// number writes a rate with its thousands apart.
func number(v float64) string {
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return strings.Join(append([]string{digits}, groups...), " ")
}

// span writes a duration in microseconds or milliseconds.
func span(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	default:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	}
}

// ratio writes how many times b is in a.
func ratio(a, b float64) string {
	if a == 0 || b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}
