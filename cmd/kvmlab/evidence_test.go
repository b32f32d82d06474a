package main

import "testing"

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
