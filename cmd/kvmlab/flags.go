package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

// outputFormat is the value of -o.
type outputFormat string

const (
	outputText outputFormat = "text"
	outputJSON outputFormat = "json"
	outputCSV  outputFormat = "csv" // of the commands that print one table
)

// choice is a flag that takes one of a few words. It is a pflag.Value over any string type.
type choice[T ~string] struct {
	value   *T
	allowed []T
}

// newChoice makes a flag value that is stored at value; what is there is the default.
func newChoice[T ~string](value *T, allowed ...T) *choice[T] {
	return &choice[T]{value: value, allowed: allowed}
}

// String gives the word chosen.
func (c *choice[T]) String() string { return string(*c.value) }

// Type names the value in help texts: text|json.
func (c *choice[T]) Type() string {
	words := make([]string, len(c.allowed))
	for i, word := range c.allowed {
		words[i] = string(word)
	}
	return strings.Join(words, "|")
}

// Set takes one of the words.
func (c *choice[T]) Set(text string) error {
	for _, word := range c.allowed {
		if text == string(word) {
			*c.value = word
			return nil
		}
	}
	return fmt.Errorf("not one of %s", c.Type())
}

// langValue is the value of --lang: it takes locale names too, such as ca_ES.UTF-8.
type langValue struct{ value *string }

// String gives the language as it was written.
func (l langValue) String() string { return *l.value }

// Type names the value in help texts.
func (l langValue) Type() string { return strings.Join(cliui.Languages(), "|") }

// Set takes a language that there is a catalogue of.
func (l langValue) Set(text string) error {
	if !cliui.KnownLanguage(text) {
		return fmt.Errorf("not one of %s", l.Type())
	}
	*l.value = text
	return nil
}

// addGlobalFlags gives root the flags that every command takes.
func addGlobalFlags(a *app, root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.VarP(newChoice(&a.global.output, outputText, outputJSON), "output", "o", a.T("flag.output"))
	flags.BoolVar(&a.Plain, "plain", false, a.T("flag.plain"))
	flags.Var(langValue{&a.global.lang}, "lang", a.T("flag.lang"))
	flags.StringVar(&a.global.connect, "connect", a.env("LIBVIRT_DEFAULT_URI"), a.T("flag.connect"))
	flags.BoolVarP(&a.global.verbose, "verbose", "v", false, a.T("flag.verbose"))
	flags.BoolP("help", "h", false, a.T("flag.help"))
	flags.SortFlags = false
}

// allowedValues says what a flag takes, for the error about a value that it does not.
func allowedValues(a *app, flag *pflag.Flag) string {
	switch kind := flag.Value.Type(); kind {
	case "duration":
		return a.T("flag.takes-duration")
	case "int", "uint", "uint64":
		return a.T("flag.takes-number")
	case "text": // the only ones are sizes
		return a.T("flag.takes-size")
	case "bool":
		return "true, false"
	default:
		return strings.ReplaceAll(kind, "|", ", ")
	}
}
