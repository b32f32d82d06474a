package diag

// domainEntries are KL300–KL319: libvirt's domains and the guests in them.
var domainEntries = []Entry{
	{
		Code: ForeignDomain, Exit: ExitHost, Args: []string{"domain"},
		Summary: `libvirt already has a domain {{quote .domain}}, and it is not kvmlab's`,
		Hint:    `rename the lab (--name), or see what it is: virsh dumpxml {{.domain}}`,
		Explanation: `
kvmlab writes an element of its own into the metadata of each domain that it
defines, and touches no domain without it. This one has the name that the lab's
guest would get (<lab>-<guest> or <lab>_<guest>) but not the mark.`,
	},
	{
		Code: GuestStartFailed, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `{{.guest}} could not be started`,
		Hint:    `the cause is libvirt's own; kvmlab doctor looks for the usual reasons`,
		Explanation: `
libvirt took the guest's description but could not start QEMU with it, or QEMU
ended at once. Typical causes: /dev/kvm not open to QEMU's user, no memory, a
kernel or image file that QEMU's user may not read, AppArmor. QEMU's own words
are in /var/log/libvirt/qemu/.`,
	},
	{
		Code: GuestNoLease, Exit: ExitFailed, Args: []string{"guest", "step", "wait"},
		Summary: `{{.guest}} has no lease after {{.wait}}: {{.step}} never came`,
		Hint:    `wait longer (--wait 3m), or bring the lab up with --no-wait and sit down at its console`,
		Explanation: `
On its way to an address a guest passes its tap, its boot, and then the four
messages DISCOVER, OFFER, REQUEST and ACK. The step named is the first that was
not seen. No boot: the guest hangs or has too little memory, see its console. No
DISCOVER: its client does not run or its card is not on the bridge. No OFFER:
the server has no free address or is silent, and "kvmlab leases" says which. No
REQUEST: the OFFER did not reach the client. No ACK: the server refused, with
a NAK, or could not write the lease down.`,
	},
	{
		Code: NoSuchGuest, Exit: ExitUsage, Args: []string{"guest", "lab", "suggestion", "known"},
		Summary: `the lab {{.lab}} has no guest {{quote .guest}}`,
		Hint:    `{{if .suggestion}}did you mean {{quote .suggestion}}?{{else}}its guests are: {{join .known}}{{end}}`,
		Explanation: `
Guests are called by their names in the lab file, without the lab's name before
them: pc1, not three-taps-pc1. "kvmlab status" lists them.`,
	},
	{
		Code: ConsoleBusy, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `somebody else is on the console of {{.guest}}`,
		Hint:    `leave it there with Ctrl-], or take it over: kvmlab console {{.guest}} --force`,
		Explanation: `
A guest has one serial console, as a real machine has one serial socket. Two
terminals on it would get every other character. Look for a forgotten window
with "kvmlab console" or "virsh console" in it.`,
	},
	{
		Code: GuestNotRunning, Exit: ExitFailed, Args: []string{"guest", "state"},
		Summary: `{{.guest}} is {{.state}}, not running`,
		Hint:    `kvmlab up starts what is missing in the lab`,
		Explanation: `
The guest is defined but switched off: it was shut down from inside, destroyed
with virsh, or crashed. Bringing the lab up again starts it and leaves the
others alone.`,
	},
	{
		Code: GuestDefineFailed, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `libvirt does not accept the description of {{.guest}}`,
		Hint:    `kvmlab doctor compares the versions of libvirt and QEMU with what kvmlab needs`,
		Explanation: `
kvmlab describes each guest to libvirt in XML. A libvirt or QEMU that is too
old, or was built without a feature, refuses it and names the part that it
does not know.`,
	},
	{
		Code: GuestDied, Exit: ExitFailed, Args: []string{"guest", "reason"},
		Summary: `{{.guest}} stopped by itself: {{.reason}}`,
		Hint:    `the end of its console log says more: kvmlab console {{.guest}} --log`,
		Explanation: `
The guest was running and is not any more, and it was not kvmlab that stopped
it. A kernel panic (too little memory, a damaged image), a shutdown from inside,
or the host's kernel that killed QEMU to free memory ("dmesg | grep -i oom").`,
	},
	{
		Code: GuestNoIdentity, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `{{.guest}} never asked who it is`,
		Hint:    `look at its console: kvmlab console {{.guest}}`,
		Explanation: `
All micro guests boot the same image. Each learns its name and its addresses
over a small channel between guest and host (virtio-serial port org.kvmlab.id),
and only then starts its network. This guest did not read from the channel: it
did not get as far, or its image is not one of kvmlab's.`,
	},
	{
		Code: MachineFallback, Severity: Warning, Args: []string{"reason"},
		Summary: `guests use the machine q35 in place of microvm: {{.reason}}`,
		Hint:    `nothing to do; they boot about a second later`,
		Explanation: `
microvm is a small virtual machine without PCI that boots fastest. Not every
QEMU has it, and some guests want devices that it lacks. q35, a model of a
whole PC, does the same job a little slower.`,
	},
	{
		Code: ColdStart, Severity: Warning, Args: []string{"guests", "reason"},
		Summary: `{{join .guests}} booted, for the saved guest that it should have been resumed from did not serve: {{.reason}}`,
		Hint:    `nothing to do: the lab is as it should be; kvmlab tries again in ten minutes, and with --cold it does not try`,
		Explanation: `
So that a lab is there in a second, kvmlab boots one guest as far as the moment
before its network comes up, and saves its memory in /var/lib/kvmlab/templates.
Every guest of that kind is resumed from there and then told who it is. When
the file cannot be made or read, guests boot, which takes some seconds longer
and makes no other difference.`,
	},
	{
		Code: AccelFallback, Severity: Warning, Args: []string{"reason"},
		Summary: `guests run without KVM: {{.reason}}`,
		Hint:    `nothing to do; kvmlab doctor says what would be needed for KVM, and kvmlab doctor --again tries it again`,
		Explanation: `
Without KVM, QEMU translates the guests' instructions in software (TCG). A
boot takes seconds, not fractions of one, and for the network it makes no
difference that could be seen.`,
	},
	{
		Code: NoTerminal, Exit: ExitUsage, Args: []string{"command"},
		Summary: `{{.command}} needs a terminal, and standard input is none`,
		Hint:    `run it in a terminal; for scripts there is kvmlab exec`,
		Explanation: `
A console passes every key to the guest, Ctrl-C included, which takes a
terminal. In a pipe or a script there is none.`,
	},
	{
		Code: AccelUnusable, Exit: ExitHost, Args: []string{"accel", "reason"},
		Summary: `--accel {{.accel}} was asked for and does not work here: {{.reason}}`,
		Hint:    `leave the flag out, and kvmlab uses what works; once it is mended, the same command tries again`,
		Explanation: `
By default kvmlab tries KVM and falls back to TCG. A choice made by flag is
taken at its word: if it does not work, that is an error. With --accel kvm
nothing that failed before is remembered: a guest was booted just now, and what
became of it is quoted.`,
	},
	{
		Code: GuestStopFailed, Exit: ExitFailed, Args: []string{"guest"},
		Summary: `{{.guest}} could not be stopped and removed`,
		Hint:    `try again; if it stays: virsh destroy and virsh undefine, with the domain's name from kvmlab status`,
		Explanation: `
libvirt was asked to end the guest's QEMU and to forget its description, and one
of the two failed. The rest of the lab was taken down all the same; the lab's
state is kept until nothing is left, so that "kvmlab down" can be repeated.`,
	},
	{
		Code: GuestAmbiguous, Exit: ExitUsage, Args: []string{"guest", "labs"},
		Summary: `there is a guest {{.guest}} in several labs: {{join .labs}}`,
		Hint:    `say which lab, with --lab`,
		Explanation: `
Every student's lab has its own pc1. When more than one lab is up, a guest's
name alone does not say which machine is meant.`,
	},
}
