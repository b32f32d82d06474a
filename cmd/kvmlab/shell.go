package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/netsetup"
)

// envLab tells a shell's programs which lab it is in.
const envLab = "KVMLAB_LAB"

// shellOptions are what `shell` can be told.
type shellOptions struct {
	app     *app
	lab     string
	command []string // after "--"; empty: an interactive shell
}

func newShellCmd(a *app) *cobra.Command {
	opts := &shellOptions{app: a}
	cmd := a.command("shell [LAB] [-- COMMAND [ARG...]]", "shell")
	cmd.ValidArgsFunction = completeLabs(a)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if dash := cmd.ArgsLenAtDash(); dash >= 0 {
			args, opts.command = args[:dash], args[dash:]
		}
		if err := a.maxArgs(1)(cmd, args); err != nil {
			return err
		}
		opts.lab = strings.Join(args, "")
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return opts.run(cmd.Context()) }
	return cmd
}

// run becomes the shell, or the command, in the namespace of the lab's links: its own, or the host's.
func (o *shellOptions) run(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return diag.New(diag.NotRoot, diag.Args{"command": "kvmlab"})
	}
	isolated, err := netsetup.NamespaceLabs(ctx)
	if err != nil {
		return err
	}
	name, err := o.chosen(isolated)
	if err != nil {
		return err
	}
	env := append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, envLab+"=") }), envLab+"="+name)
	argv := o.command
	if len(argv) == 0 {
		if argv, env, err = o.shell(name, env, slices.Contains(isolated, name)); err != nil {
			return err
		}
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return diag.New(diag.Usage, diag.Args{
			"message": o.app.T("shell.no-command", "command", argv[0]), "command": "kvmlab shell",
		}).Wrap(err)
	}
	if slices.Contains(isolated, name) {
		return netsetup.ExecInNamespace(name, program, argv, env)
	}
	return fmt.Errorf("run %s: %w", program, unix.Exec(program, argv, env))
}

// chosen is the lab that was named, or the only one there is.
func (o *shellOptions) chosen(isolated []string) (string, error) {
	known, err := o.app.dirs.Labs()
	if err != nil {
		return "", err
	}
	known = append(known, isolated...)
	slices.Sort(known)
	known = slices.Compact(known)
	switch {
	case o.lab != "" && !slices.Contains(known, o.lab):
		return "", noSuchLab(o.lab, known)
	case o.lab != "":
		return o.lab, nil
	case len(known) == 0:
		return "", diag.New(diag.NoLabs, diag.Args{"command": "shell"})
	case len(known) > 1:
		return "", diag.New(diag.WhichLab, diag.Args{"command": "shell", "known": known})
	}
	return known[0], nil
}

// shell is the user's own shell with a prompt that says where it is, and says so itself once.
func (o *shellOptions) shell(name string, env []string, isolated bool) (argv, with []string, err error) {
	a := o.app
	if isolated {
		a.say("shell.hello", "lab", name, "netns", netsetup.NamespaceName(name))
	} else {
		a.say("shell.hello-host", "lab", name)
	}
	shell := a.env("SHELL")
	if _, err := exec.LookPath(shell); err != nil {
		shell = "/bin/sh"
	}
	if filepath.Base(shell) != "bash" {
		return []string{shell}, append(env, fmt.Sprintf("PS1=(%s) # ", name)), nil
	}
	// bash sets its prompt in its start-up files, so the mark is put in front of it after those.
	rc, err := scriptFile(fmt.Sprintf("[ -r ~/.bashrc ] && . ~/.bashrc\nPS1='(%s) '\"$PS1\"\n", name))
	if err != nil {
		return nil, nil, err
	}
	return []string{shell, "--rcfile", rc}, env, nil
}

// scriptFile is a file without a name that the program which this process becomes finds under the path returned. Its
// last line closes it, so that the shell's own programs do not have it open.
func scriptFile(text string) (string, error) {
	fd, err := unix.MemfdCreate("kvmlab-shell", 0)
	if err != nil {
		return "", fmt.Errorf("make the shell's start-up file: %w", err)
	}
	text += "exec " + strconv.Itoa(fd) + "<&-\n"
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return "", errors.Join(fmt.Errorf("write the shell's start-up file: %w", err), unix.Close(fd))
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}
