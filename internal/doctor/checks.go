package doctor

import (
	"cmp"
	"context"
	"errors"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/vm"
	"github.com/kvmlab/kvmlab/vm/image"
)

// examination is one run of the checks and what they have learned so far.
type examination struct {
	*Doctor

	virt       Libvirt     // nil when libvirt cannot be reached
	info       vm.HostInfo // zero when unknown
	imageWhole bool
}

func (e *examination) close() {
	if e.virt != nil {
		_ = e.virt.Close() // it was only asked questions
	}
}

// fine is a finding that all is well.
func (e *examination) fine(id string, pairs ...any) Finding {
	return Finding{Status: OK, Seen: e.Say(id, pairs...)}
}

// skipped is a check that could not be made.
func (e *examination) skipped(id string) Finding {
	return Finding{Status: Skipped, Seen: e.Say(id)}
}

// problem is a finding with a diagnostic, which says how bad it is, and the command that mends it.
func problem(d *diag.Diagnostic, fix string) Finding {
	status := Failed
	if d.Severity == diag.Warning {
		status = Warning
	}
	return Finding{Status: status, Seen: d.Summary, Fix: fix, Problem: d}
}

func (e *examination) root(context.Context) Finding {
	if e.Host.Root() {
		return e.fine("doctor.root")
	}
	return problem(diag.New(diag.NotRoot, diag.Args{"command": "kvmlab"}), "sudo kvmlab doctor")
}

func (e *examination) tun(context.Context) Finding {
	if err := e.Host.OpenTun(); err != nil {
		return problem(diag.New(diag.NoTun, diag.Args{"path": "/dev/net/tun"}).Wrap(err), "sudo modprobe tun")
	}
	return e.fine("doctor.tun")
}

func (e *examination) bridge(ctx context.Context) Finding {
	if !e.Host.Root() {
		return e.skipped("doctor.needs-root")
	}
	if err := e.Host.TryLinks(ctx); err != nil {
		return problem(diag.New(diag.KernelFeature, diag.Args{"feature": e.Say("doctor.feature-links")}).Wrap(err),
			"sudo modprobe bridge; sudo modprobe tun")
	}
	return e.fine("doctor.bridge")
}

func (e *examination) state(context.Context) Finding {
	if !e.Host.Root() {
		return e.skipped("doctor.needs-root")
	}
	for _, dir := range []string{e.Lab.RunDir, e.Lab.StateDir} {
		if err := e.Host.Writable(dir); err != nil {
			return problem(diag.New(diag.StateDirUnwritable, diag.Args{"path": dir}).Wrap(err), "sudo mkdir -p "+dir)
		}
	}
	return e.fine("doctor.state", "state", e.Lab.StateDir, "run", e.Lab.RunDir)
}

func (e *examination) libvirt(ctx context.Context) Finding {
	start := e.startCommand("libvirtd", "virtlogd -d; libvirtd -d")
	virt, err := e.Host.Libvirt(ctx)
	uri := cmp.Or(e.Lab.URI, "qemu:///system")
	switch {
	case errors.Is(err, vm.ErrDenied):
		return problem(diag.New(diag.LibvirtDenied, diag.Args{"socket": uri}).Wrap(err), "sudo kvmlab doctor")
	case err != nil:
		return problem(diag.New(diag.LibvirtUnreachable, diag.Args{"uri": uri}).Wrap(err), start)
	}
	e.virt = virt
	info, err := virt.Host(ctx)
	if err != nil {
		return problem(diag.New(diag.LibvirtUnreachable, diag.Args{"uri": uri}).Wrap(err), start)
	}
	e.info = info
	if older(info.Libvirt, minimumLibvirt) {
		return problem(diag.New(diag.LibvirtOld, diag.Args{
			"program": "libvirt", "version": info.Libvirt, "minimum": minimumLibvirt,
		}), "sudo apt-get install libvirt-daemon-system")
	}
	return e.fine("doctor.libvirt", "version", info.Libvirt)
}

// startCommand starts a service: with systemd by its name, otherwise with the commands.
func (e *examination) startCommand(service, commands string) string {
	if e.Host.Systemd() {
		return "sudo systemctl start " + service
	}
	return "sudo sh -c '" + commands + "'"
}

