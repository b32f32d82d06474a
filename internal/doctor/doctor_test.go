package doctor_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/doctor"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
	"github.com/kvmlab/kvmlab/vm/image"
)

// fakeHost is a host on which all is well, but for what a test takes away.
type fakeHost struct {
	notRoot, forwards, noSystemd, networkManager, noQEMU bool

	tun, links, wall, writable, virt, virtlogd, kvm, probe, image error

	info     vm.HostInfo
	verdict  vm.Verdict
	memory   uint64
	disk     uint64
	chain    string
	forward  string
	present  []netsetup.Link
	overlaps []netsetup.Overlap
	closed   *int
}

func healthy() fakeHost {
	return fakeHost{
		info:    vm.HostInfo{Libvirt: "9.0.0", QEMU: "7.2.13", Emulator: "/usr/bin/qemu-system-x86_64"},
		verdict: vm.Verdict{KVM: vm.KVMUsable}, memory: 8 << 30, disk: 8 << 30, closed: new(int),
	}
}

func (h fakeHost) Root() bool                                           { return !h.notRoot }
func (h fakeHost) OpenTun() error                                       { return h.tun }
func (h fakeHost) TryLinks(context.Context) error                       { return h.links }
func (h fakeHost) Writable(string) error                                { return h.writable }
func (h fakeHost) FreeDisk(string) (uint64, error)                      { return h.disk, nil }
func (h fakeHost) AvailableMemory() (uint64, error)                     { return h.memory, nil }
func (h fakeHost) Systemd() bool                                        { return !h.noSystemd }
func (h fakeHost) Virtlogd() (string, error)                            { return "/run/virtlogd-sock", h.virtlogd }
func (h fakeHost) CheckKVM(vm.User) error                               { return h.kvm }
func (h fakeHost) KVMMode() string                                      { return "0600 root:root" }
func (h fakeHost) VerifyImage(string) error                             { return h.image }
func (h fakeHost) DroppedBridgeTraffic(context.Context) (string, error) { return h.chain, nil }
func (h fakeHost) DroppedForwarding(context.Context) (string, error)    { return h.forward, nil }
func (h fakeHost) TryFirewall(context.Context) error                    { return h.wall }
func (h fakeHost) Forwards() bool                                       { return h.forwards }
func (h fakeHost) NetworkManager(string) bool                           { return h.networkManager }
func (h fakeHost) Links(context.Context) ([]netsetup.Link, error)       { return h.present, nil }
func (h fakeHost) Host(context.Context) (vm.HostInfo, error)            { return h.info, nil }
func (h fakeHost) Close() error                                         { *h.closed++; return nil }
func (h fakeHost) ProbeAccel(context.Context, vm.HostInfo) (vm.Verdict, error) {
	return h.verdict, h.probe
}

func (h fakeHost) Libvirt(context.Context) (doctor.Libvirt, error) {
	if h.virt != nil {
		return nil, h.virt
	}
	return h, nil
}

func (h fakeHost) FindProgram(string) (string, error) {
	if h.noQEMU {
		return "", os.ErrNotExist
	}
	return "/usr/bin/qemu-system-x86_64", nil
}

func (h fakeHost) Overlaps(_ context.Context, _ netip.Prefix, ignore ...string) ([]netsetup.Overlap, error) {
	return slices.DeleteFunc(slices.Clone(h.overlaps), func(o netsetup.Overlap) bool {
		return slices.Contains(ignore, o.Link)
	}), nil
}

func needs() doctor.LabNeeds {
	return doctor.LabNeeds{
		Name: "three-taps", StateDir: "/state", RunDir: "/run", Links: []string{"br1", "tap1"}, Bridge: "br1",
		Subnets: []netip.Prefix{netip.MustParsePrefix("192.168.1.1/24")}, Memory: 600 << 20, Disk: 256 << 20, Image: "micro",
	}
}

