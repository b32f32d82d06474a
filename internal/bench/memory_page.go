package main

import (
	"fmt"
	"strings"
)

// memoryPage writes the section on memory.
func memoryPage(sizes []sizeFigures, rest restFigures, clones []cloneFigures) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Memory\n\nMeasured by `scripts/bench memory` on %s, in a private host, without hardware\nvirtualisation. MiB are the proportional set of a guest's QEMU.\n\n"+
		"| memory of a micro guest | bare QEMU boots it | `up` | MiB at the lease | `exec` | `tcpdump` | MiB after both |\n|---|---|---|---|---|---|---|\n", machine())
	for _, s := range sizes {
		for _, way := range []struct {
			name string
			f    guestFigures
		}{{"cold", s.cold}, {"resumed", s.resumed}} {
			fmt.Fprintf(&b, "| %d MiB | %s | %s | %s |\n", s.mib, yes(s.boots), way.name, way.f.cells())
		}
	}
	b.WriteString("\nA code says why there is no guest: KL086 that `up` refuses so little memory, KL605 that no lease came. kvmlab's guests have\n" +
		"four virtio-serial ports, each of which takes 4 MiB of the guest; bare QEMU's has one.\n")
	fmt.Fprintf(&b, "\nThree resumed guests of %d MiB have %.0f MiB resident each, and a proportional set of %.0f MiB: they share QEMU's program.\n%s",
		cloneMiB, rest.guests.RSS/3, rest.guests.PSS/3, rest.ksm.text(rest))
	fmt.Fprintf(&b, "\nThree guests of bare QEMU, resumed from one template:\n\n"+
		"| the template's memory | resident, MiB | proportional, MiB | seconds from QEMU's start to the lease |\n|---|---|---|---|\n")
	for i, way := range cloneWays() {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %s |\n", way.name, clones[i].rss, clones[i].pss, clones[i].took.spread(1))
	}
	b.WriteString("\nlibvirt knows no save image whose memory is a file that guests map, so kvmlab's guests read it.\n")
	if s := rest.restSupervisor; s.RSS > 0 {
		fmt.Fprintf(&b, "\nThe supervisor of a lab with three guests has %.1f MiB resident at the third lease, %.1f MiB of them its own and the rest\n"+
			"the program, and %.1f MiB, %.1f its own, after %.0f seconds. Then it takes %.0f ms of processor time in %.0f s.\n",
			rest.supervisor.RSS, rest.supervisor.Anon, s.RSS, s.Anon, restAfter.Seconds(), float64(rest.idle.Milliseconds()), restWatch.Seconds())
	}
	return b.String()
}

// cells are the four cells on one guest.
func (f guestFigures) cells() string {
	if f.missing != "" {
		return f.missing + " | – | – | –"
	}
	return fmt.Sprintf("%.0f | %s | %s | %.0f", f.pss, yes(f.exec), yes(f.tcpdump), f.worked)
}

// text says what merging equal pages brings.
func (f ksmFigures) text(rest restFigures) string {
	const about = "Where the host merges equal pages (KSM), kvmlab's guests have memory of the kind that it looks at; kvmlab leaves that\nsetting (`/sys/kernel/mm/ksm/run`) as it is."
	if f.missing != "" {
		return about + " Here " + f.missing + ".\n"
	}
	return fmt.Sprintf("%s Switched on here, looking at %s pages fifty times a second, it had after %.0f s merged\n%.0f MiB into %.0f MiB: each guest's proportional set was then %.0f MiB.\n",
		about, ksmPages, f.took.Seconds(), f.sharing+f.shared, f.shared, rest.rested.PSS/3)
}

// yes says yes or no.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
