package main

import (
	"fmt"
	"strings"
)

// wirePage writes the section on the capture.
func wirePage(all []floodFigures) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## The wire under a flood\n\nMeasured by `scripts/bench wire` on %s, in a private host. DHCP exchanges of four frames cross a lab's bridge;\n"+
		"the lab's supervisor records them, as it does for every lab, and `kvmlab capture -w FILE` takes them from it.\n\n", machine())
	b.WriteString("| asked for | exchanges/s | frames sent | interfaces count | in the file | told as dropped | unaccounted for | capture, MiB | supervisor, MiB |\n" +
		"|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range all {
		asked := fmt.Sprintf("%d/s for %d s", f.rate, f.seconds)
		if f.rate == 0 {
			asked = fmt.Sprintf("as fast as it goes for %d s", f.seconds)
		}
		fmt.Fprintf(&b, "| %s | %.0f | %d | %d | %d | %d | %d | %.0f | %.0f → %.0f |\n", asked, float64(f.sent)/4/f.took.Seconds(),
			f.sent, f.counted, f.captured, f.dropped, f.counted-f.captured-f.dropped, f.capture, f.before, f.recorder)
	}
	b.WriteString("\nMemory is the greatest resident set that the process had (VmHWM); the supervisor's is given before and after.\n")
	return b.String()
}
