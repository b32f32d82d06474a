package diag

// archiveEntries are KL330–KL339: the package archive that images are made from.
var archiveEntries = []Entry{
	{
		Code: FetchFailed, Exit: ExitFailed, Args: []string{"image", "reason"},
		Summary: `the packages of the image {{quote .image}} could not be fetched: {{.reason}}`,
		Hint:    `see whether sudo apt-get update gets through; behind a proxy, set Acquire::http::Proxy in /etc/apt/apt.conf.d; then the same command again`,
		Explanation: `
An image is made of the distribution's own packages, which apt fetches from the
sources that this host has. When apt's lists name what the archive no longer
has, kvmlab has the lists fetched anew and tries once more; that was of no use
here. What apt says first is quoted. Packages that were fetched are kept, and
the next build goes on from there. Without a network an image can be built only
on a host that has built it before, from the same packages.`,
	},
	{
		Code: BuiltFromCache, Severity: Warning, Args: []string{"image", "reason"},
		Summary: `the image {{quote .image}} is built from packages that were fetched before: {{.reason}}`,
		Hint:    `nothing to do: the image works; a build with the network brings newer packages`,
		Explanation: `
kvmlab keeps the packages that an image was made of (/var/lib/kvmlab/images/debs),
so that an image can be built where there is no network, or while the archive
does not answer. What is newer in the archive comes with the next build that
reaches it.`,
	},
}
