package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// TestWatchAgainstTshark decodes captures of real clients with real servers twice, with kvmlab and with tshark, and
// compares every field.
func TestWatchAgainstTshark(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "tshark", "capinfos")
	for server := range dhcpServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			compareWithTshark(t, newTestWire(t).makeCorpus(server))
		})
	}
}

// compareWithTshark compares the decodes of a file, which must hold exchanges.
func compareWithTshark(t *testing.T, file string) {
	t.Helper()
	quietly(t, "capinfos", file)
	theirs := tsharkPackets(t, file)
	lines := strings.Split(strings.TrimSpace(watchFile(t, file, "-o", "json")), "\n")
	if len(lines) != len(theirs) {
		t.Fatalf("%d packets, tshark sees %d", len(lines), len(theirs))
	}
	messages := 0
	for i, line := range lines {
		var ours map[string]any
		if err := json.Unmarshal([]byte(line), &ours); err != nil {
			t.Fatal(err)
		}
		if ours["malformed"] != nil {
			t.Errorf("packet %d is malformed: %v", i+1, ours["malformed"])
		}
		if ours["dhcp"] != nil {
			messages++
		}
		got, want := ourFields(t, ours), theirFields(t, theirs[i])
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("packet %d (-tshark +kvmlab):\n%s", i+1, d)
		}
	}
	if messages < 12 {
		t.Errorf("only %d DHCP messages in the corpus", messages)
	}
	t.Logf("%d packets, %d DHCP messages", len(lines), messages)
}