func (e *examination) virtlogd(context.Context) Finding {
	socket, err := e.Host.Virtlogd()
	switch {
	case err == nil:
		return e.fine("doctor.virtlogd")
	case e.virt == nil:
		return e.skipped("doctor.needs-libvirt")
	}
	return problem(diag.New(diag.NoVirtlogd, diag.Args{"socket": socket}).Wrap(err), e.startCommand("virtlogd", "virtlogd -d"))
}

func (e *examination) qemu(context.Context) Finding {
	const install = "sudo apt-get install qemu-system-x86"
	if e.info.QEMU == "" { // libvirt does not know one, or cannot be asked
		path, err := e.Host.FindProgram("qemu-system-x86_64")
		if err != nil {
			d := diag.New(diag.MissingProgram, diag.Args{"program": "qemu-system-x86_64", "package": "qemu-system-x86"})
			return problem(d.Wrap(err), install)
		}
		return e.fine("doctor.qemu-path", "path", path)
	}
	if older(e.info.QEMU, minimumQEMU) {
		return problem(diag.New(diag.LibvirtOld, diag.Args{
			"program": "QEMU", "version": e.info.QEMU, "minimum": minimumQEMU,
		}), install)
	}
	return e.fine("doctor.qemu", "version", e.info.QEMU, "path", e.info.Emulator)
}

func (e *examination) image(context.Context) Finding {
	build := "sudo kvmlab image build " + e.Lab.Image
	err := e.Host.VerifyImage(e.Lab.Image)
	corrupt := new(image.CorruptError)
	switch {
	case err == nil:
		e.imageWhole = true
		return e.fine("doctor.image", "image", e.Lab.Image)
	case errors.As(err, &corrupt):
		d := diag.New(diag.ImageDamaged, diag.Args{"image": e.Lab.Image, "path": corrupt.File, "reason": corrupt.Reason()})
		return problem(d.Wrap(err), build)
	}
	return problem(diag.New(diag.NoImage, diag.Args{"image": e.Lab.Image, "commands": build}).Wrap(err), build)
}

// kvm looks at the device first, because one that QEMU's user cannot open makes libvirt slow even for guests that do
// without it; then it boots a guest.
func (e *examination) kvm(ctx context.Context) Finding {
	const device = vm.DefaultKVM
	if e.virt == nil {
		return e.skipped("doctor.needs-libvirt")
	}
	switch err := e.Host.CheckKVM(e.info.QEMUUser); {
	case errors.Is(err, vm.ErrKVMMissing):
		return problem(diag.New(diag.KVMMissing, diag.Args{"path": device}), "")
	case errors.Is(err, vm.ErrKVMDenied):
		d := diag.New(diag.KVMClosed, diag.Args{
			"path": device, "user": userName(e.info.QEMUUser.UID), "mode": e.Host.KVMMode(),
		})
		return problem(d.Wrap(err), "sudo chown root:kvm "+device+"; sudo chmod 0660 "+device)
	case err != nil:
		return problem(diag.New(diag.KVMBroken, diag.Args{"reason": err.Error()}), "")
	}
	if !e.imageWhole {
		return e.skipped("doctor.needs-image")
	}
	verdict, err := e.Host.ProbeAccel(ctx, e.info)
	switch {
	case err != nil:
		return problem(diag.New(diag.KVMBroken, diag.Args{"reason": err.Error()}), "")
	case verdict.KVM != vm.KVMUsable:
		return problem(diag.New(diag.KVMBroken, diag.Args{"reason": verdict.Reason}), "")
	}
	return e.fine("doctor.kvm")
}

func (e *examination) memory(context.Context) Finding {
	have, err := e.Host.AvailableMemory()
	if err != nil {
		return Finding{Status: Skipped, Seen: err.Error()}
	}
	if have < e.Lab.Memory {
		return problem(diag.New(diag.NoMemory, diag.Args{"need": mebibytes(e.Lab.Memory), "have": mebibytes(have)}), "")
	}
	return e.fine("doctor.memory", "have", mebibytes(have), "need", mebibytes(e.Lab.Memory), "lab", e.Lab.Name)
}

