package dhcp_test

import (
	"bytes"
	"net"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"pgregory.net/rapid"

	"github.com/kvmlab/kvmlab/dhcp"
)

// drawOptions draws options with distinct codes, without those that have a meaning for the codec itself.
func drawOptions(t *rapid.T, most int) []dhcp.Option {
	codes := rapid.SliceOfNDistinct(rapid.Uint8Range(1, 254).Filter(func(c uint8) bool {
		return c != dhcp.OptOverload && c != dhcp.OptMessageType && c != dhcp.OptRelayAgentInfo
	}), 0, 12, rapid.ID).Draw(t, "codes")
	var options []dhcp.Option
	for _, code := range codes {
		v := rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, "value")
		options = append(options, dhcp.Option{Code: code, Value: v})
	}
	return options
}

// TestParseAgainstOracle lets the independent codec write messages, and reads them.
func TestParseAgainstOracle(t *testing.T) {
	t.Parallel()
	var m dhcp.Message // used again and again, as the server does
	rapid.Check(t, func(t *rapid.T) {
		options := drawOptions(t, 600)
		chaddr := net.HardwareAddr(rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "chaddr"))
		o, err := dhcpv4.New(
			dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover), dhcpv4.WithHwAddr(chaddr),
			dhcpv4.WithClientIP(net.IPv4(10, 1, 2, 3)), dhcpv4.WithGatewayIP(net.IPv4(10, 9, 8, 7)))
		if err != nil {
			t.Fatal(err)
		}
		for _, option := range options {
			o.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(option.Code), option.Value))
		}
		if err := m.Parse(o.ToBytes()); err != nil {
			t.Fatal(err)
		}
		if m.Type != dhcp.Discover || m.CIAddr != ip("10.1.2.3") || m.GIAddr != ip("10.9.8.7") || m.Op != 1 {
			t.Errorf("header: %+v", m)
		}
		for _, option := range options {
			if got := m.Option(option.Code); !bytes.Equal(got, option.Value) || !m.Has(option.Code) {
				t.Errorf("option %d: %x, want %x", option.Code, got, option.Value)
			}
		}
		if n := len(m.Codes(nil)); n != len(options)+1 {
			t.Errorf("%d options, want %d", n, len(options)+1)
		}
	})
}

// TestBuildAgainstOracle writes replies and lets the independent codec read them. It knows no overload: replies that
// use it are read by the stations' codec.
func TestBuildAgainstOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		options := append([]dhcp.Option{{Code: 53, Value: []byte{2}}}, drawOptions(t, 300)...)
		if rapid.Bool().Draw(t, "relayed") {
			options = append(options, dhcp.Option{Code: 82, Value: []byte{1, 2, 'a', 'b'}})
		}
		limit := rapid.IntRange(548, 1472).Draw(t, "limit")
		b, omitted := dhcp.EncodeReply(nil, 7, eth(alice), ip("192.168.1.9"), options, limit)
		if len(b) < 300 || len(b) > limit {
			t.Fatalf("%d octets, limit %d", len(b), limit)
		}
		r := readReply(frame{payload: b})
		if r.problem != "" {
			t.Fatal(r.problem)
		}
		missing := 0
		for _, o := range options {
			if got := r.option(o.Code); !r.has(o.Code) {
				missing++
			} else if !bytes.Equal(got, o.Value) {
				t.Errorf("option %d: %x, want %x", o.Code, got, o.Value)
			}
		}
		if missing != omitted || !r.has(53) || r.parts[0].Code != 53 {
			t.Errorf("%d options are missing, %d omitted; the parts are %v", missing, omitted, r.codes())
		}
		checkOrder(t, r)
		if !r.has(52) {
			checkByOracle(t, b, options)
		}
	})
}

// checkOrder wants option 82 to be the last of the options field.
func checkOrder(t *rapid.T, r *reply) {
	codes := r.codes()
	codes = codes[:len(codes)-r.inFile-r.inSname]
	if at := slices.Index(codes, 82); at >= 0 && at != len(codes)-1 {
		t.Errorf("option 82 is not the last: %v", codes)
	}
}

func checkByOracle(t *rapid.T, b []byte, options []dhcp.Option) {
	o, err := dhcpv4.FromBytes(b)
	if err != nil {
		t.Fatalf("the oracle: %v", err)
	}
	for _, option := range options {
		if got := o.Options.Get(dhcpv4.GenericOptionCode(option.Code)); !bytes.Equal(got, option.Value) {
			t.Errorf("option %d: %x for the oracle, want %x", option.Code, got, option.Value)
		}
	}
	if o.YourIPAddr.String() != "192.168.1.9" || o.ClientHWAddr.String() != alice.String() {
		t.Errorf("yiaddr %v, chaddr %v", o.YourIPAddr, o.ClientHWAddr)
	}
}

// TestCodecAllocations: neither reading nor writing a message takes memory from the heap.
func TestCodecAllocations(t *testing.T) {
	// Not parallel: AllocsPerRun counts what the whole program allocates.
	plain := newMessage(dhcp.Discover, alice, asking(1, 3, 6, 15), with(61, 1, 2, 3)).bytes()
	split := newMessage(dhcp.Discover, alice, asking(1, 3), with(61, 0, 'a'), asking(6), with(61, 'b')).bytes()
	var m dhcp.Message
	out := make([]byte, 0, 1472)
	short := []dhcp.Option{{Code: 53, Value: []byte{2}}, {Code: 54, Value: serverIP.AsSlice()}, {Code: 82, Value: []byte{1, 0}}}
	full := append(slices.Clone(short[:2]), long(200, 60, 100)...)
	for name, fn := range map[string]func(){
		"parse":            func() { _ = m.Parse(plain) },
		"parse, split":     func() { _ = m.Parse(split) },
		"build":            func() { out, _ = dhcp.EncodeReply(out[:0], 1, eth(alice), serverIP, short, 548) },
		"build, overloads": func() { out, _ = dhcp.EncodeReply(out[:0], 1, eth(alice), serverIP, full, 548) },
	} {
		fn()
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	plain := newMessage(dhcp.Discover, alice, asking(1, 3, 6, 15), with(61, 1, 2, 3)).bytes()
	var m dhcp.Message
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Parse(plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	out := make([]byte, 0, 1472)
	options := []dhcp.Option{{Code: 53, Value: []byte{2}}, {Code: 54, Value: []byte{192, 168, 1, 1}}}
	b.ReportAllocs()
	for b.Loop() {
		out, _ = dhcp.EncodeReply(out[:0], 1, dhcp.Ethernet([6]byte(alice)), serverIP, options, 548)
	}
}
