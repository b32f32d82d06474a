package main

import (
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
	"github.com/kvmlab/kvmlab/scenarios"
)

// TestProvenMistakes chooses mistakes: all or some, those in answers first.
func TestProvenMistakes(t *testing.T) {
	inLab := []check.Step{{Run: yamlfile.Field[string]{Value: "true", Set: true}}}
	answer := []check.Step{{Answer: yamlfile.Field[string]{Value: "word", Set: true}}}
	file := &check.File{}
	for i, steps := range [][]check.Step{inLab, inLab, answer, inLab, answer} {
		name := yamlfile.Field[string]{Value: string(rune('a' + i))}
		file.Mistakes = append(file.Mistakes, check.Mistake{Name: name, Steps: steps})
	}
	for most, want := range map[int]string{-1: "ceabd", 0: "", 1: "a", 2: "ca", 5: "ceabd", 9: "ceabd"} {
		p := &proof{exercise: &exercise{scenario: &scenarios.Scenario{Checks: file}}, most: most}
		var got strings.Builder
		for _, m := range p.mistakes() {
			got.WriteString(m.Name.Value)
		}
		if got.String() != want {
			t.Errorf("at most %d: %q, want %q", most, got.String(), want)
		}
	}
}
