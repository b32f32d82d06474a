package station_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/kvmlab/kvmlab/internal/station"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// segment is a switch that floods, and remembers what passed.
type segment struct {
	mu    sync.Mutex
	cards []*card
	seen  []*capture.Packet
}

// card is a port of a segment.
type card struct {
	segment *segment
	frames  chan []byte
	once    sync.Once
}

func (s *segment) plug() *card {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &card{segment: s, frames: make(chan []byte, 64)}
	s.cards = append(s.cards, c)
	return c
}

// Write sends a frame to all other ports.
func (c *card) Write(b []byte) (int, error) {
	c.segment.mu.Lock()
	defer c.segment.mu.Unlock()
	b = append([]byte{}, b...)
	c.segment.seen = append(c.segment.seen, capture.Decode(capture.Frame{Data: b, Length: len(b)}))
	for _, other := range c.segment.cards {
		if other != c {
			other.frames <- b
		}
	}
	return len(b), nil
}

// Read waits for a frame.
func (c *card) Read(b []byte) (int, error) {
	frame, ok := <-c.frames
	if !ok {
		return 0, os.ErrClosed
	}
	return copy(b, frame), nil
}

// Close pulls the cable.
func (c *card) Close() error {
	c.segment.mu.Lock()
	defer c.segment.mu.Unlock()
	for i, other := range c.segment.cards {
		if other == c {
			c.segment.cards = append(c.segment.cards[:i:i], c.segment.cards[i+1:]...)
		}
	}
	c.once.Do(func() { close(c.frames) })
	return nil
}

// play has a station play on the segment; the function ends it.
func (s *segment) play(t *testing.T, part station.Part) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func(card io.ReadWriteCloser) { done <- station.Play(ctx, card, part) }(s.plug())
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// said lists what passed: who, what, from where to where. A wrong checksum is told.
func (s *segment) said() []string {
	var lines []string
	for _, p := range s.seen {
		line := fmt.Sprintf("%s>%s ", p.Ethernet.Source, p.Ethernet.Destination)
		switch {
		case p.Malformed != "":
			line += p.Malformed
		case p.ARP != nil:
			line += fmt.Sprintf("ARP %s %s %s %s", p.ARP.SenderMAC, p.ARP.SenderIP, p.ARP.TargetMAC, p.ARP.TargetIP)
		case p.ICMP != nil:
			line += fmt.Sprintf("ICMP %d %s>%s %v", p.ICMP.Type, p.IP.Source, p.IP.Destination, *p.ICMP.ChecksumOK && *p.IP.ChecksumOK)
		default:
			server, _ := p.DHCP.Addr(54)
			line += fmt.Sprintf("%s %s:%d>%s:%d ci %s yi %s gi %s hops %d server %s %v", p.DHCP.Type, p.IP.Source, p.UDP.SourcePort,
				p.IP.Destination, p.UDP.DestinationPort, p.DHCP.CIAddr, p.DHCP.YIAddr, p.DHCP.GIAddr, p.DHCP.Hops, server,
				*p.UDP.ChecksumOK && *p.IP.ChecksumOK)
		}
		lines = append(lines, line)
	}
	return lines
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestClientMeetsRogue has a client ask twice, because the server comes late, and give back at the end what it got.
func TestClientMeetsRogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &segment{}
		leave := s.play(t, station.Part{Role: station.Client, Number: 2})
		time.Sleep(time.Second)
		stop := s.play(t, station.Part{
			Role: station.Rogue, Number: 1, Segment: 1, Address: netip.MustParsePrefix("10.0.0.66/8"),
			First: addr("10.0.0.100"), Last: addr("10.0.0.101"),
		})
		time.Sleep(time.Minute)
		leave()
		stop()
		const client, rogue, all = "02:6b:76:6d:00:12", "02:6b:76:6d:01:31", "ff:ff:ff:ff:ff:ff"
		want := []string{
			client + ">" + all + " DISCOVER 0.0.0.0:68>255.255.255.255:67 ci 0.0.0.0 yi 0.0.0.0 gi 0.0.0.0 hops 0 server invalid IP true",
			client + ">" + all + " DISCOVER 0.0.0.0:68>255.255.255.255:67 ci 0.0.0.0 yi 0.0.0.0 gi 0.0.0.0 hops 0 server invalid IP true",
			rogue + ">" + client + " OFFER 10.0.0.66:67>10.0.0.100:68 ci 0.0.0.0 yi 10.0.0.100 gi 0.0.0.0 hops 0 server 10.0.0.66 true",
			client + ">" + all + " REQUEST 0.0.0.0:68>255.255.255.255:67 ci 0.0.0.0 yi 0.0.0.0 gi 0.0.0.0 hops 0 server 10.0.0.66 true",
			rogue + ">" + client + " ACK 10.0.0.66:67>10.0.0.100:68 ci 0.0.0.0 yi 10.0.0.100 gi 0.0.0.0 hops 0 server 10.0.0.66 true",
			client + ">" + rogue + " RELEASE 10.0.0.100:68>10.0.0.66:67 ci 10.0.0.100 yi 0.0.0.0 gi 0.0.0.0 hops 0 server 10.0.0.66 true",
		}
		if diff := cmp.Diff(want, s.said()); diff != "" {
			t.Errorf("on the wire (-want +got):\n%s", diff)
		}
		for code, value := range map[int]string{1: "255.0.0.0", 3: "10.0.0.66", 6: "10.0.0.66"} {
			if got, _ := s.seen[4].DHCP.Addr(code); got != addr(value) {
				t.Errorf("option %d of the ACK: %s, want %s", code, got, value)
			}
		}
	})
}

