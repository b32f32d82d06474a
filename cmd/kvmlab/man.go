package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManCmd writes the manual pages of all commands, in the language of --lang, for whoever makes a package. It is
// hidden from everybody else.
func newManCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Hidden: true,
		Args:   a.exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.writeManuals(cmd.Root(), args[0])
		},
	}
}

// writeManuals writes the page of a command into dir, and those of the commands below it.
func (a *app) writeManuals(cmd *cobra.Command, dir string) error {
	if !cmd.IsAvailableCommand() && cmd.HasParent() || cmd.Name() == "help" {
		return nil
	}
	file := filepath.Join(dir, manualName(cmd)+".1")
	if err := os.WriteFile(file, []byte(a.manual(cmd)), 0o644); err != nil {
		return fmt.Errorf("write a manual page: %w", err)
	}
	for _, sub := range cmd.Commands() {
		if err := a.writeManuals(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// manualName is what man(1) is asked for: kvmlab-image-build.
func manualName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manual is the page of one command, in the macros of man(7).
func (a *app) manual(cmd *cobra.Command) string {
	version := buildVersion(readBuild())
	day := ""
	if built, err := time.Parse(time.RFC3339, version.Time); err == nil {
		day = built.UTC().Format(time.DateOnly)
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, ".TH %s 1 %q %q %q\n", strings.ToUpper(manualName(cmd)), day, "kvmlab "+version.Kvmlab, a.T("man.manual"))
	out.WriteString(".nh\n.ad l\n") // Flags and names that are torn apart at a line's end cannot be copied.
	section := func(id, body string) {
		if body != "" {
			fmt.Fprintf(out, ".SH %s\n%s", roff(a.T(id)), body)
		}
	}
	section("man.name", roff(manualName(cmd))+` \- `+roff(cmd.Short)+"\n")
	section("man.synopsis", ".B "+roff(a.usageLine(cmd))+"\n")
	section("man.description", roffProse(cmp.Or(cmd.Long, cmd.Short)))
	section("man.commands", a.manualCommands(cmd))
	section("man.flags", roffFlags(cmd.LocalNonPersistentFlags()))
	section("man.global-flags", roffFlags(inherited(cmd)))
	if cmd.Example != "" {
		section("man.examples", ".nf\n"+roff(cmd.Example)+"\n.fi\n")
	}
	section("man.exit", roffProse(a.T("man.exit-text")))
	if !cmd.HasParent() {
		section("man.files", roffProse(a.T("man.files-text")))
	}
	section("man.see-also", seeAlso(cmd))
	return out.String()
}

// manualCommands lists the commands below cmd.
func (a *app) manualCommands(cmd *cobra.Command) string {
	var out strings.Builder
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			fmt.Fprintf(&out, ".TP\n.BR %s (1)\n%s\n", roff(manualName(sub)), roff(sub.Short))
		}
	}
	return out.String()
}

// seeAlso names the page above and the pages beside a command's.
func seeAlso(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ".BR virsh (1),\n.BR qemu\\-system\\-x86_64 (1),\n.BR ip (8)\n"
	}
	pages := []string{manualName(cmd.Parent())}
	for _, other := range cmd.Parent().Commands() {
		if other != cmd && other.GroupID == cmd.GroupID && other.IsAvailableCommand() && other.Name() != "help" {
			pages = append(pages, manualName(other))
		}
	}
	var out strings.Builder
	for i, page := range pages {
		comma := ","
		if i == len(pages)-1 {
			comma = ""
		}
		fmt.Fprintf(&out, ".BR %s (1)%s\n", roff(page), comma)
	}
	return out.String()
}

func roffFlags(flags *pflag.FlagSet) string {
	var out strings.Builder
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		name := `\fB\-\-` + roff(flag.Name) + `\fR`
		if flag.Shorthand != "" {
			name = `\fB\-` + flag.Shorthand + `\fR, ` + name
		}
		value, usage := pflag.UnquoteUsage(flag)
		if value != "" {
			name += ` \fI` + roff(value) + `\fR`
		}
		fmt.Fprintf(&out, ".TP\n%s\n%s\n", name, roff(usage))
	})
	return out.String()
}

// roffProse sets paragraphs, which empty lines divide.
func roffProse(text string) string {
	var out strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		fmt.Fprintf(&out, ".PP\n%s\n", roff(strings.Join(strings.Fields(paragraph), " ")))
	}
	return out.String()
}

// roff has every character stand for itself: a backslash would begin an escape, a bare hyphen or quote become a
// typographic one that a shell does not know, and a dot or a quote at a line's beginning make it a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
