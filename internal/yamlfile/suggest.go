package yamlfile

import (
	"slices"
	"strings"
)

// suggest returns the candidate that word is most likely a slip of, or "". At
// most one edit is forgiven in a short word, two in a longer one.
func suggest(word string, candidates []string) string {
	word = strings.ToLower(word)
	limit := 1
	if len(word) > 4 {
		limit = 2
	}
	best := ""
	for _, c := range candidates {
		// Plurals and the ends of words are mistaken more often than letters.
		if len(word) > 2 && (strings.HasPrefix(c, word) || strings.HasPrefix(word, c)) && best == "" {
			best = c
		}
		if max(len(c)-len(word), len(word)-len(c)) > limit {
			continue // it takes at least so many edits
		}
		if d := distance(word, strings.ToLower(c)); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Suggest is the "did you mean" of kvmlab: the known word that is nearest to
// the given one, or "" when none is near.
func Suggest(word string, known []string) string {
	if slices.Contains(known, word) {
		return ""
	}
	return suggest(word, known)
}
