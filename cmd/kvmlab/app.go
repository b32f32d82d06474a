package main

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/state"
)

// app is what every command works with: the streams, the environment and the global flags. A command's constructor
// gets it and keeps it in its Options; nothing in this package is global.
type app struct {
	*cliui.Streams

	msgs  *cliui.Messages
	lang  func() *diag.Language // what diagnostics are said in; see language
	env   func(string) string
	dirs  state.Dirs
	now   func() time.Time
	level *slog.LevelVar
	log   *slog.Logger // to Err; warnings and worse unless --verbose

	global globalFlags
}

// globalFlags are the flags that every command takes.
type globalFlags struct {
	output  outputFormat
	lang    string
	connect string
	verbose bool
}

// newApp makes the app for one run. The language is needed before the flags are parsed, because the help texts of the
// flags are in it.
func newApp(streams *cliui.Streams, env func(string) string, args []string) (*app, error) {
	msgs, err := cliui.LoadMessages(cliui.Language(langArgument(args), env))
	if err != nil {
		return nil, err
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	logger := slog.New(slog.NewTextHandler(streams.Err, &slog.HandlerOptions{Level: level}))
	dirs := state.DirsFromEnv(env)
	if packageVersion != "" {
		dirs.Packaged = state.PackagedDir
	}
	return &app{
		Streams: streams,
		msgs:    msgs,
		lang: sync.OnceValue(func() *diag.Language {
			lang, err := diag.LoadLanguage(msgs.Lang())
			if err != nil {
				logger.Error("errors are said in English", "error", err)
			}
			return lang
		}),
		env:    env,
		dirs:   dirs,
		now:    time.Now,
		level:  level,
		log:    logger,
		global: globalFlags{output: outputText},
	}, nil
}

// langArgument finds the value of --lang ahead of the real parsing, which checks it.
func langArgument(args []string) string {
	for i, arg := range args {
		switch {
		case arg == "--":
			return ""
		case arg == "--lang" && i+1 < len(args):
			return args[i+1]
		case strings.HasPrefix(arg, "--lang="):
			return strings.TrimPrefix(arg, "--lang=")
		}
	}
	return ""
}

// T says a message of the catalogues in the user's language: T("down.done", "lab", name).
func (a *app) T(id string, pairs ...any) string { return a.msgs.T(id, pairs...) }

// language is what diagnostics are said in. It is read when it is needed only: most runs say none.
func (a *app) language() *diag.Language { return a.lang() }

// Phrase says an English phrase of the packages below, such as the reason of a malformed packet.
func (a *app) Phrase(english string) string { return a.lang().Phrase(english) }

// say prints a message on Err as a line of its own.
func (a *app) say(id string, pairs ...any) {
	a.Errf("%s\n", a.T(id, pairs...))
}

// wrapped is prose that fits the terminal; what follows its first line is set in by margin.
func (a *app) wrapped(text string, margin ...string) string {
	width, _ := a.Size()
	return cliui.Wrap(text, min(width, maxHelpWidth), strings.Join(margin, ""))
}

// wantsJSON reports whether data is to be printed for programs.
func (a *app) wantsJSON() bool { return a.global.output == outputJSON }

// printJSON prints data on Out in the versioned form of all of kvmlab's JSON.
func (a *app) printJSON(data any) error { return cliui.WriteJSON(a.Out, data) }
