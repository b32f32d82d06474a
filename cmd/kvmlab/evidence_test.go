package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

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

// TestWhatAGuestDoesIsItsAffair sorts the ends of scripts: none but the user's own interrupt ends the other guests' checks.
func TestWhatAGuestDoesIsItsAffair(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want func(*check.SilentError) bool
	}{
		"nonsense":    {fmt.Errorf("guest-exec: %w", vm.ErrNonsense), func(s *check.SilentError) bool { return s.Nonsense }},
		"a refusal":   {&vm.AgentError{Command: "guest-exec", Message: "no room"}, func(s *check.SilentError) bool { return s.Refused == "no room" }},
		"out of time": {context.DeadlineExceeded, nil},
		"no libvirt":  {vm.ErrNoAnswer, nil},
	} {
		e := newLabEvidence(&app{now: time.Now}, nil, nil, state.Lab{})
		_, err := e.output(t.Context(), "srv", "", test.err)
		silent, ok := errors.AsType[*check.SilentError](err)
		if !errors.Is(err, check.ErrNoAnswer) || ok != (test.want != nil) || ok && !test.want(silent) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "nonsense" {
			if len(e.lying) > 0 {
				t.Errorf("%s: it is taken for a lie", name)
			}
			continue
		}
		if _, again := e.Guest(t.Context(), "srv", "true"); !errors.Is(again, vm.ErrNonsense) {
			t.Errorf("%s: it is asked again: %v", name, again)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	e := newLabEvidence(&app{now: time.Now}, nil, nil, state.Lab{})
	if _, err := e.output(ended, "srv", "", vm.ErrNonsense); !errors.Is(err, context.Canceled) || errors.Is(err, check.ErrNoAnswer) {
		t.Errorf("an interrupt: %v", err)
	}
}

// TestAllowance has guests take their time: one that has used up its own, or all that there is, is not asked any more.
func TestAllowance(t *testing.T) {
	for name, test := range map[string]struct {
		took map[string]time.Duration
		late bool
	}{
		"its own":      {map[string]time.Duration{"srv": guestAllowance, "": guestAllowance}, true},
		"of all":       {map[string]time.Duration{"pc1": guestAllowance, "pc2": guestAllowance, "": labAllowance}, true},
		"of another":   {map[string]time.Duration{"pc1": guestAllowance, "": guestAllowance}, false},
		"almost of it": {map[string]time.Duration{"srv": guestAllowance - time.Second, "": guestAllowance}, false},
	} {
		e := newLabEvidence(&app{now: time.Now}, nil, nil, state.Lab{})
		e.took = test.took
		if late := e.left("srv") <= 0; late != test.late {
			t.Errorf("%s: late is %v", name, late)
		}
		if !test.late {
			continue
		}
		_, err := e.Guest(t.Context(), "srv", "true")
		if silent, ok := errors.AsType[*check.SilentError](err); !ok || !silent.Late {
			t.Errorf("%s: %v", name, err)
		}
	}
}