// quietly runs a program of Wireshark's, which must not complain of anything.
func quietly(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(nstest.Limit(t), name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	said := strings.ReplaceAll(stderr.String(), "Running as user \"root\" and group \"root\". This could be dangerous.\n", "")
	if err != nil || said != "" {
		t.Fatalf("%s: %v\n%s", name, err, said)
	}
	return out
}

// tree is a JSON object with its keys in order, because tshark repeats keys.
type tree []branch

type branch struct {
	key   string
	value any // string, tree or []any
}

func (b *tree) UnmarshalJSON(data []byte) error {
	in := json.NewDecoder(bytes.NewReader(data))
	if _, err := in.Token(); err != nil { // {
		return err
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := in.Decode(&raw); err != nil {
			return err
		}
		next := branch{key: key.(string)}
		if raw[0] == '{' {
			var inner tree
			if err := json.Unmarshal(raw, &inner); err != nil {
				return err
			}
			next.value = inner
		} else if err := json.Unmarshal(raw, &next.value); err != nil {
			return err
		}
		*b = append(*b, next)
	}
	return nil
}

// child is the first subtree called key.
func (b tree) child(key string) tree {
	for _, x := range b {
		if inner, ok := x.value.(tree); ok && x.key == key {
			return inner
		}
	}
	return nil
}

// all are the values called key, at any depth.
func (b tree) all(key string) (out []string) {
	for _, x := range b {
		switch v := x.value.(type) {
		case tree:
			out = append(out, v.all(key)...)
		case string:
			if x.key == key {
				out = append(out, v)
			}
		}
	}
	return out
}

func (b tree) one(key string) string {
	if all := b.all(key); len(all) > 0 {
		return all[0]
	}
	return ""
}

func tsharkPackets(t *testing.T, file string) []tree {
	t.Helper()
	out := quietly(t, "tshark", "-r", file, "-T", "json", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
	var packets []tree
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&packets); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	var layers []tree
	for _, p := range packets {
		layers = append(layers, p.child("_source").child("layers"))
	}
	return layers
}

// fieldNames are our JSON keys and tshark's names for the same.
var fieldNames = map[string][][2]string{
	"eth": {{"src", "eth.src"}, {"dst", "eth.dst"}, {"type", "eth.type"}},
	"arp": {
		{"op", "arp.opcode"},
		{"sender_mac", "arp.src.hw_mac"},
		{"sender_ip", "arp.src.proto_ipv4"},
		{"target_mac", "arp.dst.hw_mac"},
		{"target_ip", "arp.dst.proto_ipv4"},
	},
	"ip": {
		{"src", "ip.src"},
		{"dst", "ip.dst"},
		{"proto", "ip.proto"},
		{"ttl", "ip.ttl"},
		{"id", "ip.id"},
		{"tos", "ip.dsfield"},
		{"total_length", "ip.len"},
		{"header_length", "ip.hdr_len"},
		{"dont_fragment", "ip.flags.df"},
		{"more_fragments", "ip.flags.mf"},
		{"fragment_offset", "ip.frag_offset"},
		{"checksum_ok", "ip.checksum.status"},
	},
	"icmp": {{"type", "icmp.type"}, {"code", "icmp.code"}, {"checksum_ok", "icmp.checksum.status"}},
	"udp": {
		{"sport", "udp.srcport"}, {"dport", "udp.dstport"}, {"length", "udp.length"}, {"checksum_ok", "udp.checksum.status"},
	},
	"dhcp": {
		{"op", "dhcp.type"},
		{"htype", "dhcp.hw.type"},
		{"hlen", "dhcp.hw.len"},
		{"hops", "dhcp.hops"},
		{"xid", "dhcp.id"},
		{"secs", "dhcp.secs"},
		{"flags", "dhcp.flags"},
		{"broadcast", "dhcp.flags.bc"},
		{"ciaddr", "dhcp.ip.client"},
		{"yiaddr", "dhcp.ip.your"},
		{"siaddr", "dhcp.ip.server"},
		{"giaddr", "dhcp.ip.relay"},
		{"chaddr", "dhcp.hw.mac_addr"},
		{"sname", "dhcp.server"},
		{"file", "dhcp.file"},
	},
}

// normal writes numbers of any base and booleans alike.
func normal(s string) string {
	switch s {
	case "true":
		return "1"
	case "false":
		return "0"
	}
	if n, err := strconv.ParseUint(s, 0, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return s
}

func ourFields(t *testing.T, packet map[string]any) map[string]string {
	t.Helper()
	out := map[string]string{"time": fmt.Sprint(packet["time"]), "length": plain(packet["length"])}
	for layer, names := range fieldNames {
		fields, ok := packet[layer].(map[string]any)
		if !ok {
			continue
		}
		for _, name := range names {
			if value, ok := fields[name[0]]; ok {
				out[layer+"."+name[0]] = normal(plain(value))
			} else if fields["checksum"] == "unfinished" { // tshark calls it bad, "maybe caused by offload"
				out[layer+"."+name[0]] = "0"
			} else if name[0] == "checksum_ok" {
				out[layer+"."+name[0]] = "unknown"
			}
		}
	}
	if d, ok := packet["dhcp"].(map[string]any); ok {
		out["dhcp.option_order"] = plain(d["option_order"])
		for code, option := range d["options"].(map[string]any) {
			fields := option.(map[string]any)
			out["option "+code] = fmt.Sprint(fields["raw"])
			if value, ok := ourValue(code, fields["value"]); ok {
				out["value "+code] = value
			}
		}
	}
	return out
}

// plain writes a JSON value as text: a list with commas.
func plain(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = plain(v[i])
		}
		return strings.Join(parts, ",")
	default:
		return fmt.Sprint(v)
	}
}

// optionFields are tshark's names of what is in an option.
var optionFields = map[string][]string{
	"1": {"dhcp.option.subnet_mask"}, "3": {"dhcp.option.router"}, "6": {"dhcp.option.domain_name_server"},
	"12": {"dhcp.option.hostname"}, "15": {"dhcp.option.domain_name"}, "26": {"dhcp.option.interface_mtu"},
	"28": {"dhcp.option.broadcast_address"}, "42": {"dhcp.option.ntp_server"}, "50": {"dhcp.option.requested_ip_address"},
	"51": {"dhcp.option.ip_address_lease_time"}, "53": {"dhcp.option.dhcp"}, "54": {"dhcp.option.dhcp_server_id"},
	"55": {"dhcp.option.request_list_item"}, "56": {"dhcp.option.message"}, "57": {"dhcp.option.dhcp_max_message_size"},
	"58": {"dhcp.option.renewal_time_value"}, "59": {"dhcp.option.rebinding_time_value"},
	"60": {"dhcp.option.vendor_class_id"}, "61": {"dhcp.hw.mac_addr", "dhcp.client_id.iaid", "dhcp.client_id.uuid"},
	"81":  {"dhcp.fqdn.flags", "dhcp.fqdn.rcode1", "dhcp.fqdn.rcode2", "dhcp.fqdn.name"},
	"119": {"dhcp.option.dhcp_dns_domain_search_list_fqdn"},
}

