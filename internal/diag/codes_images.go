package diag

// imageEntries are KL400–KL409: guest images and disks.
var imageEntries = []Entry{
	{
		Code: NoImage, Exit: ExitHost, Args: []string{"image", "commands"},
		Summary: `there is no image {{quote .image}} on this host yet`,
		Hint:    `{{if .commands}}build it: {{.commands}}{{else}}bring it in: sudo kvmlab image import {{.image}} FILE{{end}}`,
		Explanation: `
Guests boot from an image that is built once on each host and then used by
every lab. For micro that takes well under a minute, for debian a few minutes;
it needs the distribution's package archive, and afterwards no network. "up"
asks on a terminal whether to build what its lab lacks, and "up --build" does
it unasked. Images lie in /var/lib/kvmlab/images.`,
	},
	{
		Code: ImageBuildFailed, Exit: ExitFailed, Args: []string{"image", "step"},
		Summary: `the image {{quote .image}} could not be built: {{.step}}`,
		Hint:    `mend the cause and run the same command again; nothing half-built is left behind`,
		Explanation: `
An image is put together beside the finished ones and takes its name only when
it is complete, so a build that stops in the middle changes nothing: the
previous image, if there was one, is still in use.`,
	},
	{
		Code: ImageNoRoom, Exit: ExitHost, Args: []string{"path", "need", "have"},
		Summary: `an image needs {{.need}} in {{.path}}, and {{.have}} is free`,
		Hint:    `make room there, or move the state: KVMLAB_STATE_DIR=/another/disk`,
		Explanation: `
The room is checked before anything is downloaded or unpacked, so that the disk
is not filled by a build that cannot end well.`,
	},
	{
		Code: ImageDamaged, Exit: ExitHost, Args: []string{"image", "path", "reason"},
		Summary: `the image {{quote .image}} is damaged: {{.path}}: {{.reason}}`,
		Hint:    `build it again: sudo kvmlab image build {{.image}} --force; one from elsewhere: image rm, then image import`,
		Explanation: `
The size and the SHA-256 of each file are noted when an image is built or
imported. "up" looks at the sizes and times, and reads a file again when they
have changed. This one is no longer what it was: it was changed, cut short by a
full disk, or the disk is failing.`,
	},
	{
		Code: PackageFailed, Exit: ExitFailed, Args: []string{"package"},
		Summary: `apt knows no package {{.package}}, which the image needs`,
		Hint:    `see where apt looks: apt-cache policy {{.package}}; a Debian 12 has it in main`,
		Explanation: `
The image is made from the distribution's own packages. kvmlab has fetched apt's
lists anew, and this package is still in none of them: the sources of apt
(/etc/apt/sources.list, /etc/apt/sources.list.d) are not those of Debian, or
lack the component main.`,
	},
	{
		Code: UnknownRecipe, Exit: ExitUsage, Args: []string{"image", "known"},
		Summary: `kvmlab does not know how to build an image {{quote .image}}`,
		Hint:    `it can build: {{join .known}}`,
		Explanation: `
Only a few images are built by kvmlab itself. A disk image that you have as a
file is brought in with "kvmlab image import".`,
	},
	{
		Code: ImageBusy, Severity: Warning, Args: []string{"image"},
		Summary: `another build of images is under way on this host; {{quote .image}} waits for its end`,
		Hint:    `nothing to do; Ctrl-C ends the wait`,
		Explanation: `
Two builds at once would write the same files. The second waits while the first
holds the lock, and then has little left to do. The lock goes away with its
process, even if that is killed.`,
	},
	{
		Code: DiskBase, Exit: ExitHost, Args: []string{"guest", "image", "base", "now"},
		Summary: `the disk of {{.guest}} lies on {{.image}} {{.base}}, and the image {{.image}} is now {{.now}}`,
		Hint:    `keep the work on it: kvmlab up --old-images; or begin anew: kvmlab reset {{.guest}}`,
		Explanation: `
A guest's disk holds only what differs from the image that it was made of. On
another image these differences would be nonsense, so it stays with the old one,
which is kept for it. --old-images starts such guests with their own, older
image; "reset" throws the guest's changes away and gives it the new one.`,
	},
	{
		Code: DiskDamaged, Exit: ExitHost, Args: []string{"guest", "path", "reason"},
		Summary: `the disk of {{.guest}} cannot be used: {{.reason}}: {{.path}}`,
		Hint:    `give it a fresh one: kvmlab reset {{.guest}}`,
		Explanation: `
The file of the guest's disk is not what kvmlab made, or the image that it lies
on is gone or damaged. Without that image nobody can read the disk.`,
	},
	{
		Code: DisksLost, Exit: ExitUsage, Args: []string{"guests", "command"},
		Summary: `the disks of {{.guests}}, with all that was done on them, would be deleted`,
		Hint:    `if that is meant: {{.command}} --yes`,
		Explanation: `
"down" keeps the disks of guests, and the next "up" goes on with them. "down
--purge" and "reset" delete them, which cannot be undone; on a terminal they ask
first, and elsewhere they want --yes.`,
	},
}
