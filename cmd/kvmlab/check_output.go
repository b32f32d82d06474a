package main

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"time"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// checkView shows checks as they are decided, and the result.
type checkView struct {
	app  *app
	exer *exercise
	live bool
	told map[string]check.State // what --watch has printed last
	said string                 // why the check before has not passed
}

func newCheckView(a *app, e *exercise, live bool) *checkView {
	v := &checkView{app: a, exer: e, live: live, told: map[string]check.State{}}
	if a.global.output == outputText {
		a.say("check.begin", "title", e.scenario.Title(a.msgs.Lang()))
		if live {
			a.say("check.again")
		}
	}
	return v
}

// tick prints a check that is decided. With --watch that is what has changed since the round before; what has not passed
// in the first round is told by not being ticked off.
func (v *checkView) tick(r check.Result) {
	id := r.Check.ID.Value
	before := v.told[id]
	v.told[id] = r.State
	unchanged := before == r.State || before != check.Passed && r.State != check.Passed
	if v.app.global.output != outputText || v.live && unchanged {
		return
	}
	style := v.app.OutStyle()
	mark := map[check.State]string{
		check.Passed: style.Good(v.app.T("check.mark.passed")), check.Failed: style.Bad(v.app.T("check.mark.failed")),
		check.Skipped: style.Faint(v.app.T("check.mark.skipped")),
	}[r.State]
	const margin = "      " // as wide as a mark and what is after it
	v.app.Outf("%s  %s\n", mark, v.app.wrapped(r.Check.Message.In(v.app.msgs.Lang()), margin))
	why := v.why(r)
	if why != "" && why != v.said { // of many that wait for one, the first says it
		v.app.Outf("%s%s\n", margin, v.app.wrapped(why, margin))
	}
	v.said = why
}

// why says why a check has not passed, in the user's language.
func (v *checkView) why(r check.Result) string {
	switch {
	case r.State == check.Skipped:
		return v.app.T("check.needs", "check", v.exer.scenario.Checks.Check(r.Needs).Message.In(v.app.msgs.Lang()))
	case r.State == check.Failed && r.Verdict.Why.ID != "":
		why := v.app.T(r.Verdict.Why.ID, r.Verdict.Why.Args...)
		if r.Verdict.Packet > 0 {
			why += " " + v.app.T("check.packet", "number", r.Verdict.Packet)
		}
		return why
	}
	return ""
}

// show prints the result.
func (v *checkView) show(results []check.Result, causes diag.List, floods []supervisor.Flood) error {
	switch v.app.global.output {
	case outputJSON:
		report := v.report(results, causes)
		report.Floods = append(report.Floods, floods...)
		return v.app.printJSON(report)
	case outputCSV:
		return v.writeCSV(results)
	case outputJUnit:
		return v.writeJUnit(results)
	case outputText:
	}
	score, points := check.Score(results), v.exer.scenario.Checks.Points()
	v.app.Outf("\n%s\n", v.app.T("check.score", "score", score, "points", points))
	if causes := causes.Errors(); len(causes) > 0 {
		v.app.Errf("\n")
		v.app.showDiagnostics(causes[:1])
	}
	v.app.showDiagnostics(floodWarnings(v.app, floods))
	if score < points {
		v.app.say("check.next", "lab", v.exer.lab.Name)
	}
	return nil
}

// checkReport is `kvmlab check -o json`.
type checkReport struct {
	Lab      string        `json:"lab"`
	Scenario string        `json:"scenario"`
	Score    int           `json:"score"`
	Points   int           `json:"points"`
	Passed   bool          `json:"passed"`
	Checks   []checkedItem `json:"checks"`
	// Causes are what the student has got wrong, the one that hides the others first.
	Causes diag.List `json:"causes"`
	// Floods are what stations have sent too much of since the exercise began.
	Floods []supervisor.Flood `json:"floods"`
}

type checkedItem struct {
	ID      string      `json:"id"`
	Kind    string      `json:"kind"`
	Points  int         `json:"points"`
	State   check.State `json:"state"`
	Message string      `json:"message"`
	Reason  string      `json:"reason,omitempty"` // stable, such as check.why.no-offer
	Why     string      `json:"why,omitempty"`    // in the user's language
	Packet  int         `json:"packet,omitempty"`
	// PassedAt is when it has passed for the first time; it need not pass now.
	PassedAt *time.Time `json:"passed_at,omitempty"`
}

func (v *checkView) report(results []check.Result, causes diag.List) checkReport {
	r := checkReport{
		Lab: v.exer.lab.Name, Scenario: v.exer.scenario.Name, Score: check.Score(results),
		Points: v.exer.scenario.Checks.Points(), Causes: causes, Checks: []checkedItem{}, Floods: []supervisor.Flood{},
	}
	r.Passed = r.Score == r.Points
	for _, one := range results {
		item := checkedItem{
			ID: one.Check.ID.Value, Kind: one.Check.Assert.Kind, Points: one.Check.Worth(), State: one.State,
			Message: one.Check.Message.In(v.app.msgs.Lang()), Reason: one.Verdict.Why.ID, Why: v.why(one), Packet: one.Verdict.Packet,
		}
		if at, ok := v.exer.progress.Passed[item.ID]; ok {
			item.PassedAt = &at
		}
		r.Checks = append(r.Checks, item)
	}
	return r
}

func (v *checkView) writeCSV(results []check.Result) error {
	rows := [][]string{{"lab", "scenario", "check", "points", "state", "why"}}
	for _, r := range results {
		rows = append(rows, []string{
			v.exer.lab.Name, v.exer.scenario.Name, r.Check.ID.Value, strconv.Itoa(r.Check.Worth()), r.State.String(), v.why(r),
		})
	}
	return cliui.WriteCSV(v.app.Out, rows)
}

// The elements of a JUnit report, as CI systems read them.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
	}
)

func (v *checkView) writeJUnit(results []check.Result) error {
	suite := junitSuite{Name: v.exer.scenario.Name, Tests: len(results)}
	for _, r := range results {
		one := junitCase{Class: v.exer.lab.Name, Name: r.Check.ID.Value}
		switch r.State {
		case check.Failed:
			one.Failure = &junitMessage{v.why(r)}
			suite.Failures++
		case check.Skipped:
			one.Skipped = &junitMessage{v.why(r)}
			suite.Skipped++
		default:
		}
		suite.Cases = append(suite.Cases, one)
	}
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	v.app.Outf("%s%s\n", xml.Header, text)
	return nil
}
