package diag

// untrustedEntries are KL360–KL364: guests that send more, or other things, than kvmlab takes from them.
var untrustedEntries = []Entry{
	{
		Code: AgentNonsense, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `{{.guest}}'s agent answers nonsense`,
		Hint:    `begin anew with it: sudo kvmlab reset {{.guest}}`,
		Explanation: `
What answers in the guest is not the agent that kvmlab's images have: its answers
have another form than the protocol's, or are larger than anything that was asked
for. Who is root in the guest can put any program in its place. kvmlab gives up
on such a guest and goes on with the others. "reset" gives the guest its first
state.`,
	},
	{
		Code: FileTooMuch, Exit: ExitChecks, Args: []string{"file"},
		Summary: `{{.file}} and what belongs to it are more than kvmlab reads`,
		Hint:    `look for a file that includes itself by way of others, and for blocks in blocks`,
		Explanation: `
The files of a configuration are read up to about a megabyte in all, each time
that a file is included counts, and blocks are followed 64 deep. That is several
times what a class ever writes. What comes behind is not looked at.`,
	},
	{
		Code: CopyTooLarge, Exit: ExitUsage, Args: []string{"guest", "path", "size", "limit"},
		Summary: `{{.path}} in {{.guest}} has {{.size}}, and cp takes at most {{.limit}} from a guest`,
		Hint:    `allow more: --max-size {{.size}}`,
		Explanation: `
A guest says by itself how large a file is, and could fill this computer's disk.
So a copy out of a guest has a limit, which --max-size raises. What is copied into
a guest has none.`,
	},
	{
		Code: CopyNoRoom, Exit: ExitFailed, Args: []string{"path", "size", "free"},
		Summary: `there is no room for {{.size}} at {{.path}}: {{.free}} are free`,
		Hint:    `make room, or copy to another place: df -h shows where there is some`,
		Explanation: `
The free space is looked at before anything is copied. A part of it stays free,
for a full disk stops other programs.`,
	},
	{
		Code: GuestSlow, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `{{.guest}} does not go on with it`,
		Hint:    `look at it: sudo kvmlab console {{.guest}}`,
		Explanation: `
A copy may take three minutes and half a minute more for each mebibyte, ten times
what a guest without hardware virtualisation needs on a busy computer. One that
takes longer waits for a guest that hangs or is paused, or for an agent that has
been replaced.`,
	},
}
