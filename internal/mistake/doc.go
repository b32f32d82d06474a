// Package mistake finds what a student has got wrong when a machine is to become a DHCP server. [Find] takes what was
// seen in the guest and on the host ([Guest], [Host]) and what was asked ([Task]), and names the causes, the most
// probable first: a file that the program refuses before one that means something else, and both before a server that
// has not been restarted.
//
// It is pure: it reads no file and runs no program. [Read] has somebody else run one script in the guest and takes its
// output apart.
//
// Two rules keep it honest. What is no mistake for the real program is none here: the table of docs/mistakes.md is made
// by a test that gives dhcpd, Kea and dnsmasq the same files. And where the evidence does not suffice, nothing is said:
// the absence of something is only reported when it would have been seen.
package mistake

import (
	"cmp"
	"slices"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// rank orders causes: what a cause of a lower rank stops cannot be judged before that is mended.
type rank uint8

const (
	rankCable   rank = iota // nothing of the guest reaches the network
	rankSyntax              // the program cannot read its file
	rankRefused             // it reads it and refuses
	rankCard                // the card to be served, and its address
	rankMeaning             // the server would do something else than asked
	rankRunning             // the server does not run, or with what it has read before
	rankWire                // what is seen on the network
)

// finding is a cause with its rank.
type finding struct {
	rank rank
	diag *diag.Diagnostic
}

// finder collects findings.
type finder struct {
	seen  Guest
	want  Task
	found []finding
	// read are the files that the student's program reads, known when they were looked at; they are parsed once.
	read []string
}

// What is looked at in a file at most, of what is compared with one another.
const (
	maxSubnets = 256
	maxRanges  = 256 // of a subnet
	maxHosts   = 2048
)

// most is how many findings are enough: a file that is no configuration at all has one in each line.
const most = 50

func (f *finder) add(r rank, d *diag.Diagnostic) {
	if !f.full() {
		f.found = append(f.found, finding{r, d})
	}
}

// full says that no more need be looked for in a file.
func (f *finder) full() bool { return len(f.found) >= most }

// has says whether one of the codes was found.
func (f *finder) has(codes ...diag.Code) bool {
	return slices.ContainsFunc(f.found, func(x finding) bool { return slices.Contains(codes, x.diag.Code) })
}

// below says whether an error of a lower rank than r was found: one that may be the cause of what r would report.
func (f *finder) below(r rank) bool {
	return slices.ContainsFunc(f.found, func(x finding) bool { return x.rank < r && x.diag.Severity == diag.Error })
}

// Find returns what is wrong, the cause that hides the others first. It is empty when all is well; warnings (the old
// INTERFACES, for example) come last and do not stop the exercise. Parts of Guest that were not read (nil) are not
// judged.
func Find(seen Guest, want Task) diag.List {
	f := &finder{seen: seen, want: want}
	f.taps()
	f.cards()
	if seen.Files != nil {
		f.files()
	}
	f.running()
	f.wire()
	f.answers()
	slices.SortStableFunc(f.found, compareFindings)
	var list diag.List
	lines := map[diag.Pos]bool{}
	for _, x := range f.found {
		// Of two mistakes of syntax in one line the second is mostly a consequence of the first.
		line := diag.Pos{File: x.diag.Pos.File, Line: x.diag.Pos.Line}
		if x.rank <= rankRefused && line.Line > 0 {
			if lines[line] {
				continue
			}
			lines[line] = true
		}
		list = append(list, x.diag)
	}
	return list
}

// compareFindings puts errors before warnings, then goes by rank, and within the syntax of a file by place.
func compareFindings(a, b finding) int {
	if c := cmp.Compare(a.diag.Severity, b.diag.Severity); c != 0 {
		return c
	}
	if c := cmp.Compare(a.rank, b.rank); c != 0 || a.rank > rankRefused || a.diag.Pos.File != b.diag.Pos.File {
		return c
	}
	return cmp.Or(cmp.Compare(a.diag.Pos.Line, b.diag.Pos.Line), foreignFirst(a.diag, b.diag),
		cmp.Compare(a.diag.Pos.Column, b.diag.Pos.Column))
}

// foreignFirst puts a character that nobody sees before the words that it spoils.
func foreignFirst(a, b *diag.Diagnostic) int {
	foreign := func(d *diag.Diagnostic) int {
		if d.Code == diag.ForeignChar {
			return 0
		}
		return 1
	}
	return cmp.Compare(foreign(a), foreign(b))
}
