package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Limits that only a hang reaches: everything is slow in an emulated computer, and slower on a busy machine.
const (
	bootLimit    = 10 * time.Minute
	commandLimit = 10 * time.Minute
)

// shutdownLimit is how long an orderly shutdown may take with a lab up. On a machine on which booting takes longer than
// that, so may shutting down.
const shutdownLimit = time.Minute

// whole is a host on which kvmlab lives, and what is remembered of it from step to step.
type whole struct {
	img           image
	disk, payload string
	logs          string // the directory of the consoles' transcripts

	host   *host
	seat   *seat
	booted time.Duration // how long the last boot took, from power on, or reboot, to the login
	guests []guest       // as they were when the lab first came up
}

// guest is what must be the same after a reboot.
type guest struct {
	Name, State string
	NICs        []struct {
		Tap, MAC string
		Lease    struct{ Address, State string }
	}
}

// TestWholeHost installs the package KVMLAB_DEBIAN_HOST (a file) on a whole Debian host, and uses it there as somebody
// would: scripts/debian-host --test.
func TestWholeHost(t *testing.T) {
	deb := os.Getenv("KVMLAB_DEBIAN_HOST")
	if deb == "" {
		t.Skip("a whole Debian host takes its time: sudo scripts/debian-host --test")
	}
	w := prepare(t, deb)
	for _, step := range []struct {
		name string
		do   func(*whole, *testing.T)
		must bool // nothing that follows makes sense without it
	}{
		{"boot", (*whole).boot, true},
		{"before", (*whole).before, true},
		{"install", (*whole).install, true},
		{"doctor", (*whole).doctor, false},
		{"up", (*whole).up, true},
		{"exec", (*whole).exec, false},
		{"check", (*whole).check, false},
		{"confined", (*whole).confined, false},
		{"network manager", (*whole).networkManager, false},
		{"journal", (*whole).journal, false},
		{"reboot", (*whole).reboot, true},
		{"status after the reboot", (*whole).wantDown, false},
		{"up after the reboot", (*whole).upAgain, true},
		{"power cut", (*whole).powerCut, true},
		{"status after the power cut", (*whole).wantDown, false},
		{"up after the power cut", (*whole).upAgain, true},
		{"journal at the end", (*whole).journal, false},
		{"down", (*whole).down, true},
		{"purge", (*whole).purge, true},
		{"as before", (*whole).asBefore, false},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(w, t) }) && step.must {
			t.Fatal("the other steps need this one")
		}
	}
}

