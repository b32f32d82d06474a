package capture_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// mixedFrames is one frame of each kind that a filter tells apart.
func mixedFrames(tb testing.TB) []capture.Frame {
	tb.Helper()
	var frames []capture.Frame
	add := func(data []byte) {
		frames = append(frames, capture.Frame{Time: noon, Data: data, Length: len(data)})
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	build := func(parts ...gopacket.SerializableLayer) {
		out := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true}, parts...); err != nil {
			tb.Fatal(err)
		}
		add(append([]byte(nil), out.Bytes()...))
	}
	link := func(kind layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: clientMAC, DstMAC: []byte{2, 0, 0x5e, 0, 0x53, 2}, EthernetType: kind}
	}
	ip := func(proto layers.IPProtocol, src, dst string) *layers.IPv4 {
		return &layers.IPv4{
			Version: 4, TTL: 64, Protocol: proto, SrcIP: netip.MustParseAddr(src).AsSlice(), DstIP: netip.MustParseAddr(dst).AsSlice(),
		}
	}
	add(udpFrame(tb, dhcpMessage(53, 1, 1, 255)))
	add(unhex("ffffffffffff 02005e005301 0806 0001 0800 06 04 0001 02005e005301 c0a80102 000000000000 c0a80101"))
	build(link(0x0800), ip(17, "192.168.1.1", "192.168.1.2"), &layers.UDP{SrcPort: 53, DstPort: 4000}, gopacket.Payload("x"))
	build(link(0x0800), ip(6, "192.168.1.2", "10.0.0.1"), &layers.TCP{SrcPort: 67, DstPort: 80})
	build(link(0x0800), ip(1, "192.168.1.2", "192.168.1.1"), &layers.ICMPv4{TypeCode: 0x0800}, gopacket.Payload("ping"))
	options := ip(17, "192.168.1.3", "192.168.1.1")
	options.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 0}}
	build(link(0x0800), options, &layers.UDP{SrcPort: 68, DstPort: 67}, gopacket.Payload("x"))
	fragment := ip(17, "192.168.1.2", "192.168.1.1")
	fragment.FragOffset = 10
	build(link(0x0800), fragment, gopacket.Payload("\x00\x44\x00\x43 rest"))
	six := &layers.IPv6{
		Version: 6, NextHeader: 17, HopLimit: 64, SrcIP: netip.MustParseAddr("fe80::1").AsSlice(), DstIP: netip.MustParseAddr("ff02::1").AsSlice(),
	}
	build(link(0x86dd), six, &layers.UDP{SrcPort: 67, DstPort: 5353}, gopacket.Payload("x"))
	add(unhex("02005e005302 02005e005301 8100 0005 0806 0001 0800 06 04 0001 02005e005301 c0a80102 000000000000 c0a80101"))
	return frames
}

// TestFilterLikeTcpdump: every expression passes the same frames as libpcap's, which tcpdump compiles it with.
func TestFilterLikeTcpdump(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "tcpdump")
	frames := mixedFrames(t)
	file := filepath.Join(t.TempDir(), "mixed.pcap")
	if err := os.WriteFile(file, pcapFile(binary.LittleEndian, true, frames), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, expression := range []string{
		"arp", "icmp", "udp", "tcp", "ip", "ip6", "not arp", "! udp && ip", "port 67", "udp port 67", "tcp port 67", "src port 67",
		"dst port 67", "udp src port 68", "host 192.168.1.2", "src host 192.168.1.2", "dst host 192.168.1.1",
		"net 192.168.1.0/24", "src net 10.0.0.0/8", "dst net 0.0.0.0/0", "ether host 02:00:5e:00:53:02",
		"ether src 02:00:5e:00:53:01", "ether dst host 02:00:5e:00:53:02", "ether broadcast", capture.DHCPFilter,
		"arp or icmp and host 192.168.1.1", "arp or (icmp and host 192.168.1.1)", "not (arp or icmp) and not ip6",
		"not not arp", "udp || tcp and src host 192.168.1.2",
	} {
		t.Run(expression, func(t *testing.T) {
			t.Parallel()
			filter, err := capture.CompileFilter(expression)
			if err != nil {
				t.Fatal(err)
			}
			var ours []byte
			for _, f := range frames {
				if filter.Match(f.Data) {
					ours = append(ours, f.Data...)
				}
			}
			out, err := exec.CommandContext(t.Context(), "tcpdump", "-r", file, "-w", "-", "--", expression).Output()
			if err != nil {
				t.Fatal(err)
			}
			theirs, _, _ := readAll(bytes.NewReader(out))
			var want []byte
			for _, f := range theirs {
				want = append(want, f.Data...)
			}
			if !bytes.Equal(ours, want) {
				t.Errorf("passes %d octets, tcpdump %d (%d frames)", len(ours), len(want), len(theirs))
			}
		})
	}
}

func TestFilterErrors(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]struct {
		at     int
		reason string
	}{
		"":                            {0, "empty"},
		"udp port":                    {8, "a port"},
		"port 70000":                  {5, "a port"},
		"udp src":                     {7, "\"port\" was expected"},
		"port bootps":                 {5, "a port"},
		"host pc1":                    {5, "an IPv4 address"},
		"host fe80::1":                {5, "an IPv4 address"},
		"net 192.168.1.1/24":          {4, "a network"},
		"ether host 192.168.1.1":      {11, "a MAC address"},
		"(arp":                        {4, "a closing bracket"},
		"arp icmp":                    {4, "is missing before it"},
		"arp or":                      {6, "ends where a condition"},
		"greater 100":                 {0, "subset"},
		"udp[8] == 1":                 {3, "subset"},
		strings.Repeat("(", 100):      {0, "nested"},
		strings.Repeat("not ", 100):   {0, "nested"},
		strings.Repeat("udp or ", 99): {0, "too long"},
	} {
		name := expression
		if len(name) > 30 {
			name = name[:30] + "…"
		}
		if strings.HasPrefix(expression, "udp or udp") {
			expression += "udp"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := capture.CompileFilter(expression)
			var bad *capture.FilterError
			if !errors.As(err, &bad) || !strings.Contains(bad.Reason, want.reason) || (want.at > 0 && bad.At != want.at) {
				t.Errorf("error %v at %+v, want %q at %d", err, bad, want.reason, want.at)
			}
		})
	}
}

// FuzzFilter: no expression makes the compiler panic; what compiles runs on any frame.
func FuzzFilter(f *testing.F) {
	f.Add("arp or (udp and port 67) && !host 192.168.1.2", []byte("frame"))
	f.Add("ether src 02:00:5e:00:53:01 or net 10.0.0.0/8", udpFrame(f, nil))
	f.Fuzz(func(_ *testing.T, expression string, frame []byte) {
		if filter, err := capture.CompileFilter(expression); err == nil {
			filter.Match(frame)
		}
	})
}
