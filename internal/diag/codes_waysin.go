package diag

// wayInEntries are KL315–KL321: commands in guests and copies, over the guest's agent.
var wayInEntries = []Entry{
	{
		Code: AgentSilent, Exit: ExitFailed, Args: []string{"guest", "state", "wait", "opened"},
		Summary: `the agent of {{.guest}} did not answer within {{.wait}}; the guest is {{.state}}, its agent's port open: {{.opened}}`,
		Hint:    `look at its console: sudo kvmlab console {{.guest}}; a guest that still boots needs more time: --wait 3m`,
		Explanation: `
"exec" and "cp" speak to a small program in the guest, the QEMU guest agent, over
a virtual serial port, so they need no network. It answers once the guest has
booted. A port that is not open means that the guest has not come so far, or
that its agent was stopped (systemctl status qemu-guest-agent); an open port
means that the guest is too busy, or hangs. A paused guest cannot answer.`,
	},
	{
		Code: AgentRefused, Exit: ExitFailed, Args: []string{"guest", "message"},
		Summary: `the agent of {{.guest}} could not do it: {{.message}}`,
		Hint:    `look from inside: sudo kvmlab console {{.guest}}`,
		Explanation: `
The guest's agent took the request and its own system refused it: no room in the
guest's memory or disk, or a program or folder that is not there.`,
	},
	{
		Code: GuestPath, Exit: ExitUsage, Args: []string{"guest", "path"},
		Summary: `{{.guest}} has no file or folder for {{quote .path}}`,
		Hint:    `look: sudo kvmlab exec {{.guest}} -- ls -l {{.path}}`,
		Explanation: `
A file that is to be copied out of a guest must be there, and be a plain file. A
copy into a guest makes the file, but not the folder that it lies in. A path
without a slash in front begins at root's home.`,
	},
	{
		Code: CopyDiffers, Exit: ExitFailed, Args: []string{"source"},
		Summary: `the copy of {{.source}} is not what was read: its SHA-256 differs`,
		Hint:    `copy again when nobody writes to the file any more`,
		Explanation: `
Both ends compute the checksum of what was copied, and here they disagree. Most
often the file was written to meanwhile, as logs are. The copy was thrown away,
and what had been in its place is still there.`,
	},
	{
		Code: CopyDirectory, Exit: ExitUsage, Args: []string{"path"},
		Summary: `{{.path}} is a folder, and cp copies files`,
		Hint:    `pack it on the way: tar c {{.path}} | sudo kvmlab exec GUEST -- tar x`,
		Explanation: `
Whole folders go through tar, which also keeps their owners and permissions:
"exec" passes its input on to the command in the guest.`,
	},
	{
		Code: ExecTimeout, Exit: ExitFailed, Args: []string{"guest", "limit"},
		Summary: `the command in {{.guest}} was not done within {{.limit}}, and was ended`,
		Hint:    `give it more time with --timeout, or leave the limit out`,
		Explanation: `
After the time of --timeout the command, and all that it has started in its
session, gets SIGTERM, and SIGKILL three seconds later.`,
	},
}
