package capture_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

var (
	clientMAC = []byte{0x02, 0, 0x5e, 0, 0x53, 1}
	broadcast = []byte{255, 255, 255, 255, 255, 255}
	noon      = time.Date(2026, 3, 2, 12, 0, 0, 123456789, time.UTC)
)

// dhcpMessage is a DISCOVER with these options after the cookie; file and sname are left empty.
func dhcpMessage(options ...byte) []byte {
	b := make([]byte, 236, 300)
	b[0], b[1], b[2] = 1, 1, 6
	binary.BigEndian.PutUint32(b[4:], 0x3903f326)
	binary.BigEndian.PutUint16(b[10:], 0x8000)
	copy(b[28:], clientMAC)
	b = append(b, 0x63, 0x82, 0x53, 0x63)
	return append(b, options...)
}

// udpFrame wraps a payload as a client's broadcast, with right checksums: gopacket is the independent encoder.
func udpFrame(tb testing.TB, payload []byte) []byte {
	tb.Helper()
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Id: 0x1234, Protocol: layers.IPProtocolUDP,
		SrcIP: netip.MustParseAddr("0.0.0.0").AsSlice(), DstIP: netip.MustParseAddr("255.255.255.255").AsSlice(),
	}
	udp := &layers.UDP{SrcPort: 68, DstPort: 67}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		tb.Fatal(err)
	}
	out := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: clientMAC, DstMAC: broadcast, EthernetType: layers.EthernetTypeIPv4}, ip, udp,
		gopacket.Payload(payload))
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func decode(data []byte) *capture.Packet {
	return capture.Decode(capture.Frame{Time: noon, Interface: "br1", Data: data, Length: len(data)})
}

