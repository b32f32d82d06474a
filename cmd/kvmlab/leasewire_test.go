package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// TestWireEvent makes events of a capture in which a dnsmasq serves udhcpc, dhclient and dhcpcd: no kvmlab server is
// asked for anything.
func TestWireEvent(t *testing.T) {
	t.Parallel()
	pc1 := macgen.MAC{0x6a, 0x77, 0x72, 0xca, 0xa2, 0x85}
	on := func(bridge string, mac macgen.MAC) *lab.Lab {
		return &lab.Lab{Guests: []lab.Guest{{Name: "pc1", NICs: []lab.NIC{{Name: "eth0", Bridge: bridge, MAC: mac}}}}}
	}
	exchange := func(address string) []string {
		return []string{
			"pc1 eth0 DISCOVER", "pc1 eth0 OFFER sent " + address, "pc1 eth0 REQUEST", "pc1 eth0 ACK sent " + address,
		}
	}
	var three []string
	for _, address := range []string{"192.168.1.9", "192.168.1.9", "192.168.1.10"} {
		three = append(three, exchange(address)...)
	}
	for name, test := range map[string]struct {
		lab  *lab.Lab
		want []string
	}{
		"the guest's bridge":      {on("br1", pc1), three},
		"another bridge, a relay": {on("br2", pc1), nil},
		"a stranger":              {on("br1", macgen.MAC{2}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, frame := range classroom(t) {
				frame.Interface = "br1"
				packet := capture.Decode(frame)
				ev, ok := wireEvent(test.lab, packet)
				if !ok {
					continue
				}
				line := fmt.Sprintf("%s %s %s", ev.Guest, ev.NIC, ev.Message)
				if ev.Sent {
					line += " sent " + ev.Address.String()
				}
				got = append(got, line)
				if ev.Kind != lab.EventDHCP || ev.Bridge != "br1" || !ev.Time.Equal(packet.Time) {
					t.Errorf("event %+v of a packet at %s", ev, packet.Time)
				}
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
		})
	}
}

// classroom is the capture that internal/watch is tested with.
func classroom(t *testing.T) []capture.Frame {
	t.Helper()
	file, err := os.Open("../../internal/watch/testdata/classroom.pcap")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := capture.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var frames []capture.Frame
	for {
		frame, err := reader.Next()
		if err != nil {
			return frames
		}
		frames = append(frames, frame)
	}
}
