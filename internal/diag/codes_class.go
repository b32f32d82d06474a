package diag

// classEntries are KL620–KL629: many labs at once.
var classEntries = []Entry{
	{
		Code: ClassFile, Exit: ExitUsage, Args: []string{"reason"},
		Summary: `the class file cannot be read: {{.reason}}`,
		Hint:    `it is a table in CSV: a first line "name" or "name,seed", then a student on each line`,
		Explanation: `
A class file is what every spreadsheet writes as CSV, in UTF-8, with commas or
semicolons. Its first line names the columns, in any order: "name" holds the
students' names, "seed", if it is there, a word from which the MAC addresses of
the student's guests are made.`,
	},
	{
		Code: ClassHeader, Exit: ExitUsage, Args: []string{"got"},
		Summary: `the first line of the class file does not name its columns: {{quote .got}}`,
		Hint:    `write "name" or "name,seed" there; other columns are not known`,
		Explanation: `
Without its header a class file would lose its first student, and with columns
that kvmlab does not know it could take the wrong one for the name. The columns
are "name" and, if you like, "seed", in any order.`,
	},
	{
		Code: ClassName, Exit: ExitUsage, Args: []string{"name", "reason"},
		Summary: `no lab can be named after {{quote .name}}: {{.reason}}`,
		Hint:    `write the name in Latin letters, beginning with one, and shorter than 40 characters`,
		Explanation: `
A student's lab is called after the student. Its name becomes part of the names
of guests and of a network namespace, which are made of small letters, digits
and dashes: "José Núñez" becomes jose-nunez. A name of which nothing is left
that way, or that begins with a digit, cannot be taken.`,
	},
	{
		Code: ClassClash, Exit: ExitUsage, Args: []string{"name", "other", "lab"},
		Summary: `{{quote .name}} and {{quote .other}} would both have the lab {{.lab}}`,
		Hint:    `tell them apart in the class file, by a surname or a number`,
		Explanation: `
Accents, capitals and spaces do not count in a lab's name, so that two students
can end up with the same one. They would work in one lab without knowing.`,
	},
	{
		Code: ClassUnfit, Exit: ExitHost, Args: []string{"asked", "fit", "need", "have"},
		Summary: `{{.asked}} labs need about {{.need}} MiB of memory, and {{.have}} MiB are free: {{.fit}} would fit`,
		Hint:    `bring up fewer, give the guests less memory, or try all the same with --force`,
		Explanation: `
Counted are the guests' memory as the lab file gives it and what QEMU and the
lab's supervisor need beside it. A host that runs out of memory ends processes
as it sees fit, guests of other labs among them; so this is refused before
anything is begun. Labs that are up already are not counted again.`,
	},
	{
		Code: ClassTooLarge, Exit: ExitHost, Args: []string{"asked", "fit", "what"},
		Summary: `{{.asked}} labs do not fit: {{.what}} is enough for {{.fit}}`,
		Hint:    `bring up fewer, take a lab with fewer or smaller guests, or a computer with more of it`,
		Explanation: `
One lab was brought up and measured: the proportional memory of its guests and
its supervisor, the processor time until its leases and afterwards, and room for
its disks. A tenth of memory and disk is left to the computer, and half of the
processors to the students' work.`,
	},
	{
		Code: ClassIncomplete, Exit: ExitFailed, Args: []string{"count", "missing"},
		Summary: `{{len .missing}} of {{.count}} labs are not done: {{join .missing}}`,
		Hint:    `the others are; mend the cause and give the same command again: it does only what is missing`,
		Explanation: `
What fails for one student does not stop the others. The causes of each failure
are above. The lab of each that failed was rolled back.`,
	},
}
