package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/doctor"
)

// memoryLab is one micro guest with so many MiB.
const memoryLab = `version: 1
name: memory
isolation: netns
bridges:
  - {name: br1, address: 192.168.1.1/24, dhcp: {range: [192.168.1.2-192.168.1.10]}}
guests:
  - {name: pc, memory: %dMiB, nics: [{bridge: br1}]}
`

// useTcpdump captures a packet in the guest.
const useTcpdump = "tcpdump -nc 1 -i lo icmp >/tmp/seen 2>/tmp/said & sleep 2; ping -c 1 127.0.0.1 >/dev/null; wait; grep -q 'echo re' /tmp/seen || { cat /tmp/said; exit 1; }"

// sizeFigures are what was measured of micro guests with so much memory.
type sizeFigures struct {
	mib           int
	boots         bool
	cold, resumed guestFigures
}

// guestFigures are what one guest needs, and whether it works.
type guestFigures struct {
	missing       string  // why it has no lease: a code, or words
	pss           float64 // MiB of QEMU when the guest has its lease
	worked        float64 // and when it has been worked in
	exec, tcpdump bool
}

// restFigures are what a lab needs with its leases, and when nobody works in it.
type restFigures struct {
	guests, rested             doctor.Usage // of three guests
	supervisor, restSupervisor doctor.Usage
	idle                       time.Duration // of the supervisor's processor time in restWatch
	ksm                        ksmFigures
}

const (
	// restAfter is when a supervisor has given back what it needed for the start.
	restAfter = 65 * time.Second
	// restWatch is how long a supervisor is watched to see what it does when there is nothing to do.
	restWatch = 20 * time.Second
)

// benchMemory measures how much memory a micro guest needs, and how much of it guests share.
func benchMemory(ctx context.Context, o options) (string, error) {
	m, err := findMicro(ctx)
	if err != nil {
		return "", err
	}
	if err := o.warmUp(ctx); err != nil {
		return "", err
	}
	sizes := []int{64, 80, 96, 120, 128}
	if o.quick {
		sizes = []int{64, 128}
	}
	var all []sizeFigures
	for _, mib := range sizes {
		o.say("a guest of %d MiB", mib)
		f, err := o.sizedGuest(ctx, m, mib)
		if err != nil {
			return "", fmt.Errorf("a guest of %d MiB: %w", mib, err)
		}
		all = append(all, f)
	}
	o.say("three guests of one template")
	rest, err := o.restingLab(ctx)
	if err != nil {
		return "", err
	}
	var clones []cloneFigures
	for _, way := range cloneWays() {
		o.say("three guests of bare QEMU, whose template's memory %s", way.name)
		f, err := bareClones(ctx, m, o.dir, way)
		if err != nil {
			return "", err
		}
		clones = append(clones, f)
	}
	return memoryPage(all, rest, clones), nil
}

// sizedGuest boots and resumes a guest with so much memory.
func (o options) sizedGuest(ctx context.Context, m micro, mib int) (f sizeFigures, err error) {
	f.mib = mib
	if f.boots, err = boots(ctx, m, o.dir, mib); err != nil {
		return f, err
	}
	file := filepath.Join(o.dir, "memory.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, memoryLab, mib), 0o600); err != nil {
		return f, err
	}
	if f.cold, err = o.guest(ctx, "--cold", file); err != nil {
		return f, err
	}
	// The first one that is resumed makes the template.
	if f.resumed, err = o.guest(ctx, file); err == nil && f.resumed.missing == "" {
		f.resumed, err = o.guest(ctx, file)
	}
	return f, err
}

// guest brings the lab up, works in its guest, and takes it down.
func (o options) guest(ctx context.Context, args ...string) (f guestFigures, err error) {
	said, err := o.run(ctx, append([]string{"up", "--plain", "--wait", "60s"}, args...)...)
	if err != nil && ctx.Err() == nil {
		o.say("%v", err)
		return guestFigures{missing: whyNot(said)}, nil // it is gone again
	}
	if err != nil {
		return f, err
	}
	defer func() {
		_, downErr := o.run(ctx, "down")
		err = errors.Join(err, downErr)
	}()
	if strings.Contains(said, "KL321") {
		f.missing = "KL321"
	}
	if _, _, f.pss, err = guestsUse("memory-pc"); err != nil {
		return f, err
	}
	_, execErr := o.run(ctx, "exec", "-n", "--wait", "30s", "pc", "--", "true")
	f.exec = execErr == nil
	if f.exec {
		_, execErr = o.run(ctx, "exec", "-n", "pc", "--", "sh", "-c", useTcpdump)
		f.tcpdump = execErr == nil
	}
	_, _, f.worked, err = guestsUse("memory-pc")
	return f, err
}

