package main

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/vm"
	"github.com/kvmlab/kvmlab/vm/image"
)

// microName is the image that the acceleration is probed with, and the default of lab files.
const microName = "micro"

// accelChoice is the value of --accel.
type accelChoice string

// The values of --accel.
const (
	accelAuto accelChoice = "auto"
	accelKVM  accelChoice = "kvm"
	accelTCG  accelChoice = "tcg"
)

// wanted is the choice in vm's terms; zero lets the probe decide.
func (c accelChoice) wanted() vm.Accel {
	switch c {
	case accelKVM:
		return vm.AccelKVM
	case accelTCG:
		return vm.AccelTCG
	default:
		return 0
	}
}

// platformProbe finds out how guests run on this host, once per command.
type platformProbe struct {
	app  *app
	virt *vm.Conn
	want accelChoice

	mu    sync.Mutex
	found *engine.Platform // once it is known
}

// probe boots the micro image under KVM to see whether it works, unless an earlier run already has (see
// vm.ProbeAccel), and tells the user when guests will not run as fast as they could.
func (p *platformProbe) probe(ctx context.Context) (engine.Platform, error) {
	p.mu.Lock() // the labs of a class ask at the same time
	defer p.mu.Unlock()
	if p.found != nil {
		return *p.found, nil
	}
	found, err := p.look(ctx)
	if err == nil {
		p.found = &found
	}
	return found, err
}

func (p *platformProbe) look(ctx context.Context) (engine.Platform, error) {
	info, err := p.virt.Host(ctx)
	if err != nil {
		return engine.Platform{}, err
	}
	verdict, err := probeAccel(ctx, p.app, info, p.want)
	if err != nil {
		return engine.Platform{}, err
	}
	if p.want == accelKVM && verdict.Accel != vm.AccelKVM {
		// Without the micro image there is nothing to try it with.
		return engine.Platform{}, imageError(microName, "", image.ErrNoImage)
	}
	if verdict.Accel == vm.AccelTCG && (p.want == accelAuto && !verdict.Cached || verdict.Assumed) {
		p.app.showDiagnostics(diag.List{diag.New(diag.AccelFallback, diag.Args{"reason": verdict.Reason})})
	}
	machine := cmp.Or(verdict.Machine, vm.MachineMicrovm)
	switch {
	case !info.Microvm:
		machine = vm.MachineQ35
		p.app.showDiagnostics(diag.List{diag.New(diag.MachineFallback, diag.Args{"reason": "this QEMU has no microvm"})})
	case machine != vm.MachineMicrovm && !verdict.Assumed && !verdict.Cached:
		p.app.showDiagnostics(diag.List{diag.New(diag.MachineFallback, diag.Args{"reason": verdict.Reason})})
	}
	return engine.Platform{
		Machine: machine, Accel: verdict.Accel, TSCkHz: info.TSCkHz, Merging: info.Merging, Emulator: info.Emulator,
	}, nil
}

// probeAccel asks vm for the verdict, with the micro image as the guest to try.
func probeAccel(ctx context.Context, a *app, info vm.HostInfo, want accelChoice) (vm.Verdict, error) {
	img, err := a.images().Lookup(microName)
	if err != nil {
		// Without the image nothing can be booted; the error about the image itself comes from the lab's guests.
		return vm.Verdict{Accel: vm.AccelTCG}, nil //nolint:nilerr // see above
	}
	verdict, err := vm.ProbeAccel(ctx, vm.ProbeOptions{
		Emulator: info.Emulator, QEMUVersion: info.QEMU, Kernel: img.Kernel, Initrd: img.Initrd, Cmdline: img.Cmdline,
		TSCkHz: info.TSCkHz, User: info.QEMUUser, Want: want.wanted(), CacheFile: a.dirs.AccelFile(),
		Trying: func(kvm bool) {
			if kvm {
				a.say("up.probe-kvm")
			} else {
				a.say("up.probe")
			}
		},
	})
	return verdict, accelError(want, err)
}

// accelError gives the errors of the probe their codes.
func accelError(want accelChoice, err error) error {
	var none *vm.NoBootError
	switch {
	case errors.As(err, &none) && want == accelKVM:
		return diag.New(diag.AccelUnusable, diag.Args{"accel": string(want), "reason": none.Reason}).Wrap(err)
	case errors.As(err, &none):
		return diag.New(diag.NoBoot, diag.Args{"image": microName, "reason": none.Reason}).Wrap(err)
	case errors.Is(err, vm.ErrKVMMissing), errors.Is(err, vm.ErrKVMDenied):
		return diag.New(diag.AccelUnusable, diag.Args{"accel": string(want), "reason": errors.Unwrap(err).Error()}).Wrap(err)
	}
	return err
}
