package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/doctor"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/vm"
)

const (
	// settleTime is how long guests have something left to do after their leases. idleTime is how long a lab is then
	// watched to see how busy it keeps the processors when nobody works in it.
	settleTime = 5 * time.Second
	idleTime   = 5 * time.Second
	// classProbe is the name of the lab that is measured.
	classProbe = "doctor-class"
	// workDisk is room for what a student does on a guest's disk, in MiB, beside what the boot writes.
	workDisk = 512
)

// classCapacity is `kvmlab doctor --class N -o json`.
type classCapacity struct {
	Scenario     string          `json:"scenario"`
	Asked        int             `json:"asked"`
	Fit          int             `json:"fit"`
	First        doctor.Resource `json:"runs_out_first"`
	MemoryMiB    float64         `json:"memory_mib"`    // of one lab
	BootSeconds  float64         `json:"boot_seconds"`  // processor time of one lab
	IdleCores    float64         `json:"idle_cores"`    // of one lab
	DiskMiB      float64         `json:"disk_mib"`      // of one lab
	ReadySeconds float64         `json:"ready_seconds"` // of all that were asked for, estimated
}

// runDoctorClass brings one lab up, isolated, measures it, and says how many of its kind fit.
func runDoctorClass(ctx context.Context, a *app, asked int, scenario string) (err error) {
	up := &upOptions{app: a, accel: accelAuto, isolate: true, name: classProbe, what: scenario}
	spec, _, err := up.spec()
	if err != nil {
		return err
	}
	up.begins = beginning{} // it is measured, not done
	needs := doctor.ClassNeeds{Cores: runtime.NumCPU()}
	for _, g := range spec.Guests {
		if g.Image.Or(lab.DefaultImage) != lab.DefaultImage {
			needs.Disk += workDisk
		}
	}
	if needs.FreeMemory, needs.FreeDisk, err = freeForLabs(a); err != nil {
		return err
	}
	a.say("doctor.class.begin", "scenario", spec.Name.Value)
	draft, resolve, err := up.lab()
	if err != nil {
		return err
	}
	name := draft.Name
	h, err := openHost(ctx, a, hostOptions{accel: up.accel})
	if err != nil {
		return err
	}
	defer func() {
		_, downErr := h.Down(context.WithoutCancel(ctx), name)
		_, diskErr := removeDisks(a.dirs, name)
		err = errors.Join(err, downErr, diskErr, h.Close())
	}()
	if _, err := up.bringUp(ctx, h, name, resolve, newUpScreen(a, false)); err != nil {
		return err
	}
	if err := measureLab(ctx, h, name, &needs); err != nil {
		return err
	}
	return showClassNeeds(a, spec.Name.Value, asked, needs)
}

// freeForLabs reads how much memory and disk is free, in MiB.
func freeForLabs(a *app) (memory, disk float64, err error) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("read free memory: %w", err)
	}
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemAvailable:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				return 0, 0, fmt.Errorf("read free memory: %w", err)
			}
			memory = kib / 1024
		}
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(a.dirs.State, &fs); err != nil {
		return 0, 0, fmt.Errorf("read free disk: %w", err)
	}
	return memory, float64(fs.Bavail) * float64(fs.Bsize) / (1 << 20), nil
}

// measureLab reads what the processes of a lab use, at once and after a while.
func measureLab(ctx context.Context, h *host, name string, needs *doctor.ClassNeeds) error {
	seen, err := h.Status(ctx, name)
	if err != nil {
		return err
	}
	pids := []int{seen.Supervisor.PID}
	for _, d := range seen.Domains {
		pid, err := qemuPID(d.Name)
		if err != nil {
			return err
		}
		pids = append(pids, pid)
	}
	var uses [3]doctor.Usage // with the leases, settled, and after having been idle
	for i, pause := range []time.Duration{0, settleTime, idleTime} {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		if uses[i], err = doctor.ReadUsages(pids); err != nil {
			return err
		}
	}
	needs.Boot, needs.Memory = uses[0].CPU, uses[2].PSS
	needs.Idle = (uses[2].CPU - uses[1].CPU).Seconds() / idleTime.Seconds()
	return nil
}

// qemuPID is the process of a domain, from the file in which libvirt's QEMU driver keeps it.
func qemuPID(domain string) (int, error) {
	text, err := os.ReadFile("/run/libvirt/qemu/" + domain + ".pid")
	if err != nil {
		return 0, fmt.Errorf("find the process of %s: %w", domain, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("find the process of %s: %w", domain, err)
	}
	return pid, nil
}

// showClassNeeds prints the verdict; its error says that the class does not fit.
func showClassNeeds(a *app, scenario string, asked int, needs doctor.ClassNeeds) error {
	fit, first := needs.Limit()
	report := classCapacity{
		Scenario: scenario, Asked: asked, Fit: fit, First: first, MemoryMiB: math.Round(needs.Memory),
		BootSeconds: needs.Boot.Seconds(), IdleCores: needs.Idle, DiskMiB: needs.Disk, ReadySeconds: needs.Ready(asked).Seconds(),
	}
	if a.wantsJSON() {
		if err := a.printJSON(report); err != nil {
			return err
		}
	} else {
		a.Outf("%s\n", a.T("doctor.class.one", "scenario", scenario, "memory", fmt.Sprintf("%.0f", needs.Memory),
			"boot", fmt.Sprintf("%.1f", needs.Boot.Seconds()), "idle", fmt.Sprintf("%.1f", 100*needs.Idle)))
		for _, resource := range []doctor.Resource{doctor.Memory, doctor.Processor, doctor.Disk} {
			if labs, limited := needs.Fits()[resource]; limited {
				a.Outf("  %s\n", a.T("doctor.class."+resource.String(), "labs", labs, "memory", fmt.Sprintf("%.1f", needs.FreeMemory/1024),
					"disk", fmt.Sprintf("%.1f", needs.FreeDisk/1024), "cores", needs.Cores))
			}
		}
		if on, possible := vm.Merging(); first == doctor.Memory && possible && !on {
			a.Outf("%s\n", a.T("doctor.class.ksm"))
		}
	}
	if fit < asked {
		return diag.New(diag.ClassTooLarge, diag.Args{"asked": asked, "fit": fit, "what": "the " + first.String()})
	}
	if !a.wantsJSON() {
		a.Outf("%s\n", a.T("doctor.class.fits", "asked", asked, "seconds", fmt.Sprintf("%.0f", needs.Ready(asked).Seconds())))
	}
	return nil
}
