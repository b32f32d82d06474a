package main

import (
	"fmt"
	"strings"
)

// labPage writes the section on one lab.
func labPage(rounds int, f labFigures) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## One lab, three guests\n\nMeasured by `scripts/bench lab` on %s, in a private host (`scripts/sandbox`), %d rounds in\n"+
		"which every way had its turn. Seconds: median (least–greatest).\n\n", machine(), rounds)
	b.WriteString(timeTable(2,
		timing{"`up` to the third lease", f.up},
		timing{"`up --isolate` to the third lease", f.isolated},
		timing{"`up --cold` to the third lease: every guest boots", f.cold},
		timing{"the class note's way to the third lease", f.noteUp},
		timing{"bare QEMU to the third lease (the floor)", f.bare},
		timing{"`up` again: nothing to do", f.noop},
		timing{"`status`", f.status},
		timing{"`down`", f.down},
		timing{"the class note's way to take it down", f.noteDown}))
	median := func(s samples) float64 { return s.quantile(0.5) }
	b.WriteString("\n| ratio of medians | |\n|---|---|\n")
	fmt.Fprintf(&b, "| `up` / bare QEMU | %s |\n", ratio(median(f.up), median(f.bare)))
	fmt.Fprintf(&b, "| `up --cold` / bare QEMU | %s |\n", ratio(median(f.cold), median(f.bare)))
	fmt.Fprintf(&b, "| the class note's way / `up` | %s |\n", ratio(median(f.noteUp), median(f.up)))
	fmt.Fprintf(&b, "| the class note's way / `up --cold` | %s |\n", ratio(median(f.noteUp), median(f.cold)))
	fmt.Fprintf(&b, "| `down` / the class note's way | %s |\n", ratio(median(f.down), median(f.noteDown)))
	fmt.Fprintf(&b, "\nThe lab's supervisor has %.1f MiB of memory (proportional set), of which %.1f MiB are its own and the rest is the\n"+
		"program, which the supervisors of all labs share; it took %.2f s of processor time until the third lease.\n",
		median(f.supervisorPSS), median(f.supervisorOwn), median(f.supervisorCPU))
	b.WriteString("\nThe class note's way: `ip`, `openssl`, dnsmasq as it is packaged and `virsh create` of q35 guests, one after the other\n" +
		"(`internal/bench/labs_note.sh`). The floor: three QEMU processes of the same kernel and its options, initramfs and machine (microvm) on\n" +
		"ready taps, started together, with a DHCP server that answers at once (`internal/bench/labs_bare.sh`). All ways boot\n" +
		"the same image and get their host names over the same port; only `up` without `--cold` resumes its guests from a\n" +
		"template, which was made before the first round.\n")
	return b.String()
}