// prepare makes a disk for the host, and one with what it is to be given.
func prepare(t *testing.T, deb string) *whole {
	t.Helper()
	img, release, err := cache{dir: cacheDir, log: t.Output()}.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w := &whole{img: img, disk: filepath.Join(dir, "disk.qcow2"), payload: filepath.Join(dir, "payload.tar"), logs: t.ArtifactDir()}
	t.Logf("what the consoles say is in %s", w.logs)
	t.Cleanup(func() {
		if w.host != nil {
			w.host.cutPower()
		}
		if err := release(); err != nil {
			t.Error(err)
		}
	})
	if err := makeDisk(t.Context(), img, w.disk); err != nil {
		t.Fatal(err)
	}
	payload, err := os.Create(w.payload)
	if err != nil {
		t.Fatal(err)
	}
	defer payload.Close()
	if err := writePayload(payload, map[string]string{"kvmlab.deb": deb, "snapshot.sh": "testdata/snapshot.sh"}); err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs a command line as the ordinary user and wants it to succeed.
func (w *whole) run(t *testing.T, line string) string {
	t.Helper()
	out, status := w.try(t, line)
	if status != 0 {
		t.Fatalf("%s: status %d\n%s", line, status, out)
	}
	return out
}

// try runs a command line as the ordinary user.
func (w *whole) try(t *testing.T, line string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
	defer cancel()
	out, status, err := w.seat.run(ctx, line)
	if err != nil {
		t.Fatalf("%v\nand of the kernel's console:\n%s", err, w.host.kernel.tail())
	}
	return out, status
}

func (w *whole) boot(t *testing.T) {
	t.Helper()
	h, err := start(context.WithoutCancel(t.Context()), w.img, w.disk, w.payload, w.logs) // it outlives this step
	if err != nil {
		t.Fatal(err)
	}
	w.host = h
	w.takeSeat(t)
}

// takeSeat waits for the login of a host that boots, and for the end of its boot.
func (w *whole) takeSeat(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	begun := time.Now()
	s, err := logIn(ctx, w.host.user)
	if err != nil {
		t.Fatalf("%v\nand of the kernel's console:\n%s", err, w.host.kernel.tail())
	}
	w.seat, w.booted = s, time.Since(begun)
	t.Logf("from power on to a shell: %.0f s", w.booted.Seconds())
	if out, status := w.try(t, "systemctl is-system-running --wait"); status != 0 {
		failed, _ := w.try(t, "systemctl --failed --no-pager --plain --no-legend; sudo journalctl -b -p err --no-pager | tail -40")
		t.Errorf("the system is %s:\n%s", out, failed)
	}
}

func (w *whole) before(t *testing.T) {
	t.Helper()
	w.run(t, "sudo tar -C /media -xf /dev/vdb && sudo sh /media/snapshot.sh >/var/tmp/before")
}

func (w *whole) install(t *testing.T) {
	t.Helper()
	begun := time.Now()
	out := w.run(t, "sudo DEBIAN_FRONTEND=noninteractive apt-get install -y /media/kvmlab.deb")
	t.Logf("%.0f s: %s\n%s", time.Since(begun).Seconds(), w.run(t, "kvmlab version"), out)
}

func (w *whole) doctor(t *testing.T) {
	t.Helper()
	begun := time.Now()
	out := w.run(t, "sudo kvmlab doctor")
	t.Logf("%.0f s:\n%s", time.Since(begun).Seconds(), out)
}

func (w *whole) up(t *testing.T) {
	t.Helper()
	begun := time.Now()
	out := w.run(t, "sudo kvmlab up")
	t.Logf("three leases after %.0f s:\n%s", time.Since(begun).Seconds(), out)
	w.guests = w.lab(t)
}

// lab returns the guests of the lab, which must be up: all of them run and have their leases.
func (w *whole) lab(t *testing.T) []guest {
	t.Helper()
	state, guests := w.status(t)
	if state != "up" || len(guests) != 3 {
		t.Errorf("the lab is %q with %d guests: %v", state, len(guests), guests)
	}
	for _, g := range guests {
		if g.State != "running" || len(g.NICs) != 1 || g.NICs[0].Lease.State != "bound" {
			t.Errorf("a guest does not run with a lease: %+v", g)
		}
	}
	return guests
}

func (w *whole) status(t *testing.T) (state string, guests []guest) {
	t.Helper()
	var status struct {
		Labs []struct {
			State  string
			Guests []guest
		}
	}
	out := w.run(t, "sudo kvmlab status -o json 2>/dev/null")
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("status: %v\n%s", err, out)
	}
	if len(status.Labs) != 1 {
		t.Fatalf("%d labs, want one:\n%s", len(status.Labs), out)
	}
	return status.Labs[0].State, status.Labs[0].Guests
}

func (w *whole) exec(t *testing.T) {
	t.Helper()
	if got := w.run(t, "sudo kvmlab exec pc1 hostname"); got != "pc1" {
		t.Errorf("pc1 calls itself %q", got)
	}
	for _, g := range w.guests[1:] {
		w.run(t, "sudo kvmlab exec pc1 -- ping -c 1 "+g.NICs[0].Lease.Address)
	}
}

// check answers the questions of the exercise from its own capture.
func (w *whole) check(t *testing.T) {
	t.Helper()
	out, status := w.try(t, "sudo kvmlab check three-taps --answer discover-mac=ff:ff:ff:ff:ff:ff --answer server-port=67")
	t.Logf("status %d:\n%s", status, out)
	for _, name := range []string{"The three taps are plugged into br1", "DISCOVER, OFFER, REQUEST and ACK", "reach each other"} {
		if !regexp.MustCompile(`(?m)^ok .*` + name).MatchString(out) {
			t.Errorf("not passed: %s", name)
		}
	}
}

// confined: each guest's QEMU has an AppArmor profile of its own, which is enforced and has refused it nothing.
func (w *whole) confined(t *testing.T) {
	t.Helper()
	profiles := strings.Fields(w.run(t, `for p in $(pgrep -f '^/usr/bin/qemu-system'); do sudo cat /proc/$p/attr/current | tr ' ' _; done`))
	slices.Sort(profiles)
	if len(slices.Compact(profiles)) != len(w.guests) {
		t.Errorf("%d guests have the profiles %q", len(w.guests), profiles)
	}
	for _, profile := range profiles {
		if !regexp.MustCompile(`^libvirt-[0-9a-f-]{36}_\(enforce\)$`).MatchString(profile) {
			t.Errorf("a guest is confined by %q", profile)
		}
	}
	w.nothingDenied(t)
}

