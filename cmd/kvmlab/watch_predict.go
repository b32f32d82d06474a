package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/watch"
)

// predictResult is what `kvmlab watch --predict -o json` prints at the end.
type predictResult struct {
	Right   int             `json:"right"`
	Asked   int             `json:"asked"`
	Packets []predictPacket `json:"packets"`
}

type predictPacket struct {
	Number  int            `json:"n"`
	Note    string         `json:"note"`
	Answers []watch.Answer `json:"answers"`
}

// predictor asks, compares, reveals and counts.
type predictor struct {
	app       *app
	keys      *bufio.Reader     // the student; nil with a file of answers
	given     watch.Predictions // the file's answers
	sentences func(*watch.Record) error
	result    predictResult
}

// runPredict asks for fields of every DHCP message before it is shown. It ends with the packets, or with the answers.
func (o *watchOptions) runPredict(ctx context.Context, next func() (*watch.Record, error)) error {
	p := &predictor{app: o.app, sentences: o.app.sentences()}
	if o.answers == "" {
		p.keys = bufio.NewReader(o.app.In)
	} else if err := p.readAnswers(o.answers); err != nil {
		return err
	}
	err := eachRecord(next, func(r *watch.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return p.packet(r)
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(p.given) > 0 {
		for number := range p.given {
			return diag.New(diag.BadAnswers, diag.Args{
				"file": o.answers, "reason": fmt.Sprintf("packet %d is no DHCP message that is shown", number),
			})
		}
	}
	if o.app.wantsJSON() {
		return o.app.printJSON(p.result)
	}
	o.app.Outf("\n%s\n", o.app.OutStyle().Bold(o.app.T("watch.predict.score", "right", p.result.Right, "asked", p.result.Asked)))
	return nil
}

func (p *predictor) readAnswers(path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return diag.New(diag.FileUnreadable, diag.Args{"file": path}).Wrap(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if p.given, err = watch.ReadPredictions(file); err != nil {
		return diag.New(diag.BadAnswers, diag.Args{"file": path, "reason": err.Error()}).Wrap(err)
	}
	return nil
}

// packet asks about one packet and shows it.
func (p *predictor) packet(r *watch.Record) error {
	var answers []watch.Answer
	var ended error
	if p.keys != nil {
		answers, ended = p.ask(r)
	} else {
		answers = p.look(r)
	}
	if len(answers) > 0 {
		p.result.Packets = append(p.result.Packets, predictPacket{Number: r.Number, Note: r.Note, Answers: answers})
	}
	if ended == nil || len(answers) > 0 {
		if err := p.reveal(r, answers); err != nil {
			return err
		}
	}
	return ended
}

// look takes the answers from the file.
func (p *predictor) look(r *watch.Record) []watch.Answer {
	given, there := p.given[r.Number]
	if !there || r.Questions() == nil {
		return nil
	}
	delete(p.given, r.Number)
	var answers []watch.Answer
	for _, field := range watch.PredictFields() {
		if answer, there := given[field]; there {
			answers = append(answers, r.Judge(field, answer, p.app))
		}
	}
	return answers
}

// fieldQuestions are the messages that ask for each field.
var fieldQuestions = map[watch.PredictField]string{
	watch.PredictType: "watch.predict.type", watch.PredictMAC: "watch.predict.dst-mac", watch.PredictIP: "watch.predict.dst-ip",
	watch.PredictPort: "watch.predict.dst-port", watch.PredictServer: "watch.predict.server-id",
	watch.PredictOffered: "watch.predict.offered",
}

// ask asks the student; io.EOF is the end of the answers.
func (p *predictor) ask(r *watch.Record) ([]watch.Answer, error) {
	questions := r.Questions()
	if len(questions) == 0 {
		return nil, nil
	}
	known := "" // the message's name would be the answer
	if questions[0] != watch.PredictType {
		known = r.DHCP.Type.String()
	}
	p.prompt("\n%s\n", p.app.T("watch.predict.next", "number", r.Number, "station", r.Stations.Source, "type", known))
	var answers []watch.Answer
	for _, field := range questions {
		p.prompt("  %s ", p.app.T(fieldQuestions[field]))
		line, err := p.keys.ReadString('\n')
		if err != nil && line == "" {
			return answers, io.EOF
		}
		answers = append(answers, r.Judge(field, line, p.app))
	}
	return answers, nil
}

// prompt goes where the result does not.
func (p *predictor) prompt(format string, args ...any) {
	if p.app.wantsJSON() {
		p.app.Errf(format, args...)
		return
	}
	p.app.Outf(format, args...)
}

// reveal shows the packet, which answers were right, and why.
func (p *predictor) reveal(r *watch.Record, answers []watch.Answer) error {
	for _, answer := range answers {
		p.result.Asked++
		if answer.Right {
			p.result.Right++
		}
	}
	if p.app.wantsJSON() || r.Kind() == "other" {
		return nil
	}
	if err := p.sentences(r); err != nil {
		return err
	}
	style := p.app.OutStyle()
	width, _ := p.app.Size()
	for _, answer := range answers {
		name := strings.Trim(p.app.T(fieldQuestions[answer.Field]), "¿?")
		line := style.Good(p.app.T("watch.predict.right", "field", name, "truth", answer.Truth))
		if !answer.Right {
			line = style.Bad(p.app.T("watch.predict.wrong", "field", name, "truth", answer.Truth, "answer", answer.Answer))
		}
		p.app.Outf("  %s\n", cliui.Wrap(line+" "+answer.Why, min(width, maxHelpWidth)-2, "    "))
	}
	return nil
}
