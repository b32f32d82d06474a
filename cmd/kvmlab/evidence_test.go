package main

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/vm"
)

// TestBootFailure is about ends of consoles, as guests have really printed them.
func TestBootFailure(t *testing.T) {
	for _, test := range []struct{ name, console, want string }{
		{"nothing printed", "", ""},
		{"a login", "kvmlab-debian: user space\n\nsrv login: root\nroot@srv:~# ", ""},
		{
			"init is gone", "kvmlab-debian: user space\n" +
				"[    2.51] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n[    2.51] CPU: 0 PID: 1 Comm: switch_root",
			"Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
		},
		{"an emergency", "kvmlab-debian: user space\nYou are in emergency mode. After logging in, type \"journalctl -xb\" to view\n" +
			"Press Enter for maintenance", "You are in emergency mode"},
		{"a reboot since", "Kernel panic - not syncing: VFS\nkvmlab-debian: user space\n\nsrv login: ", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := bootFailure(test.console); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestSilence says why a guest is silent, however its agent was found to be.
func TestSilence(t *testing.T) {
	dir := t.TempDir()
	files, err := state.Dirs{Run: dir + "/run", State: dir}.Lab("exercise")
	if err != nil {
		t.Fatal(err)
	}
	panicked := []byte("kvmlab-debian: user space\nKernel panic - not syncing: VFS\n")
	if err := errors.Join(files.Create(), os.WriteFile(files.ConsoleLog("srv"), panicked, 0o600)); err != nil {
		t.Fatal(err)
	}
	e := &labEvidence{files: files}
	const words = "Kernel panic - not syncing: VFS"
	for _, test := range []struct {
		guest string
		err   error
		off   bool
		words string
	}{
		{"srv", &vm.AgentSilentError{Run: vm.RunRunning}, false, words},
		{"srv", context.DeadlineExceeded, false, words},
		{"srv", &vm.AgentSilentError{Err: vm.ErrNotRunning}, false, words}, // paused
		{"srv", vm.ErrNotRunning, true, ""},
		{"pc1", vm.ErrNotFound, true, ""},
		{"pc1", &vm.AgentSilentError{Run: vm.RunRunning}, false, ""}, // has printed nothing
	} {
		silent, ok := errors.AsType[*check.SilentError](e.silence(test.guest, test.err))
		if !ok || silent.Off != test.off || silent.Words != test.words || !errors.Is(silent, check.ErrNoAnswer) {
			t.Errorf("%s, %v: %+v", test.guest, test.err, silent)
		}
	}
}