func (w *whole) nothingDenied(t *testing.T) {
	t.Helper()
	if out, _ := w.try(t, `sudo journalctl -k -b --no-pager -o cat | grep -F 'apparmor="DENIED"'`); out != "" {
		t.Errorf("AppArmor has denied:\n%s", out)
	}
}

// networkManager leaves the lab's links alone.
func (w *whole) networkManager(t *testing.T) {
	t.Helper()
	var got []string
	for line := range strings.Lines(w.run(t, "nmcli -t -f DEVICE,STATE device")) {
		got = append(got, strings.TrimSpace(line))
	}
	slices.Sort(got)
	want := []string{"br1:unmanaged", "lo:unmanaged", "tap1:unmanaged", "tap2:unmanaged", "tap3:unmanaged"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("NetworkManager's devices (-want +got):\n%s", d)
	}
}

// journal holds no warning of kvmlab's units and programs, no unit has failed, and nothing was denied.
func (w *whole) journal(t *testing.T) {
	t.Helper()
	if out := w.run(t, "systemctl --failed --no-pager --plain --no-legend"); out != "" {
		t.Errorf("failed units:\n%s", out)
	}
	if out := w.run(t, "sudo journalctl -q -b -p warning --no-pager -u 'kvmlab*' -t kvmlab"); out != "" {
		t.Errorf("the journal has of kvmlab:\n%s", out)
	}
	w.nothingDenied(t)
}

// reboot shuts the host down in order, with the lab up.
func (w *whole) reboot(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	w.host.kernel.skip()
	begun := time.Now()
	if err := w.seat.write("sudo systemctl reboot\n"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.host.kernel.expect(ctx, regexp.MustCompile(`reboot: Restarting system`)); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	t.Logf("shut down after %.0f s", took.Seconds())
	if took > max(shutdownLimit, w.booted) {
		t.Errorf("it took %.0f s to shut down with a lab up; to boot, %.0f s", took.Seconds(), w.booted.Seconds())
	}
	w.takeSeat(t)
}

func (w *whole) wantDown(t *testing.T) {
	t.Helper()
	t.Logf("%s", w.run(t, "sudo kvmlab status"))
	if state, _ := w.status(t); state == "up" {
		t.Errorf("the lab is %q, and nothing of it can run", state)
	}
}

// upAgain brings the lab back: the guests have the addresses that they had.
func (w *whole) upAgain(t *testing.T) {
	t.Helper()
	begun := time.Now()
	out := w.run(t, "sudo kvmlab up")
	t.Logf("three leases after %.0f s:\n%s", time.Since(begun).Seconds(), out)
	if d := cmp.Diff(w.guests, w.lab(t)); d != "" {
		t.Errorf("guests (-before +now):\n%s", d)
	}
	w.nothingDenied(t)
}

func (w *whole) powerCut(t *testing.T) {
	t.Helper()
	w.host.cutPower()
	w.boot(t)
}

func (w *whole) down(t *testing.T) {
	t.Helper()
	begun := time.Now()
	out := w.run(t, "sudo kvmlab down")
	t.Logf("%.0f s:\n%s", time.Since(begun).Seconds(), out)
	if out := w.run(t, "sudo virsh --quiet list --all"); out != "" {
		t.Errorf("libvirt still has:\n%s", out)
	}
	if out := w.run(t, "ip -o link show | grep -c ."); out != "1" {
		t.Errorf("links are left:\n%s", w.run(t, "ip link show"))
	}
}

func (w *whole) purge(t *testing.T) {
	t.Helper()
	t.Log(w.run(t, "sudo apt-get purge -y kvmlab"))
}

// asBefore: nothing tells that kvmlab ever was on this host.
func (w *whole) asBefore(t *testing.T) {
	t.Helper()
	out, status := w.try(t, "sudo sh /media/snapshot.sh >/var/tmp/after; diff /var/tmp/before /var/tmp/after")
	if status != 0 {
		t.Errorf("what has changed (status %d):\n%s", status, out)
	}
}
