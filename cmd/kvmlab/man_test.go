package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
)

// TestManuals writes the manual in every language, and looks for a page of each command that help shows, which has each of
// its flags and is made of nothing that troff takes for something else.
func TestManuals(t *testing.T) {
	requests := regexp.MustCompile(`^\.(TH|SH|TP|PP|B|BR|nf|fi|nh|ad)\b`)
	for _, lang := range []string{"en", "es", "ca"} {
		t.Run(lang, func(t *testing.T) {
			dir := t.TempDir()
			noEnv := func(string) string { return "" }
			a, err := newApp(cliui.NewStreams(strings.NewReader(""), io.Discard, io.Discard, noEnv), noEnv, []string{"--lang", lang})
			if err != nil {
				t.Fatal(err)
			}
			root := newRootCmd(a)
			if err := a.writeManuals(root, dir); err != nil {
				t.Fatal(err)
			}
			count := 0
			eachCommand(root, func(cmd *cobra.Command) {
				count++
				text, err := os.ReadFile(filepath.Join(dir, manualName(cmd)+".1"))
				if err != nil {
					t.Error(err)
					return
				}
				for line := range strings.Lines(string(text)) {
					if strings.HasPrefix(line, ".") && !requests.MatchString(line) || strings.HasPrefix(line, "'") {
						t.Errorf("%s: a request of troff: %s", cmd.CommandPath(), line)
					}
				}
				for _, words := range []string{a.T("man.name"), a.T("man.exit"), roff(cmd.Short), roffFlags(cmd.LocalNonPersistentFlags())} {
					if !strings.Contains(string(text), words) {
						t.Errorf("%s: the page does not say %q", cmd.CommandPath(), words)
					}
				}
			})
			files, err := os.ReadDir(dir)
			if err != nil || len(files) != count {
				t.Errorf("%d pages for %d commands: %v", len(files), count, err)
			}
		})
	}
}

// eachCommand visits cmd and the commands below it that help shows.
func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			eachCommand(sub, visit)
		}
	}
}

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{
		"kvmlab up --isolate": `kvmlab up \-\-isolate`,
		".yaml\n.nf":          "\\&.yaml\n\\&.nf",
		`C:\new 'it' ~/x ^`:   `C:\enew \(aqit\(aq \(ti/x \(ha`,
		"conexión «micro»":    "conexión «micro»",
	} {
		if got := roff(text); got != want {
			t.Errorf("roff(%q) = %q, want %q", text, got, want)
		}
	}
}
