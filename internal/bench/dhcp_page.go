package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// syncTime measures fdatasync of a small append to a preallocated file, as a lease journal does it.
func syncTime(dir string) (times samples, err error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block := make([]byte, 128)
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	for i := range 500 {
		began := time.Now()
		if _, err := f.WriteAt(block, int64(i*len(block))); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, fmt.Errorf("fdatasync: %w", err)
		}
		times.add(time.Since(began).Seconds())
	}
	return times, nil
}

// dhcpSection writes the page's section.
func dhcpSection(p plan, present []contender, results map[string]*figures, sync, start samples) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "## DHCP\n\n`sudo scripts/bench dhcp` on %s, %s.\n", time.Now().UTC().Format(time.DateOnly), machine())
	fmt.Fprintf(&b, "fdatasync of 128 bytes where the leases are: median %s, p99 %s.\n\n",
		span(seconds(sync.quantile(0.5))), span(seconds(sync.quantile(0.99))))
	fmt.Fprintf(&b, "Each server has a pair of network namespaces and a veth of its own; all run at once and are measured in turn, "+
		"%d rounds of %v (%d and %v with 50,000 clients). One exchange is DISCOVER, OFFER, REQUEST, ACK; the generator is a closed "+
		"loop that always has the said number under way. Rates are exchanges per second: the median of the rounds, and the least "+
		"and the greatest.\n\n", p.rounds, p.many, p.largeRounds, p.large)
	kea := results["Kea"]
	if kea == nil {
		kea = &figures{}
	}
	part := func(title string, of func(*figures) *rounds, note func(*figures) string) {
		fmt.Fprintf(&b, "### %s\n\n| server | exchanges/s | × Kea | median | p99 | lost |\n|---|---|---|---|---|---|\n", title)
		for _, c := range present {
			r := of(results[c.name])
			fmt.Fprintf(&b, "| %s%s | %s | %s | %s | %s | %d |\n", c.name, note(results[c.name]), r.rate,
				ratio(r.rate.quantile(0.5), of(kea).rate.quantile(0.5)), span(r.time(0.5)), span(r.time(0.99)), r.lost)
		}
		b.WriteByte('\n')
	}
	plain := func(*figures) string { return "" }
	part("64 outstanding, 500 clients on a /22", func(f *figures) *rounds { return &f.many }, plain)
	part("64 outstanding, 50,000 clients on a /15", func(f *figures) *rounds { return &f.large }, func(f *figures) string {
		if f.loaded >= p.moreClients {
			return ""
		}
		return fmt.Sprintf(" (%s had a lease before)", number(float64(f.loaded)))
	})
	part("1 outstanding, 500 clients on a /22", func(f *figures) *rounds { return &f.single }, plain)

	fmt.Fprintf(&b, "### perfdhcp\n\nThe greatest rate with at most %d %% drops in %d s, found in %d steps (500 clients, as a relay, `-g single`).\n\n"+
		"| server | exchanges/s | drops | × Kea |\n|---|---|---|---|\n", dropLimit, p.perfPeriod, p.perfTrials)
	for _, c := range present {
		if r := results[c.name].perf; r.rate > 0 {
			fmt.Fprintf(&b, "| %s | %s | %.2f %% | %s |\n", c.name, number(r.rate), r.drops, ratio(r.rate, kea.perf.rate))
		}
	}
	fmt.Fprintf(&b, "\n### Start\n\n`kvmlab dhcp serve` with %s leases in its journal is ready after %s (median; %s–%s).\n\n",
		number(float64(p.leases)), span(seconds(start.quantile(0.5))), span(seconds(start.quantile(0))), span(seconds(start.quantile(1))))
	b.WriteString(whatHolds(results["kvmlab"], results["echo"], sync))
	b.WriteString("### Configurations\n\nA lease is for an hour; router and DNS server are told.\n\n")
	for _, c := range present {
		fmt.Fprintf(&b, "- %s%s: %s\n", c.name, version(c), c.about)
	}
	return b.String(), nil
}

// whatHolds takes kvmlab's times apart, with those of the echo, which has nothing to do.
func whatHolds(kvmlab, echo *figures, sync samples) string {
	if kvmlab == nil || echo == nil {
		return ""
	}
	one, nothing, disk := kvmlab.single.time(0.5), echo.single.time(0.5), seconds(sync.quantile(0.5))
	rate := kvmlab.many.rate.quantile(0.5)
	return fmt.Sprintf("### What holds kvmlab's times\n\nOne client at a time waits %s, the median: machine and generator take %s (that of echo), and one "+
		"fdatasync, measured alone, takes %s.\n\nWith %d under way an exchange takes %s at the rate above, for each waits behind "+
		"the others; and generator and server share %d processors, which makes the slowest hundredth of echo wait for %s.\n\n",
		span(one), span(nothing), span(disk),
		outstanding, span(seconds(outstanding/rate)), runtime.NumCPU(), span(echo.many.time(0.99)))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// machine says what the numbers were measured on.
func machine() string {
	model, kernel := runtime.GOARCH, ""
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for in := bufio.NewScanner(bytes.NewReader(data)); in.Scan(); {
			if name, value, ok := strings.Cut(in.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%d × %s, Linux %s, %s", runtime.NumCPU(), model, kernel, runtime.Version())
}

// version is that of the server's Debian package.
func version(c contender) string {
	pkg := map[string]string{"kea-dhcp4": "kea-dhcp4-server", "dhcpd": "isc-dhcp-server", "dnsmasq": "dnsmasq-base"}[c.program]
	if pkg == "" {
		return ""
	}
	out, err := exec.Command("dpkg-query", "--show", "--showformat=${Version}", pkg).Output() //nolint:noctx // it is a look-up
	if err != nil {
		return ""
	}
	return " " + string(out)
}
