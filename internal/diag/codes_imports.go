package diag

// importEntries are KL410–KL419: images from elsewhere.
var importEntries = []Entry{
	{
		Code: DiskSmall, Exit: ExitUsage, Args: []string{"guest", "disk", "image", "size"},
		Summary: `the disk of {{.guest}} is to have {{.disk}}, and the image {{.image}} needs {{.size}}`,
		Hint:    `write disk: {{.size}} or more, or leave it out`,
		Explanation: `
A guest's disk begins as what is in its image, and cannot be smaller than that:
the end of the file system would be cut off.`,
	},
	{
		Code: NotImage, Exit: ExitUsage, Args: []string{"file", "reason"},
		Summary: `{{quote .file}} cannot be imported: {{.reason}}`,
		Hint:    `look at it: qemu-img info {{.file}}; kvmlab explain KL411 tells what can be imported`,
		Explanation: `
What can be imported is a whole disk with a system on it that starts from a BIOS
and knows cloud-init, as a qcow2 or as it is ("raw"): a distribution's "cloud"
or "generic cloud" image for x86-64. A qcow2 that leads to other files, by a
backing file or a data file, is refused: reading it would read these, whatever
they are.`,
	},
	{
		Code: ImageName, Exit: ExitUsage, Args: []string{"image", "reason"},
		Summary: `an image cannot be imported as {{quote .image}}: {{.reason}}`,
		Hint:    `choose another name, of lower-case letters, digits, ".", "_" and "-"; kvmlab image list shows those in use`,
		Explanation: `
Guests name their image in the lab file, so a name means one image. To put
another one in the place of an imported image, remove that first: kvmlab image
rm. The images that kvmlab builds itself keep their names.`,
	},
	{
		Code: ImageUsed, Exit: ExitHost, Args: []string{"image", "labs"},
		Summary: `the image {{quote .image}} is used by {{join .labs}}`,
		Hint:    `take that down with its disks first: kvmlab down --purge LAB`,
		Explanation: `
The guests of a lab that is up boot from their image, and a guest's disk, kept
by "down", holds only what differs from it. Without the image nobody could read
these disks.`,
	},
	{
		Code: ImagePackaged, Exit: ExitFailed, Args: []string{"image"},
		Summary: `the image {{quote .image}} came with kvmlab's package`,
		Hint:    `it goes with the package: sudo apt remove kvmlab`,
		Explanation: `
The Debian package of kvmlab brings the micro image along, in
/var/lib/kvmlab/packaged, so that labs come up without a network. What a package
has installed only the package's tools change. An image that was built here,
with "kvmlab image build", lies in /var/lib/kvmlab/images and can be removed; then
the package's is used again.`,
	},
	{
		Code: BadKey, Exit: ExitUsage, Args: []string{"file"},
		Summary: `{{quote .file}} holds no SSH public key`,
		Hint:    `name the file that ends in .pub, such as ~/.ssh/id_ed25519.pub`,
		Explanation: `
A public key is one line that begins with its kind: ssh-ed25519, ssh-rsa,
ecdsa-…. The file beside it without .pub is the private key, which is never to
be copied anywhere.`,
	},
}