func TestDecodeDiscover(t *testing.T) {
	t.Parallel()
	frame := udpFrame(t, dhcpMessage(53, 1, 1, 55, 3, 1, 3, 6, 61, 7, 1, 2, 0, 0x5e, 0, 0x53, 1, 12, 3, 'p', 'c', '1', 255))
	got := decode(frame)
	want := &capture.Packet{
		Time: noon, Interface: "br1", Length: len(frame), Captured: len(frame),
		Ethernet: &capture.Ethernet{Source: clientMAC, Destination: broadcast, Type: capture.TypeIPv4},
		IP: &capture.IPv4{
			Source: netip.MustParseAddr("0.0.0.0"), Destination: netip.MustParseAddr("255.255.255.255"), Protocol: 17, TTL: 64,
			ID: 0x1234, HeaderLen: 20, TotalLen: len(frame) - 14, ChecksumOK: new(true),
		},
		UDP: &capture.UDP{
			SourcePort: 68, DestinationPort: 67, Length: len(frame) - 34, ChecksumOK: new(true), Checksum: capture.ChecksumGood,
		},
		DHCP: &capture.DHCP{
			Op: 1, HType: 1, HLen: 6, XID: 0x3903f326, Flags: 0x8000, Broadcast: true,
			CIAddr: netip.IPv4Unspecified(), YIAddr: netip.IPv4Unspecified(), SIAddr: netip.IPv4Unspecified(),
			GIAddr: netip.IPv4Unspecified(), CHAddr: clientMAC, Type: capture.Discover, End: true,
			Order: []int{53, 55, 61, 12},
			Options: map[int]*capture.Option{
				53: {Name: "DHCP Message Type", Raw: capture.Hex{1}, Value: uint8(1), Text: "DISCOVER"},
				55: {Name: "Parameter Request List", Raw: capture.Hex{1, 3, 6}, Value: []int{1, 3, 6}},
				61: {
					Name: "Client Identifier", Raw: capture.Hex{1, 2, 0, 0x5e, 0, 0x53, 1},
					Value: capture.ClientID{Type: 1, Hardware: clientMAC},
				},
				12: {Name: "Host Name", Raw: capture.Hex("pc1"), Value: "pc1"},
			},
		},
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(capture.Packet{}), compareAddrs); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// TestOptionValues decodes one option of every form.
func TestOptionValues(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code int
		raw  string
		want string // as JSON
	}{
		"address":                   {1, "ffffff00", `"255.255.255.0"`},
		"addresses":                 {6, "c0a80101c0a80102", `["192.168.1.1","192.168.1.2"]`},
		"signed number":             {2, "fffff1f0", `-3600`},
		"seconds":                   {51, "00000258", `600`},
		"sixteen bits":              {57, "05dc", `1500`},
		"boolean":                   {19, "01", `true`},
		"text":                      {15, "61756c612e6c616e", `"aula.lan"`},
		"text with a final zero":    {12, "70633100", `"pc1"`},
		"text that is no UTF-8":     {12, "70ff", `"p\\xff"`},
		"text with an escape":       {56, "1b5b324a", `"\\x1b[2J"`},
		"text that turns around":    {12, "61e280ae62", `"a\\u202eb"`},
		"text of a language":        {12, "6a6f73c3a9", `"josé"`},
		"names with an escape":      {119, "031b5b6d00", `["\\x1b[m"]`},
		"codes":                     {55, "0103062a", `[1,3,6,42]`},
		"pairs":                     {33, "0a000001c0a80101", `[{"first":"10.0.0.1","second":"192.168.1.1"}]`},
		"client identifier, text":   {61, "00616263", `{"type":0,"id":"616263","text":"abc"}`},
		"client identifier, DUID":   {61, "ff5e005301000100012a2b2c2d02005e005301", `{"type":255,"iaid":"5e005301","duid":"000100012a2b2c2d02005e005301"}`},
		"classless routes":          {121, "00c0a80101180a0102c0a80102", `[{"destination":"0.0.0.0/0","router":"192.168.1.1"},{"destination":"10.1.2.0/24","router":"192.168.1.2"}]`},
		"compressed names":          {119, "036f6e65046175616c616c616e00", `null`},
		"names":                     {119, "04617561610361626300036f6e65c000", `["auaa.abc","one.auaa.abc"]`},
		"FQDN":                      {81, "050000037063310461756c6100", `{"flags":5,"rcode1":0,"rcode2":0,"name":"pc1.aula"}`},
		"rapid commit":              {80, "", `true`},
		"relay information":         {82, "01047461703105040a000001", `{"1":{"name":"Agent Circuit ID","raw":"74617031","value":"74617031","text":"tap1"},"5":{"name":"Link Selection","raw":"0a000001","value":"10.0.0.1"}}`},
		"architecture":              {93, "0007", `[7]`},
		"vendor class by number":    {124, "0000000902abcd", `[{"enterprise":9,"data":"abcd"}]`},
		"user class, as in the RFC": {77, "03616263", `["abc"]`},
		"user class, bare":          {77, "69505845", `["iPXE"]`},
		"SIP servers":               {120, "01c0a80105", `["192.168.1.5"]`},
		"no RFC's option":           {224, "dead", `"dead"`},
		"address, cut":              {54, "c0a801", `null`},
		"routes, cut":               {121, "18c0", `null`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := hex.DecodeString(test.raw)
			if err != nil {
				t.Fatal(err)
			}
			p := decode(udpFrame(t, dhcpMessage(append([]byte{byte(test.code), byte(len(raw))}, raw...)...)))
			option := p.DHCP.Option(test.code)
			if option == nil || option.Raw.String() != test.raw {
				t.Fatalf("option %+v, malformed %q", option, p.Malformed)
			}
			got, err := json.Marshal(option.Value)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("value\n%s, want\n%s", got, test.want)
			}
			if (test.want == "null") != (option.Malformed != "" && p.Malformed != "") {
				t.Errorf("malformed is %q in the option and %q in the packet", option.Malformed, p.Malformed)
			}
		})
	}
}

