package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/watch"
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
	cmd := a.command("explain [CODE|TOPIC]", "explain")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var codes []string
		for _, entry := range diag.All() {
			codes = append(codes, cobra.CompletionWithDesc(string(entry.Code), describe(entry, a.language()).Summary))
		}
		for _, topic := range watch.Topics() {
			codes = append(codes, topic.Name)
		}
		return codes, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return listCodes(a)
		}
		return explainWords(a, args)
	}
	return cmd
}

// topicExplanation is what `kvmlab explain -o json` prints about something of the wire.
type topicExplanation struct {
	Topic       string   `json:"topic"`
	Words       []string `json:"words"` // other names
	Explanation string   `json:"explanation"`
}

// explainWords explains a code or a topic; a topic may have several words.
func explainWords(a *app, words []string) error {
	asked := strings.Join(words, " ")
	if entry, ok := diag.Lookup(diag.Code(asked)); ok {
		return explainCode(a, entry)
	}
	topic, ok := watch.FindTopic(asked)
	if !ok {
		return diag.New(diag.UnknownTopic, diag.Args{"topic": asked})
	}
	e := describeTopic(a, topic)
	if a.wantsJSON() {
		return a.printJSON(e)
	}
	width, _ := a.Size()
	a.Outf("%s\n\n%s\n", a.OutStyle().Bold(topic.Name), cliui.Wrap(e.Explanation, min(width, maxHelpWidth), ""))
	return nil
}

func describeTopic(a *app, topic watch.Topic) topicExplanation {
	return topicExplanation{Topic: topic.Name, Words: topic.Words, Explanation: a.T(topic.Message)}
}

func explainCode(a *app, entry diag.Entry) error {
	if a.wantsJSON() {
		return a.printJSON(describe(entry, nil))
	}
	lang := a.language()
	e := describe(entry, lang)
	style := a.OutStyle()
	width, _ := a.Size()
	width = min(width, maxHelpWidth)
	a.Outf("%s: %s\n\n%s\n", style.Bold(fmt.Sprintf("%s[%s]", lang.Phrase(e.Severity), e.Code)), e.Summary,
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
		Codes  []explanation      `json:"codes"`
		Topics []topicExplanation `json:"topics"`
	}
	table := cliui.NewTable(a.OutStyle(), a.T("explain.column-code"), a.T("explain.column-meaning"))
	lang := a.language()
	for _, entry := range diag.All() {
		list.Codes = append(list.Codes, describe(entry, nil))
		table.Row(string(entry.Code), describe(entry, lang).Summary)
	}
	var topics []string
	for _, topic := range watch.Topics() {
		list.Topics = append(list.Topics, describeTopic(a, topic))
		topics = append(topics, topic.Name)
	}
	if a.wantsJSON() {
		return a.printJSON(list)
	}
	if _, err := table.WriteTo(a.Out); err != nil {
		return err
	}
	width, _ := a.Size()
	a.Outf("\n%s\n", cliui.Wrap(a.OutStyle().Bold(a.T("explain.topics"))+" "+strings.Join(topics, ", "), min(width, maxHelpWidth), ""))
	return nil
}

// describe shows a code's texts in a language, nil being English, with an ellipsis wherever an error would name
// something.
func describe(entry diag.Entry, lang *diag.Language) explanation {
	args := make(diag.Args, len(entry.Args))
	for _, name := range entry.Args {
		args[name] = "…"
	}
	d := diag.New(entry.Code, args)
	summary, hint := lang.Say(d)
	return explanation{
		Code: entry.Code, Severity: d.Severity.String(), Exit: entry.Exit,
		Summary: summary, Hint: hint, Explanation: lang.Explain(entry),
	}
}
