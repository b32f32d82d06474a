package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/doctor"
)

// bootLab is one debian guest on a bridge with DHCP.
const bootLab = `version: 1
name: boot
bridges:
  - {name: br1, address: 10.5.0.1/24, dhcp: {range: [10.5.0.2-10.5.0.10]}}
guests:
  - {name: srv, image: debian, nics: [{bridge: br1}]}
`

const (
	bootStore = "/var/lib/kvmlab/images/debian" // of the private host
	bootLimit = 3 * time.Minute
	bootPoll  = 20 * time.Millisecond
)

// bootFigures are what was measured of one image, in seconds.
type bootFigures struct {
	digest, name string  // name: what it is, for people
	login, lease samples // from the start of QEMU
	cpu          samples // of QEMU, until there was a lease and a login
	chart        string  // of the last boot
}

// benchBoot measures the boot of a full guest. When the store holds more debian images than the present one, all of them
// have a turn in every round: what an image was before a change is measured beside what it is now.
func benchBoot(ctx context.Context, o options) (page string, err error) {
	now, err := os.Readlink(filepath.Join(bootStore, "current"))
	if err != nil {
		return "", fmt.Errorf("find the debian image: %w", err)
	}
	all, err := filepath.Glob(filepath.Join(bootStore, "*", "manifest.json"))
	if err != nil {
		return "", err
	}
	link := filepath.Join(bootStore, "current")
	defer func() { err = errors.Join(err, os.Remove(link), os.Symlink(now, link)) }()
	figures := []*bootFigures{{digest: now, name: "now"}}
	for _, manifest := range all {
		if digest := filepath.Base(filepath.Dir(manifest)); digest != now && digest != "current" {
			name, known := o.images[digest]
			if !known {
				name = "before, " + digest
			}
			figures = append(figures, &bootFigures{digest: digest, name: name})
		}
	}
	file := filepath.Join(o.dir, "boot.yaml")
	if err := os.WriteFile(file, []byte(bootLab), 0o600); err != nil {
		return "", err
	}
	rounds := o.labRounds()
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "", err
	}
	others, _, _ := strings.Cut(string(load), " ")
	for round := range rounds {
		for _, f := range figures {
			o.say("round %d of %d, image %s", round+1, rounds, f.digest)
			if err := f.measure(ctx, o, file, round == rounds-1); err != nil {
				return "", fmt.Errorf("image %s: %w", f.digest, err)
			}
		}
	}
	return bootPage(rounds, others, figures), nil
}

// measure boots the guest once. The private host's store is its own, so that the current image can be any.
func (f *bootFigures) measure(ctx context.Context, o options, file string, last bool) (err error) {
	link := filepath.Join(bootStore, "current")
	if err := errors.Join(os.Remove(link), os.Symlink(f.digest, link)); err != nil {
		return err
	}
	if _, err := o.timed(ctx, "up", "--plain", "--no-wait", file); err != nil {
		return err
	}
	pid, began, err := guestProcess("boot-srv")
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	look := time.NewTicker(bootPoll)
	defer look.Stop()
	login, lease := time.Duration(0), time.Duration(0)
	for login == 0 || lease == 0 {
		select {
		case <-limited.Done():
			return fmt.Errorf("login after %v, lease after %v: %w", login, lease, limited.Err())
		case <-look.C:
		}
		since := time.Since(began)
		if login == 0 && fileHas("/var/lib/kvmlab/labs/boot/console/srv.log", "login:") {
			login = since
		}
		if lease == 0 && leased("/var/lib/kvmlab/labs/boot/leases") {
			lease = since
		}
	}
	use, err := doctor.ReadUsage(pid)
	if err != nil {
		return err
	}
	f.login.add(login.Seconds())
	f.lease.add(lease.Seconds())
	f.cpu.add(use.CPU.Seconds())
	if last {
		if err := f.draw(ctx, o); err != nil {
			return err
		}
	}
	_, err = o.timed(ctx, "down", "--purge", "--yes")
	return err
}

// draw gets the boot chart, when all that starts by itself has started or a minute has passed.
func (f *bootFigures) draw(ctx context.Context, o options) error {
	const chart = `timeout 60 systemctl is-system-running --wait >/dev/null; systemd-analyze time | head -1; echo; systemd-analyze blame --no-pager; echo
		systemd-analyze critical-chain --no-pager | sed '1,/^$/d'`
	out, err := exec.CommandContext(ctx, o.kvmlab, "exec", "-n", "--wait", "3m", "srv", "--", "sh", "-c", chart).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemd-analyze: %w: %s", err, out)
	}
	f.chart = strings.TrimSpace(string(out))
	return nil
}

// guestProcess finds the QEMU of a domain, and when it began.
func guestProcess(domain string) (pid int, began time.Time, err error) {
	file := "/run/libvirt/qemu/" + domain + ".pid"
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, began, fmt.Errorf("find the guest's process: %w", err)
	}
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		return 0, began, fmt.Errorf("find the guest's process: %w", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, began, err
	}
	return pid, info.ModTime(), nil
}

// fileHas looks for a text in a file.
func fileHas(path, text string) bool {
	content, err := os.ReadFile(path)
	return err == nil && strings.Contains(string(content), text)
}

// leased reports whether somebody has a lease.
func leased(dir string) bool {
	leases, err := dhcp.ReadLeases(dir)
	return err == nil && slices.ContainsFunc(leases, func(l dhcp.Lease) bool { return l.State == dhcp.StateBound })
}

// bootPage writes the section.
func bootPage(rounds int, load string, figures []*bootFigures) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Boot of a full guest\n\nMeasured by `scripts/bench boot` on %s, in a private host, without hardware virtualisation, %d rounds in\n"+
		"which every image had its turn. The load by others was %s at the beginning: what is above the number of processors makes\n"+
		"the seconds longer, and the processor time hardly. Seconds from the start of QEMU, and of processor time that QEMU took\n"+
		"until both were there: median (least–greatest).\n\n"+
		"| image | login on the console | lease | processor |\n|---|---|---|---|\n", machine(), rounds, load)
	for _, f := range figures {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.name, f.login.spread(1), f.lease.spread(1), f.cpu.spread(1))
	}
	for _, f := range figures {
		fmt.Fprintf(&b, "\nThe boot chart by systemd-analyze, %s:\n\n```\n%s\n```\n", f.name, f.chart)
	}
	return b.String()
}