// rawOnly are options that are compared by their octets: tshark shows no more of them, or in a form of its own.
var rawOnly = []string{"77", "80", "116", "121", "145", "52", "43", "82"}

func ourValue(code string, value any) (string, bool) {
	fields, isObject := value.(map[string]any)
	switch {
	case optionFields[code] == nil:
		return "", false
	case code == "61" && fields["mac"] != nil:
		return fmt.Sprint(fields["mac"]), true
	case code == "61" && fields["iaid"] != nil:
		return plain(fields["iaid"]), true
	case code == "61":
		return "", false
	case code == "81" && isObject:
		return strings.Join([]string{
			plain(fields["flags"]), plain(fields["rcode1"]), plain(fields["rcode2"]), plain(fields["name"]),
		}, ","), true
	}
	return plain(value), true
}

func theirFields(t *testing.T, layers tree) map[string]string {
	t.Helper()
	epoch := layers.child("frame").one("frame.time_epoch")
	out := map[string]string{"time": rfc3339(t, epoch), "length": layers.child("frame").one("frame.len")}
	for layer, names := range fieldNames {
		fields := layers.child(layer)
		if fields == nil {
			continue
		}
		if layer == "dhcp" { // without the options, some of which have fields of the same names
			fields = slices.DeleteFunc(slices.Clone(fields), func(b branch) bool { return b.key == "dhcp.option.type_tree" })
		}
		for _, name := range names {
			value := normal(fields.one(name[1]))
			switch {
			case name[0] == "checksum_ok": // 0 bad, 1 good, 2 unverified, 3 not there
				value = map[string]string{"0": "0", "1": "1"}[value]
				if value == "" {
					value = "unknown"
				}
			case name[0] == "fragment_offset": // tshark 4 shows the field itself, which counts eight octets as one
				units, err := strconv.Atoi(value)
				if err != nil {
					t.Fatal(err)
				}
				value = strconv.Itoa(8 * units)
			case value == "" && (name[0] == "sname" || name[0] == "file"):
				continue
			}
			out[layer+"."+name[0]] = value
		}
	}
	if layers.child("dhcp") != nil {
		theirOptions(t, layers.child("dhcp"), out)
	}
	return out
}

// theirOptions adds the options: tshark has a type and then a tree of each.
func theirOptions(t *testing.T, fields tree, out map[string]string) {
	t.Helper()
	var order []string
	code := ""
	for _, b := range fields {
		switch b.key {
		case "dhcp.option.type":
			code = b.value.(string)
		case "dhcp.option.type_tree":
			inner := b.value.(tree)
			if code == "0" || code == "255" { // tshark 4.0 says 0 for End
				continue
			}
			order = append(order, code)
			out["option "+code] = strings.ReplaceAll(inner.one("dhcp.option.value"), ":", "")
			names := optionFields[code]
			if names == nil && !slices.Contains(rawOnly, code) {
				t.Errorf("option %s is not compared with tshark: %v", code, inner)
			}
			var values []string
			for _, name := range names {
				for _, value := range inner.all(name) {
					if name == "dhcp.client_id.iaid" || name == "dhcp.fqdn.flags" {
						value = normalIAID(name, value)
					}
					values = append(values, value)
				}
			}
			if len(values) > 0 {
				out["value "+code] = strings.Join(values, ",")
			}
		}
	}
	out["dhcp.option_order"] = strings.Join(order, ",")
}

func normalIAID(name, value string) string {
	if name == "dhcp.fqdn.flags" {
		return normal(value)
	}
	return strings.TrimPrefix(strings.ReplaceAll(value, ":", ""), "0x")
}

// rfc3339 writes seconds since 1970 as our JSON has times.
func rfc3339(t *testing.T, epoch string) string {
	t.Helper()
	whole, fraction, _ := strings.Cut(epoch, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	nanos, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return timeText(seconds, nanos)
}
