package vm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errBootLimit is the cause of a trial's context that its time limit ended.
var errBootLimit = errors.New("trial boot took too long")

// trialBoot runs QEMU by itself, as QEMU's own user, and reads the guest's
// serial console until the mark comes. The outcome is conclusive unless the
// time ran out before the guest had the CPU for long enough.
func trialBoot(ctx context.Context, o ProbeOptions, way Attempt) (a Attempt, conclusive bool, err error) {
	limit := o.TCGLimit
	if way.Accel == AccelKVM {
		limit = kvmBootLimit
	}
	trial, cancel := context.WithTimeoutCause(ctx, limit, errBootLimit)
	defer cancel()
	run, err := runTrial(trial, o, way)
	switch {
	case err != nil:
		return way, false, err
	case run.marked:
		way.Booted = true
		return way, true, nil
	case ctx.Err() != nil:
		return way, false, context.Cause(ctx)
	case trial.Err() != nil:
		way.Reason, way.late = fmt.Sprintf("no sign of user space after %v", limit), true
		return way, run.cpu >= conclusiveCPU, nil
	default:
		way.Reason = "QEMU stopped: " + run.lastWords
		return way, true, nil
	}
}

// trialRun is what a trial's QEMU did.
type trialRun struct {
	marked    bool
	cpu       time.Duration
	lastWords string
}

// runTrial runs one QEMU to its mark, its own end, or the end of ctx.
func runTrial(ctx context.Context, o ProbeOptions, way Attempt) (trialRun, error) {
	// The kernel kills QEMU when the thread that started it ends, so the thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	cmd := exec.CommandContext(ctx, o.Emulator, trialArgs(o, way)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{
			Uid: uint32(o.User.UID), Gid: uint32(o.User.GID), Groups: groupsOf(o.User),
		}
	}
	cmd.Dir = "/"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	serial, err := cmd.StdoutPipe()
	if err != nil {
		return trialRun{}, fmt.Errorf("start %s: %w", o.Emulator, err)
	}
	if err := cmd.Start(); err != nil {
		return trialRun{}, fmt.Errorf("start %s: %w", o.Emulator, err)
	}
	run := trialRun{marked: awaitMark(serial)}
	cancel()
	// How it ended is of no interest: it was killed, or it has said why.
	_ = cmd.Wait()
	run.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	run.lastWords = lastWords(stderr.String(), cmd.ProcessState)
	return run, nil
}

// awaitMark reads until the mark or the end.
func awaitMark(serial io.Reader) bool {
	lines := bufio.NewScanner(serial)
	for lines.Scan() {
		if strings.Contains(lines.Text(), BootMark) {
			return true
		}
	}
	return false
}

// lastWords is QEMU's first complaint, or else how the process ended.
func lastWords(stderr string, state *os.ProcessState) string {
	if words := complaint(stderr); words != "" {
		return words
	}
	return state.String()
}

// trialArgs is the guest that Domain.XML describes, without network cards and
// channels, with its serial console on standard output.
func trialArgs(o ProbeOptions, way Attempt) []string {
	cpu := tcgCPU + ",+" + tcgRandom + ",+" + tcgTimer
	if way.Accel == AccelKVM {
		cpu = "host"
	}
	return []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", way.Machine.String(), "-accel", way.Accel.String(), "-cpu", cpu,
		"-m", strconv.FormatUint(o.MemoryKiB, 10) + "K",
		"-kernel", o.Kernel, "-initrd", o.Initrd, "-append", kernelArgs(o.Cmdline, way.Accel, o.TSCkHz),
		"-chardev", "stdio,id=serial,signal=off", "-device", "isa-serial,chardev=serial",
	}
}
