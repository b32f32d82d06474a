package dhcp_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/dhcp"
)

// TestParseOption is the octets of each type of option. The routes are the examples of RFC 3442.
func TestParseOption(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, value string
		want        []byte
	}{
		{"classless-routes", "0.0.0.0/0 192.168.1.1", []byte{0, 192, 168, 1, 1}},
		{"classless-routes", "10.0.0.0/8 192.168.1.1", []byte{8, 10, 192, 168, 1, 1}},
		{"classless-routes", "10.0.0.0/24 192.168.1.1", []byte{24, 10, 0, 0, 192, 168, 1, 1}},
		{"classless-routes", "10.17.0.0/16 192.168.1.1", []byte{16, 10, 17, 192, 168, 1, 1}},
		{"classless-routes", "10.27.129.0/24 192.168.1.1", []byte{24, 10, 27, 129, 192, 168, 1, 1}},
		{"classless-routes", "10.229.0.128/25 192.168.1.1", []byte{25, 10, 229, 0, 128, 192, 168, 1, 1}},
		{"classless-routes", "10.198.122.47/32 192.168.1.1", []byte{32, 10, 198, 122, 47, 192, 168, 1, 1}},
		{"classless-routes", "128.0.0.0/1 10.0.0.1", []byte{1, 128, 10, 0, 0, 1}},
		{"121", "10.128.0.0/9 via 10.0.0.1 , 0.0.0.0/0 10.0.0.2", []byte{9, 10, 128, 10, 0, 0, 1, 0, 10, 0, 0, 2}},
		{"domain-search", "lan", []byte("\x03lan\x00")},
		{"domain-search", "aula.lan, example.org.", []byte("\x04aula\x03lan\x00\x07example\x03org\x00")},
		{"domain-search", strings.Repeat("a", 63), []byte("\x3f" + strings.Repeat("a", 63) + "\x00")},
		{"ip-forwarding", "true", []byte{1}},
		{"ip-forwarding", "false", []byte{0}},
		{"default-ttl", "255", []byte{255}},
		{"default-ttl", "0x40", []byte{64}},
		{"interface-mtu", "1500", []byte{0x05, 0xdc}},
		{"interface-mtu", "65535", []byte{255, 255}},
		{"time-offset", "3600", []byte{0, 0, 0x0e, 0x10}},
		{"time-offset", "-3600", []byte{0xff, 0xff, 0xf1, 0xf0}},
		{"time-offset", "-2147483648", []byte{0x80, 0, 0, 0}},
		{"arp-cache-timeout", "4294967295", []byte{255, 255, 255, 255}},
		{"router", "192.168.1.1,192.168.1.2", []byte{192, 168, 1, 1, 192, 168, 1, 2}},
		{"broadcast-address", " 192.168.1.255 ", []byte{192, 168, 1, 255}},
		{"domain-name", "aula.lan", []byte("aula.lan")},
		{"domain-name", `"aula.lan"`, []byte("aula.lan")},
		{"vendor-specific", "01:02:ff", []byte{1, 2, 255}},
		{"224", "0102ff", []byte{1, 2, 255}},
		{"224", `"text"`, []byte("text")},
	} {
		o, err := dhcp.ParseOption(tt.name, tt.value)
		if err != nil || !bytes.Equal(o.Value, tt.want) {
			t.Errorf("%s %q: %x, %v, want %x", tt.name, tt.value, o.Value, err, tt.want)
		}
		if n := dhcp.OptionName(o.Code); n != tt.name && tt.name != "121" {
			t.Errorf("%s has the code %d, which is %s", tt.name, o.Code, n)
		}
	}
}

// TestParseOptionRefuses is what is not of an option's type, and what a site has no say in.
func TestParseOptionRefuses(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"classless-routes": {
			"", "10.0.0.0/8", "10.0.0.1/8 10.0.0.1", "10.0.0.0/33 10.0.0.1", "10.0.0.0/8 ::1", "10.0.0.0/8 to 10.0.0.1",
			"10.0.0.0/8 10.0.0.1,", "::/0 10.0.0.1",
		},
		"domain-search":       {"", "aula..lan", "lan,", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "aa"},
		"ip-forwarding":       {"", "yes", "2"},
		"default-ttl":         {"", "256", "-1"},
		"interface-mtu":       {"65536", "1.5"},
		"time-offset":         {"2147483648", "-2147483649"},
		"arp-cache-timeout":   {"4294967296", "-1"},
		"ipv6-only-preferred": {"1800"},
		"router":              {"", "192.168.1.1,", "::1"},
		"broadcast-address":   {"10.0.0.1,10.0.0.2"},
		"domain-name":         {"", `""`},
		"224":                 {"xyz", "123"},
		"rooter":              {"192.168.1.1"},
		"0":                   {"01"}, "255": {"01"}, "256": {"01"}, "-1": {"01"}, // no codes
		"51": {"00000e10"}, "52": {"01"}, "53": {"01"}, "54": {"c0a80101"}, "82": {"01"}, "116": {"00"}, // the server's own
	} {
		for _, value := range values {
			o, err := dhcp.ParseOption(name, value)
			if _, ok := errors.AsType[*dhcp.OptionError](err); !ok {
				t.Errorf("%s %q is taken for %v: %v", name, value, o, err)
			}
		}
	}
}
