package check_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLimits gives a check less time than it says itself, and never more.
func TestLimits(t *testing.T) {
	const checks = `
- {id: a, within: 20s, message: {en: a, es: b, ca: c}, assert: {link: {name: nothing}}}
- {id: b, within: 2s, message: {en: a, es: b, ca: c}, assert: {link: {name: nothing}}}`
	synctest.Test(t, func(t *testing.T) {
		r := newRunner(t, checks, &evidence{}, nil)
		r.Limits = map[string]time.Duration{"a": 5 * time.Second, "b": 5 * time.Second}
		results, err := r.Run(t.Context())
		if err != nil || results[0].Took != 5*time.Second || results[1].Took != 2*time.Second {
			t.Errorf("tried for %v and %v, %v", results[0].Took, results[1].Took, err)
		}
	})
}
