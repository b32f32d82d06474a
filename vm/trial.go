package vm

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// errBootLimit is the cause of a trial's context that its time limit ended.
var errBootLimit = errors.New("trial boot took too long")

// trialBoot runs QEMU by itself, as QEMU's own user, and reads the guest's
// serial console until the mark comes. measure, for a guest under KVM, is what
// one without took. The outcome is conclusive unless the time ran out before the
// guest had the CPU for long enough.
func trialBoot(ctx context.Context, o ProbeOptions, way Attempt, measure *yardstick) (a Attempt, conclusive bool, err error) {
	limit := o.TCGLimit
	if way.Accel == AccelKVM {
		limit = kvmBootLimit
	}
	limited, cancel := context.WithTimeoutCause(ctx, limit, errBootLimit)
	defer cancel()
	trial, giveUp := context.WithCancelCause(limited)
	defer giveUp(nil)
	var signs vitals
	if way.Accel == AccelKVM {
		var watched sync.WaitGroup
		watched.Go(func() { signs.watch(trial, measure, giveUp) })
		defer watched.Wait()
	}
	run, err := runTrial(trial, o, way, &signs)
	giveUp(nil)

	var stalled *stalledError
	switch cause := context.Cause(trial); {
	case err != nil:
		return way, false, err
	case run.marked:
		way.Booted, way.CPU = true, run.cpu
		return way, true, nil
	case ctx.Err() != nil:
		return way, false, context.Cause(ctx)
	case errors.As(cause, &stalled):
		way.Reason, way.stalled = stalled.Error(), true
		if run.complaint != "" {
			way.Reason += ": " + run.complaint
		}
		return way, true, nil
	case errors.Is(cause, errBootLimit):
		way.Reason, way.late = fmt.Sprintf("no sign of user space after %v", limit), true
		return way, run.cpu >= conclusiveCPU, nil
	default:
		way.Reason = "QEMU stopped: " + cmp.Or(run.complaint, run.end)
		return way, true, nil
	}
}

// trialRun is what a trial's QEMU did.
type trialRun struct {
	marked    bool
	cpu       time.Duration
	complaint string // QEMU's first, if any
	end       string // how the process ended
}

// runTrial runs one QEMU to its mark, its own end, or the end of ctx, and shows its signs of life meanwhile.
func runTrial(ctx context.Context, o ProbeOptions, way Attempt, signs *vitals) (trialRun, error) {
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
	signs.pid.Store(int64(cmd.Process.Pid))
	run := trialRun{marked: awaitMark(io.TeeReader(serial, signs))}
	signs.pid.Store(0) // from here on the number may become another's
	cancel()
	// How it ended is of no interest: it was killed, or it has said why.
	_ = cmd.Wait()
	run.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	run.complaint, run.end = complaint(stderr.String()), cmd.ProcessState.String()
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

// kvmTrialArgs are added to the kernel's command line for a trial under KVM. It prints all along the way, so that one can
// see it come further: its first words come from its first instructions. After a panic QEMU ends.
const kvmTrialArgs = " loglevel=7 earlyprintk=serial,0x3f8,115200 panic=-1"

// trialArgs is the guest that Domain.XML describes, without network cards and
// channels, with its serial console on standard output.
func trialArgs(o ProbeOptions, way Attempt) []string {
	cpu, cmdline := tcgCPU+",+"+tcgRandom+",+"+tcgTimer, kernelArgs(o.Cmdline, way.Accel, o.TSCkHz)
	if way.Accel == AccelKVM {
		cpu, cmdline = "host", cmdline+kvmTrialArgs
	}
	return []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", way.Machine.String(), "-accel", way.Accel.String(), "-cpu", cpu,
		"-m", strconv.FormatUint(o.MemoryKiB, 10) + "K",
		"-kernel", o.Kernel, "-initrd", o.Initrd, "-append", cmdline,
		"-chardev", "stdio,id=serial,signal=off", "-device", "isa-serial,chardev=serial",
	}
}