// TestRelayAsks looks at what a relay sends.
func TestRelayAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &segment{}
		stop := s.play(t, station.Part{Role: station.Relay, Number: 1, Address: netip.MustParsePrefix("192.168.1.1/32")})
		time.Sleep(time.Second)
		stop()
		want := []string{
			"02:6b:76:6d:00:21>ff:ff:ff:ff:ff:ff DISCOVER 192.168.1.1:67>255.255.255.255:67 " +
				"ci 0.0.0.0 yi 0.0.0.0 gi 192.168.1.1 hops 1 server invalid IP true",
		}
		if diff := cmp.Diff(want, s.said()); diff != "" {
			t.Errorf("on the wire (-want +got):\n%s", diff)
		}
	})
}

// TestSquatterAnswers asks for the squatter's address by ARP and by an echo, and for another one.
func TestSquatterAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &segment{}
		stop := s.play(t, station.Part{Role: station.Squatter, Number: 1, Address: netip.MustParsePrefix("192.168.1.5/32")})
		asker := s.plug()
		synctest.Wait()
		for _, target := range []string{"192.168.1.5", "192.168.1.6"} {
			for _, frame := range questions(t, target) {
				if _, err := asker.Write(frame); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		stop()
		const squatter, pc = "02:6b:76:6d:00:41", "02:00:00:00:00:01"
		var got []string
		for i, line := range s.said() {
			if s.seen[i].Ethernet.Source.String() == squatter {
				got = append(got, line)
			}
		}
		want := []string{
			squatter + ">" + pc + " ARP " + squatter + " 192.168.1.5 " + pc + " 192.168.1.1",
			squatter + ">" + pc + " ICMP 0 192.168.1.5>192.168.1.1 true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

// questions are an ARP request for an address, and an ICMP echo to it, made by another library.
func questions(t *testing.T, target string) [][]byte {
	t.Helper()
	pc, all := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{255, 255, 255, 255, 255, 255}
	from, to := net.IP{192, 168, 1, 1}, net.IP(addr(target).AsSlice())
	var frames [][]byte
	for _, packet := range [][]gopacket.SerializableLayer{
		{
			&layers.Ethernet{SrcMAC: pc, DstMAC: all, EthernetType: layers.EthernetTypeARP},
			&layers.ARP{
				AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
				Operation: layers.ARPRequest, SourceHwAddress: pc, SourceProtAddress: from, DstHwAddress: make([]byte, 6), DstProtAddress: to,
			},
		},
		{
			&layers.Ethernet{SrcMAC: pc, DstMAC: all, EthernetType: layers.EthernetTypeIPv4},
			&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: from, DstIP: to},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 7, Seq: 1},
			gopacket.Payload("is anybody there?"),
		},
	} {
		buffer := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, packet...); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, append([]byte{}, buffer.Bytes()...))
	}
	return frames
}