// whyNot finds the code of an error in what kvmlab said.
func whyNot(said string) string {
	_, rest, ok := strings.Cut(said, "error[")
	code, _, _ := strings.Cut(rest, "]")
	if !ok {
		return "no"
	}
	return code
}

// restingLab brings up the class's lab and leaves it alone.
func (o options) restingLab(ctx context.Context) (f restFigures, err error) {
	if _, err := o.timed(ctx, "up", "--plain", "--isolate"); err != nil {
		return f, err
	}
	defer func() {
		_, downErr := o.timed(ctx, "down")
		err = errors.Join(err, downErr)
	}()
	began := time.Now()
	supervisor, err := o.supervisorPID(ctx)
	if err != nil {
		return f, err
	}
	if f.supervisor, err = doctor.ReadUsage(supervisor); err != nil {
		return f, err
	}
	pids, err := processesOf("three-taps-*")
	if err != nil {
		return f, err
	}
	if f.guests, err = doctor.ReadUsages(pids); err != nil || o.quick {
		return f, err
	}
	if err := pause(ctx, time.Until(began.Add(restAfter))); err != nil {
		return f, err
	}
	if f.restSupervisor, err = doctor.ReadUsage(supervisor); err != nil {
		return f, err
	}
	if err := pause(ctx, restWatch); err != nil {
		return f, err
	}
	after, err := doctor.ReadUsage(supervisor)
	if err != nil {
		return f, err
	}
	f.idle = after.CPU - f.restSupervisor.CPU
	f.ksm, err = mergePages(ctx, o.labAnew, func() error {
		pids, err := processesOf("three-taps-*")
		if err == nil {
			f.rested, err = doctor.ReadUsages(pids)
		}
		return err
	})
	return f, err
}

// labAnew brings the lab down and up.
func (o options) labAnew(ctx context.Context) error {
	if _, err := o.timed(ctx, "down"); err != nil {
		return err
	}
	_, err := o.timed(ctx, "up", "--plain", "--isolate")
	return err
}

// ksmFigures are what the kernel's merging of equal pages has done.
type ksmFigures struct {
	missing string // why it could not be measured
	took    time.Duration
	sharing float64 // MiB that are mapped to a page which others have, too
	shared  float64 // MiB of such pages
}

const (
	ksmDir = "/sys/kernel/mm/ksm/"
	// ksmPages is how many pages are looked at in each of ksmd's turns, fifty a second: a class's memory in seconds.
	ksmPages = "5000"
	// ksmScans is after how many scans of all memory nothing more is merged: the first only learns what does not change.
	ksmScans = 4
	ksmLimit = 2 * time.Minute
)

// mergePages has the kernel merge equal pages of those processes that offer theirs, as QEMU does for the guests that begin
// makes, while look reads what is left. The setting is the machine's, and is put back: kvmlab itself never touches it.
func mergePages(ctx context.Context, begin func(context.Context) error, look func() error) (f ksmFigures, err error) {
	for _, set := range [][2]string{{"pages_to_scan", ksmPages}, {"run", "1"}} {
		old, err := os.ReadFile(ksmDir + set[0])
		if errors.Is(err, os.ErrNotExist) {
			return ksmFigures{missing: "this kernel cannot merge pages"}, nil
		}
		if err == nil {
			err = os.WriteFile(ksmDir+set[0], []byte(set[1]), 0)
		}
		if err != nil {
			return ksmFigures{missing: "it could not be switched on: " + err.Error()}, nil
		}
		defer func() { err = errors.Join(err, os.WriteFile(ksmDir+set[0], old, 0)) }()
	}
	if err := begin(ctx); err != nil {
		return f, err
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, ksmLimit)
	defer cancel()
	first, err := ksmCount("full_scans")
	for scans := first; err == nil && scans < first+ksmScans; scans, err = ksmCount("full_scans") {
		if pause(limited, barePoll) != nil {
			break // what has been merged by now
		}
	}
	f.took = time.Since(began)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return f, err
	}
	sharing, err := ksmCount("pages_sharing")
	if err != nil {
		return f, err
	}
	shared, err := ksmCount("pages_shared")
	if err != nil {
		return f, err
	}
	page := float64(os.Getpagesize()) / (1 << 20)
	f.sharing, f.shared = float64(sharing)*page, float64(shared)*page
	return f, look()
}

// ksmCount reads one of the kernel's counters (Documentation/admin-guide/mm/ksm.rst).
func ksmCount(name string) (int, error) {
	text, err := os.ReadFile(ksmDir + name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
