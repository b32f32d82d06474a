package diag

// syntaxEntries are KL010–KL029: the lab file as a text.
var syntaxEntries = []Entry{
	{
		Code: Syntax, Exit: ExitUsage, Args: []string{"message"},
		Summary: `this is not YAML: {{.message}}`,
		Hint:    `look at this line and the one before it: a colon, a quote, a bracket or the indentation is not as YAML wants it`,
		Explanation: `
A lab file is YAML: keys and values with a colon and a space between them,
lists with a dash, and what belongs together indented by the same number of
spaces. The reader stops where it no longer understands, which is often one
line after the mistake. Usual suspects: a colon without a space after it, a
quotation mark or a bracket that is never closed, a line indented by one space
too many. After this one is mended there may be others further down: YAML that
cannot be read hides everything after it.`,
	},
	{
		Code: TabIndent, Exit: ExitUsage,
		Summary: `a tab is used for indentation`,
		Hint:    `replace it by spaces; two for each level is usual`,
		Explanation: `
YAML forbids tabs in indentation, because how wide a tab looks differs from one
editor to the next, and in YAML the width decides what belongs to what. Most
editors can be told to write spaces when the Tab key is pressed; "expand -t 2
old.yaml > new.yaml" converts a whole file.`,
	},
	{
		Code: NotUTF8, Exit: ExitUsage, Args: []string{"what"},
		Summary: `the file is not text in UTF-8: {{.what}}`,
		Hint:    `save it again as UTF-8 (in most editors: Save as…, Encoding), or: iconv -t UTF-8`,
		Explanation: `
kvmlab reads files in UTF-8, the encoding that nearly everything uses today.
This one holds bytes that cannot be UTF-8. It may have been written by an old
editor in Latin-1 (an é is then the single byte E9), by a Windows program in
UTF-16 (every second byte is zero), or it may be no text at all. If it is
Latin-1, "iconv -f latin1 -t UTF-8 old.yaml > new.yaml" mends it.`,
	},
	{
		Code: EmptyFile, Exit: ExitUsage,
		Summary: `the lab file is empty`,
		Hint:    `begin with "version: 1" and a name; kvmlab scenario show three-taps prints an example`,
		Explanation: `
There is nothing in the file, or only comments. The smallest lab file has a
version, a name and one bridge or guest. The built-in three-taps lab is itself
a lab file with comments, and a good one to copy.`,
	},
	{
		Code: ManyDocuments, Exit: ExitUsage,
		Summary: `a second YAML document begins here`,
		Hint:    `one file holds one lab: remove this line, or move what follows to a file of its own`,
		Explanation: `
A line of three dashes ends one YAML document and begins another. A lab file
is a single document, so kvmlab would have to ignore the rest, and ignoring
what a teacher wrote is worse than refusing it.`,
	},
	{
		Code: TooLarge, Exit: ExitUsage, Args: []string{"what", "limit"},
		Summary: `{{.what}}: the limit is {{.limit}}`,
		Hint:    `is this really a lab file? If it is, divide it into several labs`,
		Explanation: `
Lab files are written by hand and are short. kvmlab refuses those that go far
beyond any real lab (in bytes, in depth, in the number of bridges, guests or
list elements, or by aliases that multiply), because such a file is either not
a lab file or would keep the host busy for a long time.`,
	},
	{
		Code: UnknownKey, Exit: ExitUsage, Args: []string{"key", "where", "suggestion", "allowed"},
		Summary: `unknown key {{quote .key}} in {{.where}}`,
		Hint:    `{{if .suggestion}}did you mean {{quote .suggestion}}?{{else}}the keys here are: {{join .allowed}}{{end}}`,
		Explanation: `
Every key of a lab file has a meaning. One that has none is most often a
spelling mistake, or a key that is indented one level too far or not far
enough and so ended up in the wrong place. kvmlab does not skip it: a
misspelled "range" would leave the DHCP server without addresses, and that is
harder to find than this message. docs/lab-file.md lists every key.`,
	},
	{
		Code: DuplicateKey, Exit: ExitUsage, Args: []string{"key", "line"},
		Summary: `the key {{quote .key}} is here a second time`,
		Hint:    `it was already given on line {{.line}}; keep one of the two`,
		Explanation: `
In a YAML mapping every key may appear once. Programs that accept it twice
silently take the last, and the reader of the file the first. If there should
be two bridges or two guests, they are two elements of a list, each beginning
with a dash.`,
	},
	{
		Code: WrongType, Exit: ExitUsage, Args: []string{"key", "want", "got"},
		Summary: `{{.key}} must be {{.want}}, not {{.got}}`,
		Hint:    `the reference of the lab file has an example of each key: docs/lab-file.md`,
		Explanation: `
YAML has three shapes: a single value (name: br1), a list (elements with a
dash, or [a, b]) and a mapping (keys with values, or {a: 1}). The value here
has another shape than its key needs. A common case is a list with one
element, which still needs its dash or its brackets; another is a key with
nothing after its colon, because what follows is not indented further.`,
	},
	{
		Code: MissingKey, Exit: ExitUsage, Args: []string{"key", "where"},
		Summary: `{{.where}} has no {{quote .key}}`,
		Hint:    `add a line with {{.key}}: and its value`,
		Explanation: `
Some keys have a sensible default and may be left out. This one has none:
kvmlab cannot guess it, and a wrong guess would build another lab than the one
that was meant. If the key is in the file, look at its indentation: it may
belong to another element than it seems.`,
	},
	{
		Code: MergeKey, Exit: ExitUsage,
		Summary: `the merge key "<<" is not supported`,
		Hint:    `write the keys out, or use an alias for a whole value: dhcp: *dhcp`,
		Explanation: `
"<<" comes from YAML 1.1 and is not part of YAML 1.2. It mixes one mapping into
another, and readers disagree about which of two values wins. Anchors and
aliases for whole values do work: "dhcp: &pool {…}" names a value, and
"dhcp: *pool" uses it again.`,
	},
	{
		Code: AliasLoop, Exit: ExitUsage, Args: []string{"alias"},
		Summary: `the alias *{{.alias}} stands inside the value that it refers to`,
		Hint:    `write out what was meant`,
		Explanation: `
An alias (*name) repeats a value that was marked before with an anchor (&name).
Here the alias is inside that very value, so the value would contain itself
for ever.`,
	},
	{
		Code: ControlChar, Exit: ExitUsage, Args: []string{"char"},
		Summary: `there is an unprintable character, {{.char}}`,
		Hint:    `delete it; cat -v shows such characters`,
		Explanation: `
The file holds a character that cannot be seen and that YAML does not allow. It
usually came along when text was copied from a web page, a PDF or a terminal.
"cat -v file" makes it visible: ^@ is a zero byte, ^[ an escape.`,
	},
	{
		Code: BadVersion, Exit: ExitUsage, Args: []string{"version", "known"},
		Summary: `version {{.version}} of the lab file is not one that this kvmlab knows`,
		Hint:    `write version: {{.known}}, or use a newer kvmlab if the file was made for one`,
		Explanation: `
The version says which edition of the lab file's language the file is written
in, so that old files keep their meaning when the language grows. It is not
the version of your lab: leave it at 1 however often you edit the file.`,
	},
	{
		Code: NotOneOf, Exit: ExitUsage, Args: []string{"key", "value", "allowed", "suggestion"},
		Summary: `{{.key}} cannot be {{quote .value}}`,
		Hint:    `{{if .suggestion}}did you mean {{quote .suggestion}}? {{end}}It is one of: {{join .allowed}}`,
		Explanation: `
This key takes one of a few words. Case matters: they are all written in small
letters. docs/lab-file.md says what each of them does.`,
	},
	{
		Code: NothingInLab, Exit: ExitUsage,
		Summary: `the lab has neither bridges nor guests`,
		Hint:    `add a list of bridges, of guests, or both`,
		Explanation: `
A lab is bridges, guests, or bridges with guests on them. This file describes
none of them, so there would be nothing to bring up.`,
	},
	{
		Code: ScalarNotPlain, Exit: ExitUsage, Args: []string{"key", "value", "want"},
		Summary: `{{.key}} must be {{.want}}, not {{quote .value}}`,
		Hint:    `numbers are written in plain decimal, without quotes or units; text that looks like a number in quotes`,
		Explanation: `
YAML guesses what a bare word is: 1 is a number, "1" in quotes is text, 2024-01-01
is a date. Where kvmlab needs a number it takes only plain decimal digits, so
that 010 cannot be read as eight by one program and as ten by another.`,
	},
	{
		Code: LabFileNotFound, Exit: ExitUsage, Args: []string{"file"},
		Summary: `there is no lab file {{quote .file}}`,
		Hint:    `check the path; a built-in lab is given by its name alone: kvmlab up three-taps`,
		Explanation: `
The path was looked up from the current directory and nothing is there. "pwd"
shows where you are and "ls" what there is.`,
	},
}
