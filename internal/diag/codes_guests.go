package diag

// guestEntries are KL340–KL349: consoles that end, and guests that end with the host.
var guestEntries = []Entry{
	{
		Code: ConsoleTaken, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `somebody else has taken over the console of {{.guest}}`,
		Hint:    `take it back when that is agreed: kvmlab console {{.guest}} --force`,
		Explanation: `
A guest has one serial console. "kvmlab console --force" or "virsh console
--force" in another terminal has taken it from this one. The guest itself has
noticed nothing: what was typed is still on its screen.`,
	},
	{
		Code: ConsoleStalled, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `this terminal has not taken what {{.guest}} prints for a minute`,
		Hint:    `sit down again: kvmlab console {{.guest}}; all that was printed is in the lab's console log`,
		Explanation: `
A guest that prints waits until its words are read, as on a real serial line. A
terminal that is held (by a pager, a stopped program, a network that hangs)
would hold up the guest along with it, so its console ends after a minute.`,
	},
	{
		Code: PowerCut, Severity: Warning, Args: []string{"lab", "guests", "wait"},
		Summary: `{{.guests}} of {{.lab}} did not switch off within {{.wait}}, so the power was cut`,
		Hint:    `look at its console while it shuts down: kvmlab console, then poweroff`,
		Explanation: `
A guest is asked to switch itself off over its agent, or else by its power
button, as "virsh shutdown" does. One that is busy, has crashed, or has neither,
takes no notice. Its file system mends itself at the next start, as after any
power cut; what was not written yet is lost.`,
	},
}
