package dhcp_test

import (
	"net"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/dhcp"
)

// TestNoPortUnreachable: the kernel of the server answers a renewal by unicast with no ICMP error, because port 67 is bound.
func TestNoPortUnreachable(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, _ := newStage(t, setup{})
	a := s.lease(alice).yiaddr
	var all *packet.Conn
	s.clients.Must(t, func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		all, err = packet.Listen(eth0, packet.Raw, unix.ETH_P_IP, nil)
		return err
	})
	defer all.Close()
	s.must(s.ask(renewal(alice, a)), dhcp.Ack)
	// A datagram to a port that nobody has, behind it, shows that an error would have come.
	closed := envelope{src: a, dst: serverIP, srcPort: 68, from: alice}.frame([]byte("?"))
	closed[14+20+2], closed[14+20+3] = 0, 9 // discard
	s.sendFrame(unsummed(closed))
	s.owns(a, alice)
	if err := all.SetReadDeadline(time.Now().Add(s.patience)); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 2048); ; {
		n, _, err := all.ReadFrom(buf)
		if err != nil {
			t.Fatalf("no ICMP error came for a closed port: %v", err)
		}
		ip := buf[14:n]
		if len(ip) < 52 || ip[9] != unix.IPPROTO_ICMP || ip[20] != 3 {
			continue
		}
		if port := int(ip[50])<<8 | int(ip[51]); port != 9 {
			t.Errorf("the kernel called port %d unreachable", port)
		}
		return
	}
}

// unsummed takes the UDP checksum out of a frame.
func unsummed(frame []byte) []byte {
	frame[14+20+6], frame[14+20+7] = 0, 0
	return frame
}

// TestUnfinishedChecksum: a renewal by a program's UDP socket comes over a veth with its checksum left to a card that is not
// there (PACKET_AUXDATA says so), and is taken.
func TestUnfinishedChecksum(t *testing.T) {
	t.Parallel()
	defer failing(t)
	s, _ := newStage(t, setup{})
	a := s.lease(alice).yiaddr
	s.clients.Run(t, "ip link set eth0 address "+alice.String())
	s.clients.Run(t, "ip addr add "+a.String()+"/24 dev eth0")
	_, m := renewal(alice, a)
	m.xid = 0x5f000001
	s.clients.Must(t, func() error {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: a.AsSlice(), Port: 68}, &net.UDPAddr{IP: serverIP.AsSlice(), Port: 67})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write(m.bytes())
		return err
	})
	e, _ := s.eventThat(func(e dhcp.Event) bool { return e.Direction == dhcp.In && e.XID == m.xid })
	if e.Reason != dhcp.ReasonRenewing {
		t.Errorf("%v: %s", e.Reason, e.Text())
	}
}
