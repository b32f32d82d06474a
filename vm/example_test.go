package vm_test

import (
	"context"
	"fmt"
	"log"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/vm"
)

// exampleGuest is pc1 of a lab: one card on a tap, and an image that lives in memory.
func exampleGuest() vm.Domain {
	return vm.Domain{
		Name: "example-pc1", Owner: vm.Owner{Lab: "example", Guest: "pc1"},
		Machine: vm.MachineQ35, Accel: vm.AccelTCG, MemoryKiB: 128 << 10,
		Kernel: "/srv/vmlinuz", Initrd: "/srv/initrd.cpio", Cmdline: "console=ttyS0",
		NICs: []vm.NIC{{Name: "eth0", Tap: "tap1", MAC: macgen.MAC{0x02, 0x5e, 0x10, 0, 0, 1}}},
	}
}

// A guest's description for libvirt, and what can be read back from it.
func ExampleDomain_XML() {
	text, err := exampleGuest().XML()
	if err != nil {
		log.Fatal(err)
	}
	state, err := vm.ParseState(text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state.Name, "is", state.Owner.Guest, "of the lab", state.Owner.Lab)
	fmt.Println(state.Machine, state.Accel, state.MemoryKiB>>10, "MiB")
	fmt.Println(state.NICs[0].MAC, "on", state.NICs[0].Tap)
	// Output:
	// example-pc1 is pc1 of the lab example
	// q35 tcg 128 MiB
	// 02:5e:10:00:00:01 on tap1
}

// A guest is defined, found among libvirt's domains by its mark, and forgotten. Conn.Start would start it.
func ExampleConn() {
	ctx := context.Background()
	conn, err := vm.Dial(ctx, "") // qemu:///system
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	guest := exampleGuest()
	if err := conn.Define(ctx, guest); err != nil {
		log.Fatal(err)
	}
	domains, err := conn.Domains(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, domain := range domains {
		if domain.Owned && domain.Owner.Lab == "example" {
			fmt.Println(domain.Name, "is", domain.Run, "- as described:", domain.Digest == guest.Digest())
		}
	}
	fmt.Println("forgotten:", conn.Undefine(ctx, guest.Name))
}

// TestExampleConn runs ExampleConn with the libvirt of a sandbox.
func TestExampleConn(t *testing.T) {
	nstest.RequireSandbox(t)
	const want = "example-pc1 is shutoff - as described: true\nforgotten: <nil>\n"
	if diff := cmp.Diff(want, nstest.Printed(t, ExampleConn)); diff != "" {
		t.Errorf("the example prints (-want +got):\n%s", diff)
	}
}
