package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

var updateScripts = flag.Bool("update", false, "write what the scripts compare with anew")

// TestMain lets the scripts run this test binary as kvmlab.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kvmlab": main})
}

// TestScripts runs what needs no privileges: help, errors, JSON, catalogues.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		Setup:               ownState,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *updateScripts,
	})
}

// TestSandboxScripts runs what needs a host of its own; the command `sandbox` runs a command there.
func TestSandboxScripts(t *testing.T) {
	t.Parallel()
	nstest.RequireRoot(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "sandbox"),
		Setup:               startSandbox,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"sandbox": inSandbox},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *updateScripts,
	})
}

// ownState keeps a script away from the machine's labs and images, and from the user's language.
func ownState(env *testscript.Env) error {
	env.Setenv("KVMLAB_STATE_DIR", filepath.Join(env.WorkDir, "state"))
	env.Setenv("KVMLAB_RUN_DIR", filepath.Join(env.WorkDir, "run"))
	env.Setenv("LANG", "C.UTF-8")
	root, err := filepath.Abs(filepath.Join("..", ".."))
	env.Setenv("CLASSROOM", filepath.Join(root, "internal", "watch", "testdata", "classroom.pcap")) // real clients and a real server
	env.Setenv("CAPTURES", filepath.Join(root, "netsetup", "capture", "testdata"))                  // with other link layers
	return err
}

// scriptSandboxLimit bounds the making of a private host, and its end.
const scriptSandboxLimit = 2 * time.Minute

// startSandbox starts a private host for a script; it ends with the script, or when this process is killed.
func startSandbox(env *testscript.Env) error {
	script, err := filepath.Abs("../../scripts/sandbox")
	if err != nil {
		return err
	}
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	life, end := context.WithCancel(context.Background())
	env.Defer(end)
	cmd := exec.CommandContext(life, script, "--pid-fd", "3", "--", "cat")
	cmd.ExtraFiles = []*os.File{readyWrite}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := errors.Join(cmd.Start(), readyWrite.Close()); err != nil {
		return err
	}
	env.Defer(func() {
		defer time.AfterFunc(scriptSandboxLimit, end).Stop()
		_ = errors.Join(stdin.Close(), cmd.Wait())
	})
	defer time.AfterFunc(scriptSandboxLimit, end).Stop()
	pid, err := bufio.NewReader(readyRead).ReadString('\n')
	if err := errors.Join(err, readyRead.Close()); err != nil {
		return fmt.Errorf("start sandbox: %w", err)
	}
	env.Setenv("SANDBOX", script)
	env.Setenv("SANDBOX_PID", strings.TrimSpace(pid))
	env.Setenv("LANG", "C.UTF-8")
	return nil
}

// inSandbox is the script command `[!] sandbox COMMAND…`.
func inSandbox(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(ts.Getenv("SANDBOX"), append([]string{"--enter", ts.Getenv("SANDBOX_PID"), "--"}, args...)...)
	switch {
	case err != nil && !neg:
		ts.Fatalf("%s: %v", strings.Join(args, " "), err)
	case err == nil && neg:
		ts.Fatalf("%s: unexpected success", strings.Join(args, " "))
	}
}
