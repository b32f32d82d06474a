package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// explanation is what `kvmlab explain -o json` prints about one code.
type explanation struct {
	Code        diag.Code `json:"code"`
	Severity    string    `json:"severity"`
	Exit        int       `json:"exit"`
	Summary     string    `json:"summary"`
	Hint        string    `json:"hint"`
	Explanation string    `json:"explanation"`
}

func newExplainCmd(a *app) *cobra.Command {
	cmd := a.command("explain [CODE]", "explain")
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var codes []string
		for _, entry := range diag.All() {
			codes = append(codes, cobra.CompletionWithDesc(string(entry.Code), describe(entry).Summary))
		}
		return codes, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return listCodes(a)
		}
		return explainCode(a, args[0])
	}
	return cmd
}

func explainCode(a *app, topic string) error {
	entry, ok := diag.Lookup(diag.Code(topic))
	if !ok {
		return diag.New(diag.UnknownTopic, diag.Args{"topic": topic})
	}
	e := describe(entry)
	if a.wantsJSON() {
		return a.printJSON(e)
	}
	style := a.OutStyle()
	width, _ := a.Size()
	width = min(width, maxHelpWidth)
	a.Outf("%s: %s\n\n%s\n", style.Bold(fmt.Sprintf("%s[%s]", e.Severity, e.Code)), e.Summary,
		cliui.Reflow(e.Explanation, width))
	if e.Hint != "" {
		a.Outf("\n%s\n", cliui.Wrap(style.Bold(a.T("explain.hint"))+" "+e.Hint, width, ""))
	}
	if e.Exit != 0 {
		a.Outf("\n%s\n", a.T("explain.exit", "status", e.Exit))
	}
	return nil
}

func listCodes(a *app) error {
	var list struct {
		Codes []explanation `json:"codes"`
	}
	table := cliui.NewTable(a.OutStyle(), a.T("explain.column-code"), a.T("explain.column-meaning"))
	for _, entry := range diag.All() {
		e := describe(entry)
		list.Codes = append(list.Codes, e)
		table.Row(string(e.Code), e.Summary)
	}
	if a.wantsJSON() {
		return a.printJSON(list)
	}
	_, err := table.WriteTo(a.Out)
	return err
}

// describe shows a code's texts with an ellipsis wherever an error would name something.
func describe(entry diag.Entry) explanation {
	args := make(diag.Args, len(entry.Args))
	for _, name := range entry.Args {
		args[name] = "…"
	}
	d := diag.New(entry.Code, args)
	return explanation{
		Code: entry.Code, Severity: d.Severity.String(), Exit: entry.Exit,
		Summary: d.Summary, Hint: d.Hint, Explanation: entry.Explanation,
	}
}
