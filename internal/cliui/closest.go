package cliui

import "strings"

// Closest finds the word that was probably meant by typed: the one that it begins, or the nearest by Levenshtein's
// distance as long as no more than a third of the letters differ. It is "" when no word is near.
func Closest(typed string, words []string) string {
	typed = strings.ToLower(typed)
	best, bestDistance := "", max(1, len(typed)/3)+1
	for _, word := range words {
		if typed != "" && strings.HasPrefix(word, typed) {
			return word
		}
		if d := editDistance(typed, strings.ToLower(word)); d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours that make b of a (optimal
// string alignment): swaps count once because "stauts" is how fingers miss "status".
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			replace := rows[i-1][j-1]
			if x[i-1] != y[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