// TestOverloadAndParts: options go on in file and then sname, and parts of one option are joined in that order.
func TestOverloadAndParts(t *testing.T) {
	t.Parallel()
	b := dhcpMessage(53, 1, 2, 52, 1, 3, 12, 2, 'a', 'b', 255)
	copy(b[108:], []byte{12, 2, 'c', 'd', 255})
	copy(b[44:], []byte{12, 1, 'e', 3, 4, 192, 168, 1, 1, 255})
	p := decode(udpFrame(t, b))
	if p.Malformed != "" {
		t.Errorf("malformed: %s", p.Malformed)
	}
	if d := cmp.Diff([]int{53, 52, 12, 3}, p.DHCP.Order); d != "" {
		t.Errorf("order: %s", d)
	}
	if name := p.DHCP.Option(12); name.Value != "abcde" || name.Parts != 3 {
		t.Errorf("option 12 is %+v", name)
	}
	if router, ok := p.DHCP.Addr(3); !ok || router.String() != "192.168.1.1" {
		t.Errorf("router is %v", router)
	}
	if p.DHCP.File != "" || p.DHCP.SName != "" {
		t.Errorf("file %q and sname %q hold options", p.DHCP.File, p.DHCP.SName)
	}
}

// TestMalformed: what can be read is there, and the reason says what could not.
func TestMalformed(t *testing.T) {
	t.Parallel()
	whole := udpFrame(t, dhcpMessage(53, 1, 1, 255))
	change := func(at int, value ...byte) []byte {
		b := append([]byte(nil), whole...)
		copy(b[at:], value)
		return b
	}
	tests := map[string]struct {
		data   []byte
		length int // on the wire; 0: as long as data
		want   string
	}{
		"empty":                    {nil, 0, "the frame ends inside the Ethernet header: 0 of 14"},
		"cut by the capture":       {whole[:60], len(whole), "the capture cut the frame inside the IPv4 packet"},
		"IP version":               {change(14, 0x65), 0, "IP version 6"},
		"IP header length":         {change(14, 0x44), 0, "an IPv4 header of 16 octets"},
		"IP length below header":   {change(16, 0, 10), 0, "an IPv4 packet of 10 octets with a header of 20"},
		"IP longer than the frame": {change(16, 0x10, 0), 0, "the frame ends inside the IPv4 packet"},
		"UDP length":               {change(38, 0, 4), 0, "a UDP datagram of 4 octets"},
		"UDP longer than IP":       {change(38, 0x10, 0), 0, "a UDP datagram of 4096 octets in an IPv4 packet with room for"},
		"op":                       {change(42, 7), 0, "op is 7"},
		"hlen":                     {change(44, 17), 0, "hlen is 17"},
		"short message":            {udpFrame(t, make([]byte, 100)), 0, "a DHCP message of 100 octets"},
		"option without length":    {udpFrame(t, dhcpMessage(53, 1, 1, 12)), 0, "option 12 (Host Name) is the last octet"},
		"option too long":          {udpFrame(t, dhcpMessage(53, 1, 1, 12, 9, 'a')), 0, "option 12 (Host Name) says that it has 9 octets, and 1 are left in options"},
		"overload":                 {udpFrame(t, dhcpMessage(52, 1, 4, 255)), 0, "option 52 (Option Overload) is 04"},
		"message type of two":      {udpFrame(t, dhcpMessage(53, 2, 1, 1, 255)), 0, "option 53 (DHCP Message Type): 2 octets, want 1"},
		"ARP cut":                  {append(append(append([]byte{}, broadcast...), clientMAC...), 8, 6, 0, 1), 0, "the frame ends inside the ARP message: 2 of 28"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := capture.Decode(capture.Frame{Data: test.data, Length: test.length})
			if !strings.Contains(p.Malformed, test.want) {
				t.Errorf("malformed is %q, want %q in it", p.Malformed, test.want)
			}
			p.Fields() // must not panic
		})
	}
	p := capture.Decode(capture.Frame{Data: whole[:200], Length: len(whole)})
	if p.DHCP == nil && p.UDP == nil {
		t.Error("nothing is left of a frame that was cut late")
	}
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	good := udpFrame(t, dhcpMessage(53, 1, 1, 255))
	with := func(sum uint16) []byte {
		b := append([]byte(nil), good...)
		binary.BigEndian.PutUint16(b[40:], sum)
		return b
	}
	// The sum of the pseudo header alone, as Linux leaves it for a card: 0.0.0.0, 255.255.255.255, 17, the length.
	partial := uint32(0xffff + 0xffff + 17 + len(good) - 34)
	for partial > 0xffff {
		partial = partial>>16 + partial&0xffff
	}
	tests := map[string]struct {
		data []byte
		want capture.Checksum
	}{
		"right":      {good, capture.ChecksumGood},
		"none":       {with(0), capture.ChecksumNone},
		"wrong":      {with(0xdead), capture.ChecksumBad},
		"unfinished": {with(uint16(partial)), capture.ChecksumUnfinished},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := decode(test.data).UDP
			if u.Checksum != test.want || (u.ChecksumOK != nil) != (test.want == "good" || test.want == "bad") {
				t.Errorf("checksum is %s (%v), want %s", u.Checksum, u.ChecksumOK, test.want)
			}
		})
	}
}