func (e *examination) disk(context.Context) Finding {
	have, err := e.Host.FreeDisk(e.Lab.StateDir)
	if err != nil {
		return Finding{Status: Skipped, Seen: err.Error()}
	}
	if have < e.Lab.Disk {
		return problem(diag.New(diag.NoDisk, diag.Args{
			"path": e.Lab.StateDir, "need": mebibytes(e.Lab.Disk), "have": mebibytes(have),
		}), "")
	}
	return e.fine("doctor.disk", "have", mebibytes(have), "path", e.Lab.StateDir)
}

func (e *examination) firewall(ctx context.Context) Finding {
	chain, err := e.Host.DroppedBridgeTraffic(ctx)
	switch {
	case err != nil:
		return Finding{Status: Skipped, Seen: err.Error()}
	case chain != "":
		return problem(diag.New(diag.BridgeNetfilter, diag.Args{"policy": chain}),
			"sudo sysctl -w net.bridge.bridge-nf-call-iptables=0")
	}
	return e.fine("doctor.firewall")
}

// reach looks whether the host can keep guests where they belong, and says where that is.
func (e *examination) reach(ctx context.Context) Finding {
	if !e.Host.Root() {
		return e.skipped("doctor.needs-root")
	}
	if err := e.Host.TryFirewall(ctx); err != nil {
		return problem(diag.New(diag.NoNftables, nil).Wrap(err), "sudo modprobe -a nf_tables nft_ct nft_limit nft_masq")
	}
	forwarding := e.Host.Forwards()
	if forwarding {
		chain, err := e.Host.DroppedForwarding(ctx)
		switch {
		case err != nil:
			return Finding{Status: Skipped, Seen: err.Error()}
		case chain != "":
			return problem(diag.New(diag.ForwardDropped, diag.Args{"policy": chain}), "")
		}
	}
	return e.fine("doctor.reach", "forwarding", forwarding)
}

// networkManager only warns: in most set-ups it leaves links alone that it did not make.
func (e *examination) networkManager(context.Context) Finding {
	if !e.Host.NetworkManager(e.Lab.Bridge) {
		return e.fine("doctor.networkmanager")
	}
	d := diag.New(diag.NetworkManager, diag.Args{"link": e.Lab.Bridge})
	d.Severity = diag.Warning
	return problem(d, `echo 'SUBSYSTEM=="net", ACTION!="remove", ATTR{ifalias}=="kvmlab:*", ENV{NM_UNMANAGED}="1"' | `+
		`sudo tee /etc/udev/rules.d/`+udevRule+`; sudo udevadm control --reload`)
}

func (e *examination) names(ctx context.Context) Finding {
	links, err := e.Host.Links(ctx)
	if err != nil {
		return Finding{Status: Skipped, Seen: err.Error()}
	}
	for _, link := range links {
		for _, name := range e.Lab.Links {
			if link.Name == name && !link.Owned() {
				return problem(diag.New(diag.ForeignLink, diag.Args{"name": name, "kind": link.Kind.String()}), "")
			}
		}
	}
	return e.fine("doctor.names", "lab", e.Lab.Name)
}

func (e *examination) subnet(ctx context.Context) Finding {
	ignore, err := e.ownLinks(ctx)
	if err != nil {
		return Finding{Status: Skipped, Seen: err.Error()}
	}
	for _, subnet := range e.Lab.Subnets {
		overlaps, err := e.Host.Overlaps(ctx, subnet, ignore...)
		if err != nil {
			return Finding{Status: Skipped, Seen: err.Error()}
		}
		if len(overlaps) > 0 {
			return problem(diag.New(diag.SubnetOverlap, diag.Args{
				"subnet": subnet.Masked(), "bridge": e.Lab.Bridge, "other": overlaps[0].Prefix, "via": overlaps[0].Link,
			}), "")
		}
	}
	return e.fine("doctor.subnet", "lab", e.Lab.Name)
}

// ownLinks names the links of kvmlab's labs: a lab that is up is no clash.
func (e *examination) ownLinks(ctx context.Context) ([]string, error) {
	links, err := e.Host.Links(ctx)
	if err != nil {
		return nil, err
	}
	var own []string
	for _, link := range links {
		if link.Owned() {
			own = append(own, link.Name)
		}
	}
	return own, nil
}

// mebibytes rounds down to whole MiB, which is what people compare.
func mebibytes(n uint64) lab.Size { return lab.Size(n) / lab.MiB * lab.MiB }
