package capture_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// relink gives an Ethernet frame the first octets of another link type, as a capture of that type would hold it; nil for
// a frame that such a link cannot carry.
func relink(number layers.LinkType, frame []byte) []byte {
	kind, payload := frame[12:14], frame[14:]
	way := byte(0)
	switch {
	case frame[0] == 0xff:
		way = 1
	case frame[0]&1 == 1:
		way = 2
	}
	ip := binary.BigEndian.Uint16(kind) == 0x0800
	switch number {
	case layers.LinkTypeEthernet:
		return frame
	case layers.LinkTypeLinuxSLL:
		head := append([]byte{0, way, 0, 1, 0, 6}, frame[6:12]...)
		return append(append(append(head, 0, 0), kind...), payload...)
	case layers.LinkTypeLinuxSLL2:
		head := append(append([]byte{}, kind...), 0, 0, 0, 0, 0, 7, 0, 1, way, 6)
		return append(append(append(head, frame[6:12]...), 0, 0), payload...)
	case layers.LinkTypeNull:
		if ip {
			return append([]byte{2, 0, 0, 0}, payload...)
		}
	case layers.LinkTypeLoop:
		if ip {
			return append([]byte{0, 0, 0, 2}, payload...)
		}
	default:
		if ip {
			return payload
		}
	}
	return nil
}

// linkNumbers are the link types that are decoded beside Ethernet, by their number in files.
var linkNumbers = map[layers.LinkType]capture.LinkType{
	layers.LinkTypeLinuxSLL: capture.LinkCooked, layers.LinkTypeLinuxSLL2: capture.LinkCooked2,
	layers.LinkTypeRaw: capture.LinkRaw, layers.LinkTypeIPv4: capture.LinkRaw, 12: capture.LinkRaw,
	layers.LinkTypeNull: capture.LinkNull, layers.LinkTypeLoop: capture.LinkLoop,
}

// TestLinkTypes: above the link layer a packet is the same, whatever stands before it, and filters say the same of it.
func TestLinkTypes(t *testing.T) {
	t.Parallel()
	filter, err := capture.CompileFilter("udp port 67 or (ether src 02:00:5e:00:53:01 and arp)")
	if err != nil {
		t.Fatal(err)
	}
	for number, kind := range linkNumbers {
		t.Run(number.String(), func(t *testing.T) {
			t.Parallel()
			for i, frame := range mixedFrames(t) {
				data := relink(number, frame.Data)
				if data == nil {
					continue
				}
				want := capture.Decode(frame)
				got := capture.Decode(capture.Frame{Link: kind, Data: data, Length: len(data)})
				if len(want.Ethernet.VLAN) > 0 {
					continue // a cooked header has the type of the tag in it, and what it leaves is another frame
				}
				if got.Ethernet != nil || kind != capture.LinkCooked && kind != capture.LinkCooked2 && got.Cooked != nil {
					t.Errorf("frame %d: a link layer that was not captured: %+v %+v", i, got.Ethernet, got.Cooked)
				}
				if d := cmp.Diff(above(t, want), above(t, got)); d != "" {
					t.Errorf("frame %d (-Ethernet +%s):\n%s", i, kind, d)
				}
				if kind == capture.LinkCooked || want.ARP == nil {
					if filter.MatchPacket(want) != filter.MatchPacket(got) {
						t.Errorf("frame %d: the filter says %v, of Ethernet %v", i, filter.MatchPacket(got), filter.MatchPacket(want))
					}
				}
				for cut := range data {
					capture.Decode(capture.Frame{Link: kind, Data: data[:cut], Length: len(data)}).Fields()
				}
			}
		})
	}
}

// above is a packet's JSON without its link layer and sizes.
func above(t *testing.T, p *capture.Packet) map[string]any {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"eth", "sll", "link_type", "length", "captured", "time"} {
		delete(out, key)
	}
	return out
}