// TestExamine breaks one thing at a time and looks which findings are not ok.
func TestExamine(t *testing.T) {
	t.Parallel()
	own := netsetup.Owner{Lab: "three-taps", Object: "br1"}
	overlap := netsetup.Overlap{Prefix: netip.MustParsePrefix("192.168.1.7/24"), Link: "br1"}
	tests := map[string]struct {
		breakIt func(*fakeHost)
		want    map[string]string // check: status, code
		ready   bool
	}{
		"all is well": {func(*fakeHost) {}, nil, true},
		"no root": {func(h *fakeHost) { h.notRoot = true }, map[string]string{
			"root": "error KL100", "bridge": "skipped", "state": "skipped", "reach": "skipped",
		}, false},
		"no tun":          {func(h *fakeHost) { h.tun = os.ErrNotExist }, map[string]string{"tun": "error KL101"}, false},
		"no bridges":      {func(h *fakeHost) { h.links = errTest }, map[string]string{"bridge": "error KL118"}, false},
		"read-only state": {func(h *fakeHost) { h.writable = errTest }, map[string]string{"state": "error KL119"}, false},
		"no libvirt": {func(h *fakeHost) { h.virt, h.virtlogd = vm.ErrUnreachable, errTest }, map[string]string{
			"libvirt": "error KL102", "virtlogd": "skipped", "kvm": "skipped",
		}, false},
		"libvirt denies": {func(h *fakeHost) { h.virt = vm.ErrDenied }, map[string]string{
			"libvirt": "error KL103", "kvm": "skipped",
		}, false},
		"no libvirt, no QEMU": {func(h *fakeHost) { h.virt, h.noQEMU = vm.ErrUnreachable, true }, map[string]string{
			"libvirt": "error KL102", "kvm": "skipped", "qemu": "error KL111",
		}, false},
		"old libvirt": {func(h *fakeHost) { h.info.Libvirt = "7.10.0" }, map[string]string{"libvirt": "error KL117"}, false},
		"old QEMU":    {func(h *fakeHost) { h.info.QEMU = "5.2.0" }, map[string]string{"qemu": "error KL117"}, false},
		"no virtlogd": {func(h *fakeHost) { h.virtlogd = errTest }, map[string]string{"virtlogd": "error KL116"}, false},
		"no image": {func(h *fakeHost) { h.image = image.ErrNoImage }, map[string]string{
			"image": "error KL400", "kvm": "skipped",
		}, false},
		"damaged image": {func(h *fakeHost) { h.image = &image.CorruptError{File: "/x"} }, map[string]string{
			"image": "error KL403", "kvm": "skipped",
		}, false},
		"no KVM":     {func(h *fakeHost) { h.kvm = vm.ErrKVMMissing }, map[string]string{"kvm": "warning KL104"}, true},
		"KVM closed": {func(h *fakeHost) { h.kvm = vm.ErrKVMDenied }, map[string]string{"kvm": "error KL105"}, false},
		"KVM broken": {func(h *fakeHost) { h.verdict = vm.Verdict{KVM: vm.KVMBroken, Reason: "hangs"} }, map[string]string{
			"kvm": "warning KL106",
		}, true},
		"little memory": {func(h *fakeHost) { h.memory = 1 << 20 }, map[string]string{"memory": "error KL107"}, false},
		"full disk":     {func(h *fakeHost) { h.disk = 1 << 20 }, map[string]string{"disk": "error KL108"}, false},
		"a firewall":    {func(h *fakeHost) { h.chain = "filter FORWARD" }, map[string]string{"firewall": "error KL109"}, false},
		"no nftables":   {func(h *fakeHost) { h.wall = errTest }, map[string]string{"reach": "error KL136"}, false},
		"a router":      {func(h *fakeHost) { h.forwards = true }, nil, true},
		"a router that drops": {func(h *fakeHost) { h.forwards, h.forward = true, "filter FORWARD" }, map[string]string{
			"reach": "warning KL137",
		}, true},
		"a firewall, no router": {func(h *fakeHost) { h.forward = "filter FORWARD" }, nil, true},
		"NetworkManager":        {func(h *fakeHost) { h.networkManager = true }, map[string]string{"networkmanager": "warning KL113"}, true},
		"a foreign br1":         {func(h *fakeHost) { h.present = []netsetup.Link{{Name: "br1"}} }, map[string]string{"names": "error KL200"}, false},
		"a subnet clash":        {func(h *fakeHost) { h.overlaps = []netsetup.Overlap{overlap} }, map[string]string{"subnet": "error KL202"}, false},
		"the lab itself is up": {func(h *fakeHost) {
			h.present = []netsetup.Link{{Name: "br1", Owner: own}}
			h.overlaps = []netsetup.Overlap{overlap}
		}, nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := healthy()
			test.breakIt(&host)
			d := &doctor.Doctor{Host: host, Say: func(id string, _ ...any) string { return id }, Lab: needs()}
			seen := 0
			findings, err := d.Examine(t.Context(), func(doctor.Finding) { seen++ })
			if err != nil || seen != len(findings) || seen < 15 {
				t.Fatalf("%d findings, %d seen, %v", len(findings), seen, err)
			}
			got := map[string]string{}
			for _, f := range findings {
				if f.Seen == "" || (f.Problem != nil) != (f.Status == doctor.Warning || f.Status == doctor.Failed) {
					t.Errorf("%+v", f)
				}
				if f.Status != doctor.OK {
					got[f.Check] = f.Status.String()
					if f.Problem != nil {
						got[f.Check] += " " + string(f.Problem.Code)
					}
				}
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if ready, failed := doctor.Ready(findings); ready != test.ready || (failed == 0) != ready {
				t.Errorf("Ready = %v, %d, want %v", ready, failed, test.ready)
			}
			if host.virt == nil && *host.closed != 1 {
				t.Errorf("the connection was closed %d times", *host.closed)
			}
		})
	}
}

var errTest = errors.New("test")

// TestFixes gives the commands for a host with and without systemd.
func TestFixes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		noSystemd bool
		want      string
	}{
		"systemd": {false, "sudo systemctl start libvirtd"},
		"none":    {true, "sudo sh -c 'virtlogd -d; libvirtd -d'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := healthy()
			host.virt, host.noSystemd = vm.ErrUnreachable, test.noSystemd
			d := &doctor.Doctor{Host: host, Say: func(id string, _ ...any) string { return id }, Lab: needs()}
			findings, err := d.Examine(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(findings, func(f doctor.Finding) bool { return f.Check == "libvirt" })
			if got := findings[i].Fix; got != test.want {
				t.Errorf("fix = %q, want %q", got, test.want)
			}
			if code := findings[i].Problem.Code; code != diag.LibvirtUnreachable {
				t.Errorf("code = %s", code)
			}
		})
	}
}

// TestExamineInterrupted stops between two checks.
func TestExamineInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	d := &doctor.Doctor{Host: healthy(), Say: func(id string, _ ...any) string { return id }, Lab: needs()}
	findings, err := d.Examine(ctx, func(doctor.Finding) { cancel() })
	if !errors.Is(err, context.Canceled) || len(findings) != 1 {
		t.Errorf("%d findings, %v", len(findings), err)
	}
}
