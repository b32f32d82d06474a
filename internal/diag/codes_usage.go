package diag

// usageEntries are KL001–KL009: the command line.
var usageEntries = []Entry{
	{
		Code: Usage, Exit: ExitUsage, Args: []string{"message", "command"},
		Summary: `{{.message}}`,
		Hint:    `{{.command}} --help shows examples and every flag`,
		Explanation: `
The command line could not be understood: a flag that does not exist, too many
or too few arguments, or two flags that exclude each other. Nothing was done.
Every command's --help begins with examples that can be copied.`,
	},
	{
		Code: UnknownCommand, Exit: ExitUsage, Args: []string{"command", "suggestion"},
		Summary: `there is no command {{quote .command}}`,
		Hint:    `{{if .suggestion}}did you mean {{quote .suggestion}}?{{else}}kvmlab --help lists the commands{{end}}`,
		Explanation: `
kvmlab has one word for each thing that it does: up, down, status and so on.
The word that was typed is none of them. kvmlab --help lists them all, and
"kvmlab completion bash" writes a file that lets the Tab key complete them.`,
	},
	{
		Code: Internal, Exit: ExitFailed, Args: []string{"message"},
		Summary: `kvmlab made a mistake: {{.message}}`,
		Hint:    `please report it with the output of: kvmlab version`,
		Explanation: `
This is not your mistake: a part of kvmlab met a situation that its authors
believed impossible. What was being built is rolled back as far as it can be.
If "kvmlab status" still shows something of it, "kvmlab down" removes it.`,
	},
	{
		Code: FileUnreadable, Exit: ExitUsage, Args: []string{"file"},
		Summary: `cannot read {{quote .file}}`,
		Hint:    `check the path and the permissions: ls -l {{.file}}`,
		Explanation: `
The file is there, or may be, but the system would not let kvmlab read it; the
cause says why. Common reasons: it is a directory, it belongs to another user,
or it lies in a home directory that root may not enter (some network file
systems keep root out, and "sudo kvmlab" runs as root).`,
	},
	{
		Code: UnknownScenario, Exit: ExitUsage, Args: []string{"name", "suggestion", "known"},
		Summary: `there is no built-in lab {{quote .name}}`,
		Hint: `{{if .suggestion}}did you mean {{quote .suggestion}}?{{else}}` +
			`the built-in labs are: {{join .known}}; a lab file of your own is given with its path, ./{{.name}}{{end}}`,
		Explanation: `
A plain word after a command names one of the labs that are built into kvmlab.
A path, anything with a slash in it or ending in .yaml, names a lab file. The
two never mix: a file called three-taps in the current directory is ./three-taps.`,
	},
	{
		Code: UnknownTopic, Exit: ExitUsage, Args: []string{"topic"},
		Summary: `there is nothing to explain under {{quote .topic}}`,
		Hint:    `kvmlab explain lists what there is; for example: kvmlab explain KL041, kvmlab explain option 54`,
		Explanation: `
kvmlab explain tells more about an error than fits under it: it wants the code
between the square brackets of the message, in capitals or not. It also explains
what is seen on the wire: offer, ciaddr, option 54, renewing, raw socket.`,
	},
	{
		Code: BadFlag, Exit: ExitUsage, Args: []string{"flag", "value", "allowed"},
		Summary: `{{quote .value}} is no value for {{.flag}}`,
		Hint:    `{{.flag}} takes: {{.allowed}}`,
		Explanation: `
The flag exists, but not with this value. Times are written with their unit
(60s, 2m), amounts of memory too (128MiB), and choices by one of their words.`,
	},
	{
		Code: NeedsConfirmation, Exit: ExitUsage, Args: []string{"action"},
		Summary: `{{.action}} needs a yes, and there is nobody to ask`,
		Hint:    `add --yes when you are sure`,
		Explanation: `
What was asked for destroys something that cannot be had again. On a terminal
kvmlab names it and asks. Here standard input is not a terminal (a script, a
pipe), so nobody would see the question; --yes answers it beforehand.`,
	},
}
