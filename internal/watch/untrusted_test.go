package watch_test

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"unicode"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// textFrame is a NAK, or a DISCOVER, whose options and fields of text all say the same.
func textFrame(tb testing.TB, kind dhcpv4.MessageType, text []byte) capture.Frame {
	tb.Helper()
	m, err := dhcpv4.New(dhcpv4.WithHwAddr(net.HardwareAddr(pcMAC)), dhcpv4.WithMessageType(kind))
	if err != nil {
		tb.Fatal(err)
	}
	source, sport, dport := pcMAC, layers.UDPPort(68), layers.UDPPort(67)
	if kind == dhcpv4.MessageTypeNak {
		m.OpCode, source, sport, dport = dhcpv4.OpcodeBootReply, serverMAC, 67, 68
	}
	m.ServerHostName, m.BootFileName = string(text[:min(len(text), 60)]), string(text[:min(len(text), 120)])
	text = text[:min(len(text), 100)]
	for _, code := range []uint8{12, 14, 15, 17, 56, 60, 61, 66, 67, 77, 82, 90, 97, 100, 114, 124, 161, 209, 224} {
		m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), text))
	}
	label := append([]byte{byte(min(len(text), 60))}, append(bytes.Clone(text[:min(len(text), 60)]), 0)...)
	m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionDNSDomainSearchList, label))
	m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionFQDN, append([]byte{0, 0, 0}, text...)))
	m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionRelayAgentInformation, append([]byte{1, byte(len(text))}, text...)))
	head := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4zero, DstIP: net.IPv4bcast}
	udp := layers.UDP{SrcPort: sport, DstPort: dport}
	if err := udp.SetNetworkLayerForChecksum(&head); err != nil {
		tb.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true},
		&layers.Ethernet{SrcMAC: net.HardwareAddr(source), DstMAC: net.HardwareAddr(everybody), EthernetType: layers.EthernetTypeIPv4}, &head, &udp,
		gopacket.Payload(m.ToBytes())); err != nil {
		tb.Fatal(err)
	}
	return capture.Frame{Time: start, Interface: "br1", Length: len(buf.Bytes()), Data: buf.Bytes()}
}

// FuzzTexts has a guest put any text into every option that takes one: nothing that acts on a terminal may come out, as a
// sentence, as JSON, on the ladder's screens or among the fields of a packet.
func FuzzTexts(f *testing.F) {
	for _, text := range []string{"pc1", "josé", "\x1b[2J\x1b]0;x\x07", "a\u202eb", "\u009b31m", "\xff\x00\x7f", "\r\n\t", "=1+1"} {
		f.Add([]byte(text))
	}
	say := speaker(f, "en")
	f.Fuzz(func(t *testing.T, text []byte) {
		follower := watch.NewFollower(watch.NewNames())
		ladder := watch.NewLadder(watch.LadderOptions{Say: say, Title: "x", Names: follower.Names})
		ladder.Resize(200, 60)
		quiet := func(what, shown string) {
			if strings.ContainsFunc(strings.ReplaceAll(shown, "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s: %q", what, shown)
			}
		}
		for _, kind := range []dhcpv4.MessageType{dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeNak} {
			record := follower.Next(capture.Decode(textFrame(t, kind, text)))
			if record.DHCP == nil {
				t.Fatal("no DHCP message")
			}
			var line bytes.Buffer
			if err := record.WriteJSON(&line); err != nil {
				t.Fatal(err)
			}
			quiet("JSON", line.String())
			quiet("sentence", record.Sentence(say, 0))
			for _, field := range record.Fields() {
				quiet(field.Key, field.Text)
			}
			ladder.Add(record)
		}
		quiet("ladder", strings.Join(ladder.View(), "\n"))
		ladder.Key("enter")
		quiet("layers", strings.Join(ladder.View(), "\n"))
	})
}

// TestHostNames are what stations are called by what they call themselves.
func TestHostNames(t *testing.T) {
	for name, want := range map[string]string{
		"pc1":                   "pc1",
		"portàtil-de-josé":      "portàtil-de-josé",
		"教室-3":                  "教室-3",
		"evil\x1b[2J":           pcMAC.String(),
		"gpj\u202e.exe":         pcMAC.String(),
		"two words":             pcMAC.String(),
		strings.Repeat("x", 40): pcMAC.String(),
	} {
		follower := watch.NewFollower(watch.NewNames())
		record := follower.Next(capture.Decode(textFrame(t, dhcpv4.MessageTypeDiscover, []byte(name))))
		if record.Stations.Source != want {
			t.Errorf("%q: %q, want %q", name, record.Stations.Source, want)
		}
	}
}
