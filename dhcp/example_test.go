package dhcp_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/nstest"
)

// exampleConfig serves 192.168.1.2 to .10 on br1.
func exampleConfig() dhcp.Config {
	return dhcp.Config{
		Interfaces: []dhcp.Interface{{Name: "br1", Address: netip.MustParseAddr("192.168.1.1")}},
		Subnets: []dhcp.Subnet{{
			Prefix: netip.MustParsePrefix("192.168.1.0/24"),
			Ranges: []dhcp.Range{{First: netip.MustParseAddr("192.168.1.2"), Last: netip.MustParseAddr("192.168.1.10")}},
			Lease:  10 * time.Minute,
		}},
		NoProbe: true, // Do not ask the wire by ARP whether somebody uses an address.
	}
}

// What a server does about a DISCOVER, without a socket, a file or a clock.
func ExampleHandle() {
	table, err := dhcp.NewTable(exampleConfig())
	if err != nil {
		log.Fatal(err)
	}
	// The message of a client that has no address yet, as it would be on the wire.
	discover := dhcp.Draft{Type: dhcp.Discover, XID: 0x2a, CHAddr: dhcp.Ethernet([6]byte{0x02, 0x5e, 0x10, 0, 0, 1})}
	client := netip.MustParseAddrPort("0.0.0.0:68")
	var message dhcp.Message
	if err := message.ParsePacket(discover.AppendPacket(nil, client, dhcp.ToServers()), dhcp.ServerPort); err != nil {
		log.Fatal(err)
	}

	now := time.Date(2027, time.February, 3, 9, 0, 0, 0, time.UTC)
	reply, events := dhcp.Handle(now, table, dhcp.Inbound{Dst: dhcp.ToServers().Addr(), Message: &message})

	fmt.Println(reply.Type, "to", reply.To.IP, "port", reply.To.Port)
	for _, event := range events {
		fmt.Println(event.Reason, "-", event.Text())
	}
	for _, lease := range table.Leases(now) {
		fmt.Println(lease.Address, lease.State, "until", lease.Expires.Format(time.TimeOnly))
	}
	// Output:
	// OFFER to 192.168.1.2 port 68
	// new-address - offer 192.168.1.2 for 10m0s: it has not been given out before
	// 192.168.1.2 offered until 09:00:45
}

// A server on br1 whose leases are kept in a folder. It answers until its context is done.
func ExampleOpen() {
	leases, err := os.MkdirTemp("", "leases-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(leases)

	server, err := dhcp.Open(exampleConfig(), dhcp.Options{
		LeaseDir: filepath.Join(leases, "br1"),
		Events:   func(event dhcp.Event) { fmt.Println(event.Direction, event.Type, "-", event.Text()) },
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }() // It listens since Open: a message that comes now is answered.

	stop()
	fmt.Println("ended:", <-ended)
}

// TestExampleOpen runs ExampleOpen in a network namespace that has a br1: opening raw sockets needs rights.
func TestExampleOpen(t *testing.T) {
	ns := nstest.New(t)
	ns.Run(t, "ip link add br1 type bridge")
	ns.Run(t, "ip address add 192.168.1.1/24 dev br1")
	ns.Run(t, "ip link set br1 up")
	var printed string
	ns.Must(t, func() error {
		printed = nstest.Printed(t, ExampleOpen)
		return nil
	})
	if diff := cmp.Diff("ended: <nil>\n", printed); diff != "" {
		t.Errorf("the example prints (-want +got):\n%s", diff)
	}
}