func TestVLANAndARP(t *testing.T) {
	t.Parallel()
	frame, err := hex.DecodeString("ffffffffffff02005e005301" + "88a86064" + "81000005" + "0806" +
		"0001080006040001" + "02005e005301" + "00000000" + "000000000000" + "c0a80105")
	if err != nil {
		t.Fatal(err)
	}
	p := decode(frame)
	want := []capture.VLAN{{ID: 100, Priority: 3, Type: capture.TypeVLAN}, {ID: 5, Type: capture.TypeARP}}
	if d := cmp.Diff(want, p.Ethernet.VLAN); d != "" || p.Ethernet.Type != capture.TypeQinQ {
		t.Errorf("type %s, tags %s", p.Ethernet.Type, d)
	}
	if p.ARP == nil || p.ARP.Kind != capture.ARPProbe || p.ARP.TargetIP.String() != "192.168.1.5" {
		t.Errorf("ARP %+v", p.ARP)
	}
}

// TestFieldsCoverTheirOctets: each field's octets are those that its text was read from.
func TestFieldsCoverTheirOctets(t *testing.T) {
	t.Parallel()
	p := decode(udpFrame(t, dhcpMessage(53, 1, 1, 50, 4, 192, 168, 1, 5, 255)))
	want := map[string]string{
		"eth.src": "02005e005301", "ip.dst": "ffffffff", "udp.dport": "0043", "dhcp.xid": "3903f326",
		"dhcp.chaddr": "02005e005301", "dhcp.options.53": "350101", "dhcp.options.50": "3204c0a80105",
	}
	for _, field := range p.Fields() {
		if octets, ok := want[field.Key]; ok {
			if got := hex.EncodeToString(p.Data()[field.Start:field.End]); got != octets {
				t.Errorf("%s (%s) covers %s, want %s", field.Key, field.Text, got, octets)
			}
			delete(want, field.Key)
		}
	}
	if len(want) > 0 {
		t.Errorf("no fields %v", want)
	}
}

// FuzzDecode: any octets decode without a panic, the JSON form is valid, and fields stay inside the frame.
func FuzzDecode(f *testing.F) {
	f.Add(udpFrame(f, dhcpMessage(53, 1, 1, 55, 3, 1, 3, 6, 82, 4, 1, 2, 'a', 'b', 255)), uint16(0))
	overload := dhcpMessage(53, 1, 2, 52, 1, 3, 255)
	copy(overload[108:], []byte{119, 6, 3, 'a', 'b', 'c', 0xc0, 0, 121, 5, 0, 1, 2, 3, 4, 255})
	f.Add(udpFrame(f, overload), uint16(20))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x5e\x00\x53\x01\x81\x00\x00\x05\x08\x06\x00\x01\x08\x00\x06\x04"), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		link := capture.LinkType(cut % (uint16(capture.LinkUnknown) + 1))
		p := capture.Decode(capture.Frame{Link: link, Data: data, Length: len(data) + int(cut)})
		if out, err := json.Marshal(p); err != nil || !json.Valid(out) {
			t.Fatalf("marshal: %v", err)
		}
		for _, field := range p.Fields() {
			if field.Start < 0 || field.End > len(data) || field.Start > field.End {
				t.Fatalf("%s covers %d to %d of %d octets", field.Key, field.Start, field.End, len(data))
			}
		}
	})
}
