package main

import (
	"context"
	"errors"
	"fmt"
	"image/color"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/kvmlab/kvmlab/internal/watch"
)

// The messages that reach the ladder's program beside keys.
type (
	recordMsg struct{ record *watch.Record }
	endMsg    struct{}
	tickMsg   time.Time
)

// ladderProgram is the ladder as a bubbletea model: it only passes on.
type ladderProgram struct {
	ladder *watch.Ladder
	colour bool
}

// Init starts the clock, and asks the terminal whether it is a light or a dark one.
func (p ladderProgram) Init() tea.Cmd {
	if !p.colour {
		return tick()
	}
	return tea.Batch(tick(), tea.RequestBackgroundColor)
}

// tick comes once a second, for the leases' bars.
func tick() tea.Cmd { return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) }) }

// Update passes packets, keys and time on to the ladder.
func (p ladderProgram) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case recordMsg:
		p.ladder.Add(msg.record)
	case endMsg:
		p.ladder.End()
	case tickMsg:
		p.ladder.Tick(time.Time(msg))
		return p, tick()
	case tea.BackgroundColorMsg:
		p.ladder.Repaint(ladderPaint(p.colour, !msg.IsDark()))
	case tea.WindowSizeMsg:
		p.ladder.Resize(msg.Width, msg.Height)
	case tea.KeyPressMsg:
		if p.ladder.Key(msg.String()) {
			return p, tea.Quit
		}
	}
	return p, nil
}

// View draws the ladder on the terminal's second screen.
func (p ladderProgram) View() tea.View {
	view := tea.NewView(strings.Join(p.ladder.View(), "\n"))
	view.AltScreen = true
	return view
}

// ladderPaint uses the terminal's own colours, which themes make to be read on dark ground. Green and yellow cannot be
// read on white, so a terminal that says that it is light gets dark shades of them (of the 256 colours).
func ladderPaint(colour, light bool) watch.Paint {
	style := func(s lipgloss.Style) func(string) string {
		return func(text string) string { return s.Render(text) }
	}
	paint := watch.Paint{
		Bold:   style(lipgloss.NewStyle().Bold(true)),
		Faint:  style(lipgloss.NewStyle().Faint(true)),
		Select: style(lipgloss.NewStyle().Reverse(true)),
	}
	if !colour {
		return paint
	}
	lightDark := lipgloss.LightDark(!light)
	for _, hue := range []struct {
		paint       *func(string) string
		light, dark color.Color
	}{
		{&paint.Good, lipgloss.Color("22"), lipgloss.Green},
		{&paint.Warn, lipgloss.Color("94"), lipgloss.Yellow},
		{&paint.Bad, lipgloss.Color("124"), lipgloss.Red},
	} {
		*hue.paint = style(lipgloss.NewStyle().Foreground(lightDark(hue.light, hue.dark)))
	}
	return paint
}

// runLadder shows the ladder until the user leaves or ctx ends.
func runLadder(ctx context.Context, a *app, title string, live bool, next func() (*watch.Record, error), follower *watch.Follower) error {
	colour := a.OutStyle().Coloured()
	ladder := watch.NewLadder(watch.LadderOptions{
		Say: a, Title: title, Names: follower.Names, Paint: ladderPaint(colour, false), ASCII: !a.Unicode(), Live: live,
	})
	program := tea.NewProgram(ladderProgram{ladder, colour}, tea.WithContext(ctx), tea.WithInput(a.In), tea.WithOutput(a.Out))
	failed := make(chan error, 1)
	go func() {
		err := eachRecord(next, func(r *watch.Record) error { program.Send(recordMsg{r}); return nil })
		program.Send(endMsg{})
		failed <- err
	}()
	_, err := program.Run()
	select {
	case readErr := <-failed:
		if readErr != nil && !errors.Is(readErr, context.Canceled) {
			return readErr
		}
	default: // it still waits for packets, which nobody wants any more
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("show the ladder: %w", err)
	}
	return nil
}