// TestCookedHeader: the pseudo header tells the sender and to whom the frame went, and no destination's address.
func TestCookedHeader(t *testing.T) {
	t.Parallel()
	frame := udpFrame(t, dhcpMessage(53, 1, 1, 255))
	want := map[layers.LinkType]capture.Cooked{
		layers.LinkTypeLinuxSLL:  {Way: capture.CookedBroadcast, Hardware: 1, Source: frame[6:12], Type: capture.TypeIPv4},
		layers.LinkTypeLinuxSLL2: {Way: capture.CookedBroadcast, Hardware: 1, Index: 7, Source: frame[6:12], Type: capture.TypeIPv4},
	}
	for number, cooked := range want {
		p := capture.Decode(capture.Frame{Link: linkNumbers[number], Data: relink(number, frame)})
		if d := cmp.Diff(&cooked, p.Cooked); d != "" {
			t.Errorf("%s (-want +got):\n%s", number, d)
		}
		if !p.Broadcast() || p.Multicast() || p.To() != nil || p.From().String() != capture.HardwareAddr(frame[6:12]).String() {
			t.Errorf("%s: broadcast %v, multicast %v, from %s to %s", number, p.Broadcast(), p.Multicast(), p.From(), p.To())
		}
	}
}

// linkFile is a pcapng file with an interface for each link type, whose frames follow one another.
func linkFile(tb testing.TB, frame []byte, numbers ...layers.LinkType) []byte {
	tb.Helper()
	var out bytes.Buffer
	link := func(number layers.LinkType) pcapgo.NgInterface {
		return pcapgo.NgInterface{Name: number.String(), LinkType: number, TimestampResolution: 9, SnapLength: 65535}
	}
	w, err := pcapgo.NewNgWriterInterface(&out, link(numbers[0]), pcapgo.DefaultNgWriterOptions)
	if err != nil {
		tb.Fatal(err)
	}
	for i, number := range numbers {
		id := 0
		if i > 0 {
			if id, err = w.AddInterface(link(number)); err != nil {
				tb.Fatal(err)
			}
		}
		data := relink(number, frame)
		info := gopacket.CaptureInfo{
			Timestamp: time.Unix(int64(i), 0), CaptureLength: len(data), Length: len(data), InterfaceIndex: id,
		}
		if err := w.WritePacket(info, data); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestMixedFile: every frame of a file is there, in its place, and those that nobody decodes are counted. tshark sees the
// same transaction in the same packets.
func TestMixedFile(t *testing.T) {
	t.Parallel()
	const ieee80211 = layers.LinkType(105)
	numbers := []layers.LinkType{
		layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, ieee80211, layers.LinkTypeRaw, layers.LinkTypeLinuxSLL2,
		layers.LinkTypeNull, layers.LinkTypeLoop,
	}
	file := linkFile(t, udpFrame(t, dhcpMessage(53, 1, 1, 255)), numbers...)
	frames, reader, _ := readAll(bytes.NewReader(file))
	if len(frames) != len(numbers) {
		t.Fatalf("%d frames of %d", len(frames), len(numbers))
	}
	if d := cmp.Diff(map[int]int{105: 1}, reader.Alien()); d != "" {
		t.Errorf("frames that are not decoded (-want +got):\n%s", d)
	}
	var ours []string
	for i, frame := range frames {
		text := ""
		if p := capture.Decode(frame); p.DHCP != nil {
			text = p.DHCP.XID.String()
		}
		if (text == "") != (numbers[i] == ieee80211) {
			t.Errorf("frame %d (%s): transaction %q", i+1, numbers[i], text)
		}
		ours = append(ours, text)
	}

	nstest.RequireCommand(t, "tshark")
	path := filepath.Join(t.TempDir(), "mixed.pcapng")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	theirs := strings.Split(runQuietly(t, "tshark", "-r", path, "-T", "fields", "-e", "dhcp.id"), "\n")
	if d := cmp.Diff(theirs[:len(ours)], ours); d != "" {
		t.Errorf("transactions (-tshark +kvmlab):\n%s", d)
	}
}

// TestGivenFiles reads two files that another program wrote: cooked frames alone, and a cooked one between two others.
func TestGivenFiles(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]capture.LinkType{
		"cooked.pcapng": {capture.LinkCooked},
		"mixed.pcapng":  {capture.LinkEthernet, capture.LinkCooked, capture.LinkEthernet},
	} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		zip := gzip.NewWriter(&packed)
		if _, err := zip.Write(data); err != nil || zip.Close() != nil {
			t.Fatal(err)
		}
		for form, file := range map[string][]byte{"as it is": data, "packed": packed.Bytes()} {
			var got []capture.LinkType
			frames, _, _ := readAll(bytes.NewReader(file))
			for _, frame := range frames {
				got = append(got, frame.Link)
				if p := capture.Decode(frame); p.DHCP == nil || p.DHCP.XID != 0x11223344 {
					t.Errorf("%s, %s: no DHCP message in %+v", name, form, p)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, form, d)
			}
		}
	}
}
