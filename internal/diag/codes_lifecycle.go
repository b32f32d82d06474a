package diag

// lifecycleEntries are KL600–KL619: up, down, the supervisor and stored state.
var lifecycleEntries = []Entry{
	{
		Code: LabBusy, Exit: ExitHost, Args: []string{"lab"},
		Summary: `another command is working on the lab {{.lab}}`,
		Hint:    `wait until it is done, then look: kvmlab status {{.lab}}`,
		Explanation: `
up and down change the host step by step, and two of them at once on one lab
would work against each other. The first holds a lock for as long as it lives.
The lock belongs to the process, not to a file that could be forgotten, so
after a crash or a kill it is free by itself.`,
	},
	{
		Code: NoSuchLab, Exit: ExitUsage, Args: []string{"lab", "suggestion", "known"},
		Summary: `there is no lab {{quote .lab}} on this host`,
		Hint: `{{if .suggestion}}did you mean {{quote .suggestion}}?` +
			`{{else if .known}}the labs are: {{join .known}}{{else}}no lab is up; kvmlab up brings up the built-in one{{end}}`,
		Explanation: `
A lab is known by its name from the lab file, or by --name, as long as anything
of it is on the host. "kvmlab status" lists all labs.`,
	},
	{
		Code: SupervisorDead, Exit: ExitFailed, Args: []string{"lab"},
		Summary: `the supervisor of {{.lab}} does not run`,
		Hint:    `kvmlab up {{.lab}} starts it again and leaves the guests alone`,
		Explanation: `
Beside each lab runs one process that serves DHCP and answers status, leases and
watch. It has ended, so no lease can be given or renewed for now. The guests
go on; their leases are on the disk and are taken up again when the supervisor
is back. Its log is supervisor.log in the lab's state directory.`,
	},
	{
		Code: StateUnreadable, Exit: ExitFailed, Args: []string{"file"},
		Summary: `the state file {{.file}} cannot be understood`,
		Hint:    `kvmlab down still removes the lab, by the marks on its objects`,
		Explanation: `
kvmlab writes its state files whole and swaps them in place, so a crash does not
leave half of one. This one was edited, damaged or made by something else. What
the lab consists of can still be told without it: links carry kvmlab's alias and
domains its metadata.`,
	},
	{
		Code: StateNewer, Exit: ExitHost, Args: []string{"file", "version", "known"},
		Summary: `{{.file}} was written by a newer kvmlab (format {{.version}}; this one knows {{.known}})`,
		Hint:    `use the newer kvmlab, or take the lab down with it first`,
		Explanation: `
Every stored format carries its version. An older kvmlab could misread a newer
file and then act on it, so it refuses.`,
	},
	{
		Code: RolledBack, Args: []string{"lab", "what"},
		Summary: `{{.lab}} did not come up, and was rolled back: {{.what}}`,
		Hint:    `the host is as it was before; mend the cause and try again`,
		Explanation: `
A step of "up" failed. Everything that this run had made was undone in reverse
order, so nothing is left half-built. What had been there before (a lab that
was only being healed, for example) was left as it was.`,
	},
	{
		Code: Cancelled, Exit: ExitCancelled, Args: []string{"action"},
		Summary: `{{.action}} was interrupted`,
		Hint:    `kvmlab status shows what is there`,
		Explanation: `
Ctrl-C, or the signal SIGTERM. An interrupted "up" undoes what it had made
before it ends, which takes a moment; a second Ctrl-C ends it at once, and
"kvmlab down" then removes what was left.`,
	},
	{
		Code: RollbackIncomplete, Args: []string{"lab", "left"},
		Summary: `{{.lab}} did not come up, and not all of it could be undone: {{join .left}}`,
		Hint:    `kvmlab down {{.lab}} tries again`,
		Explanation: `
A step of "up" failed, and then a step of undoing it did too. What is left is
named. It is in the journal and carries the lab's mark, so "kvmlab down" finds
it once the reason is gone.`,
	},
	{
		Code: DownIncomplete, Exit: ExitFailed, Args: []string{"lab", "left"},
		Summary: `not all of {{.lab}} could be removed: {{join .left}}`,
		Hint:    `mend the cause and run kvmlab down {{.lab}} again`,
		Explanation: `
"down" goes on after an error and removes all that it can. What it could not
remove is named, and the lab's state is kept until nothing is left.`,
	},
	{
		Code: WhichLab, Exit: ExitUsage, Args: []string{"command", "known"},
		Summary: `several labs are up: {{join .known}}`,
		Hint:    `say which: kvmlab {{.command}} NAME`,
		Explanation: `
With one lab on the host its name can be left out. With several, guessing could
take down a neighbour's.`,
	},
	{
		Code: LabChanged, Exit: ExitUsage, Args: []string{"lab", "what"},
		Summary: `{{.lab}} is up with another description: {{.what}}`,
		Hint:    `take it down first (kvmlab down {{.lab}}), or give this one another name with --name`,
		Explanation: `
"up" on a lab that is already there mends what is missing, but it does not turn
one lab into another: a running guest cannot be given another image or fewer
cards without being stopped, and students may be working in it.`,
	},
	{
		Code: SupervisorStart, Exit: ExitFailed, Args: []string{"lab"},
		Summary: `the supervisor of {{.lab}} did not come up`,
		Hint:    `its log is supervisor.log in the lab's state directory`,
		Explanation: `
The process that serves DHCP beside the lab was started and did not report that
it is ready. Its log says how far it came.`,
	},
	{
		Code: SupervisorVersion, Exit: ExitHost, Args: []string{"lab", "version", "own"},
		Summary: `the supervisor of {{.lab}} is kvmlab {{.version}}, and this is {{.own}}`,
		Hint:    `use the same kvmlab for both, or take the lab down and up again`,
		Explanation: `
kvmlab was replaced while the lab was running. The supervisor is still the old
program, and the two no longer speak the same language.`,
	},
	{
		Code: NoLabs, Exit: ExitUsage, Args: []string{"command"},
		Summary: `no lab is up, so there is nothing to {{.command}}`,
		Hint:    `kvmlab up brings up the built-in lab`,
		Explanation: `
The command works on a lab that is up, and kvmlab found none: no state, and
nothing on the host that carries its mark.`,
	},
	{
		Code: StateWrite, Exit: ExitFailed, Args: []string{"file"},
		Summary: `{{.file}} could not be written`,
		Hint:    `look at the room and the permissions: df, ls -ld`,
		Explanation: `
kvmlab writes down every change before it makes it. Where it cannot write, it
does not go on: it could not undo what it had done.`,
	},
	{
		Code: SupervisorSilent, Exit: ExitFailed, Args: []string{"lab", "wait"},
		Summary: `the supervisor of {{.lab}} runs but did not answer within {{.wait}}`,
		Hint:    `try again; if it stays so, stop it and run kvmlab up {{.lab}}: the guests keep their leases`,
		Explanation: `
The lab's supervisor holds its lock, so it is alive, but its socket gave no
answer in time. The host may be overloaded.`,
	},
	{
		Code: LabDegraded, Severity: Warning, Args: []string{"lab", "what"},
		Summary: `{{.lab}} is not complete: {{.what}}`,
		Hint:    `kvmlab up {{.lab}} mends what is missing`,
		Explanation: `
Something of the lab is no longer as it was built: a tap was deleted, a guest
was switched off, the supervisor ended. "kvmlab up" compares what is there with
what should be and makes only what is missing.`,
	},
}
