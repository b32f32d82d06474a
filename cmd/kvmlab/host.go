package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
	"github.com/kvmlab/kvmlab/vm/image"
)

// hostOptions are what the commands that change or observe labs can choose.
type hostOptions struct {
	accel      accelChoice                             // how guests run; only `up` and `run` start any
	cold       bool                                    // boot every guest, resume none from a template
	oldImages  bool                                    // start guests whose disks lie on an older image with that image
	sink       func(engine.Event)                      // sees every change as it happens
	supervisor func(files state.Lab) engine.Supervisor // nil: a process of its own
}

// host is the machine that labs live on: its links, its libvirt, and the engine over both.
type host struct {
	*engine.Engine

	net  *netsetup.Handle
	virt *vm.Conn
	cfg  engine.Config
	cold coldStarts
}

// openHost opens the kernel and libvirt for a command that needs both, and root.
func openHost(ctx context.Context, a *app, opts hostOptions) (_ *host, err error) {
	if os.Geteuid() != 0 {
		return nil, diag.New(diag.NotRoot, diag.Args{"command": "kvmlab"})
	}
	h := &host{cold: coldStarts{app: a}}
	if h.net, err = netsetup.OpenHost(); err != nil {
		return nil, err
	}
	if h.virt, err = vm.Dial(ctx, a.global.connect); err != nil {
		return nil, errors.Join(err, h.net.Close())
	}
	after, err := stopPoint(a.env(envTestSignal))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	spawn := opts.supervisor
	if spawn == nil {
		spawn = func(files state.Lab) engine.Supervisor { return superviseProcess(a, files) }
	}
	platform := &platformProbe{app: a, virt: h.virt, want: opts.accel}
	var oldImage func(context.Context, string, string) (engine.Image, error)
	if opts.oldImages {
		oldImage = func(_ context.Context, name, base string) (engine.Image, error) {
			img, err := image.LookupBase(a.dirs.ImagesDir(), name, base)
			if err == nil {
				err = img.Check()
			}
			return engineImage(img), err
		}
	}
	h.cfg = engine.Config{
		Dirs:        a.dirs,
		Network:     h.net,
		Namespaces:  labNamespaces{},
		Hypervisor:  h.virt,
		Supervisor:  spawn,
		Image:       func(_ context.Context, name string) (engine.Image, error) { return findImage(a.dirs, name) },
		OldImage:    oldImage,
		Platform:    platform.probe,
		Cold:        h.cold.note,
		TapOwner:    tapOwner(a.env),
		Log:         a.log,
		Now:         a.now,
		Sink:        opts.sink,
		AfterRecord: func(state.Record) { after() },
		Passed:      func(string) { after() },
	}
	if !opts.cold {
		templates := h.virt.Templates(a.dirs.TemplatesDir())
		templates.Building = func() { a.say("up.template") }
		h.cfg.Templates = templates
	}
	h.Engine = engine.New(h.cfg)
	return h, nil
}

// with is the same host with an engine of its own for one of several labs, whose changes sink sees.
func (h *host) with(sink func(engine.Event)) *engine.Engine {
	cfg := h.cfg
	cfg.Sink = sink
	return engine.New(cfg)
}

// Close releases the connections, and says which guests had to boot.
func (h *host) Close() error {
	h.cold.say()
	return errors.Join(h.virt.Close(), h.net.Close())
}

// superviseProcess is the supervisor as a process of its own: this program again, as `kvmlab supervise LAB`.
func superviseProcess(a *app, files state.Lab) *supervisor.Process {
	return &supervisor.Process{
		Lock: files.SupervisorLock(),
		Log:  files.SupervisorLog(),
		Command: func(ctx context.Context) *exec.Cmd {
			args := []string{"supervise", files.Name()}
			if a.global.connect != "" {
				args = append(args, "--connect", a.global.connect)
			}
			return exec.CommandContext(ctx, "/proc/self/exe", args...) //nolint:gosec // itself, with its user's own arguments
		},
	}
}

// findImage finds what a guest boots.
func findImage(dirs state.Dirs, name string) (engine.Image, error) {
	img, err := image.Path(dirs.ImageStores()).Lookup(name)
	if err == nil {
		err = img.Check()
	}
	if err != nil {
		return engine.Image{}, imageError(name, "", err)
	}
	return engineImage(img), nil
}

// engineImage says an image in the engine's terms. Every image has an agent, or does not mind the port for one.
func engineImage(img image.Image) engine.Image {
	return engine.Image{
		Kernel: img.Kernel, Initrd: img.Initrd, Cmdline: img.Cmdline, GuestAgent: true,
		Disk: img.Disk, DiskSize: img.DiskSize, Keys: img.Keys,
	}
}

// tapOwner is whose the lab's taps are: the user's behind sudo, as with `ip tuntap add … user ana`. The kernel lets
// somebody open a tap who is its owner and in its group, and group root keeps it to root: whoever has a tap open while its
// guest is off is on the lab's wire in the guest's place. libvirt opens taps as root.
func tapOwner(env func(string) string) engine.TapOwner {
	owner := engine.TapOwner{User: "root", Group: "root"}
	if uid, err := strconv.Atoi(env("SUDO_UID")); err == nil && env("SUDO_USER") != "" {
		owner.UID, owner.User = uid, env("SUDO_USER")
	}
	return owner
}
