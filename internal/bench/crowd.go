package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// benchCrowd brings several debian guests up at once on one bridge.
func benchCrowd(ctx context.Context, o options) (string, error) {
	sizes := []int{1, 5, 10}
	if o.quick {
		sizes = []int{1, 2}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "## Full guests at once\n\nMeasured by `scripts/bench crowd` on %s, in a private host, without hardware virtualisation:\n"+
		"a lab of so many debian guests on one bridge, from `up` to the last lease; of each guest the processor time of its QEMU\n"+
		"until then, and its proportional memory, once.\n\n"+
		"| guests | all leased | processor of one | memory of one | `down` |\n|---|---|---|---|---|\n", machine())
	for _, n := range sizes {
		row, err := o.crowd(ctx, n)
		if err != nil {
			return "", err
		}
		b.WriteString(row)
	}
	return b.String(), nil
}

// crowd measures one lab of n guests.
func (o options) crowd(ctx context.Context, n int) (row string, err error) {
	var text strings.Builder
	text.WriteString("version: 1\nname: crowd\nbridges:\n  - {name: br1, address: 10.5.0.1/24, dhcp: {range: [10.5.0.2-10.5.0.50]}}\nguests:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {name: srv%d, image: debian, nics: [{bridge: br1}]}\n", i+1)
	}
	file := filepath.Join(o.dir, "crowd.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return "", err
	}
	up, err := o.timed(ctx, "up", "--plain", "--wait", "10m", file)
	if err != nil {
		return "", err
	}
	_, cpu, pss, err := guestsUse("crowd-*")
	if err != nil {
		return "", err
	}
	down, err := o.timed(ctx, "down", "--purge", "--yes", "crowd")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("| %d | %.1f s | %.1f s | %.0f MiB | %.1f s |\n", n, up, cpu, pss, down), nil
}
