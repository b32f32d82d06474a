package check_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/station"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// The lab of these tests: pc1, srv with two cards, and a stranger.
var (
	pc1      = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	srv      = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	rogue    = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	everyone = net.HardwareAddr{255, 255, 255, 255, 255, 255}
	srvIP    = netip.MustParseAddr("192.168.1.1")
	rogueIP  = netip.MustParseAddr("192.168.1.99")
	offered  = netip.MustParseAddr("192.168.1.5")
	none     = netip.IPv4Unspecified()
	allOnes  = netip.MustParseAddr("255.255.255.255")
)

const wireLab = `
version: 1
name: test
bridges: [{name: br1}, {name: br2}]
guests:
  - {name: pc1, nics: [{bridge: br1, mac: "02:00:00:00:00:01"}]}
  - {name: srv, nics: [{bridge: br1, mac: "02:00:00:00:00:02"}, {bridge: br1, mac: "02:00:00:00:00:03"}]}
`

// said is one message of a wire that never was.
type said struct {
	kind   dhcpv4.MessageType
	from   net.HardwareAddr
	xid    byte
	at     time.Duration // since pc1 was asked to begin anew
	to     net.HardwareAddr
	dst    netip.Addr
	ciaddr netip.Addr
	lease  time.Duration
	client net.HardwareAddr // pc1 when it is nil
}

// frame builds the message with the libraries that are the oracle elsewhere.
func (s said) frame(t *testing.T, begin time.Time) capture.Frame {
	t.Helper()
	reply := s.kind == dhcpv4.MessageTypeOffer || s.kind == dhcpv4.MessageTypeAck || s.kind == dhcpv4.MessageTypeNak
	client := s.client
	if client == nil {
		client = pc1
	}
	m, err := dhcpv4.New(dhcpv4.WithHwAddr(client), dhcpv4.WithMessageType(s.kind),
		dhcpv4.WithTransactionID(dhcpv4.TransactionID{0, 0, 0, s.xid}))
	if err != nil {
		t.Fatal(err)
	}
	src, dst, sport, dport := none, allOnes, layers.UDPPort(68), layers.UDPPort(67)
	to := everyone
	if reply {
		m.OpCode, m.YourIPAddr = dhcpv4.OpcodeBootReply, offered.AsSlice()
		src, dst, sport, dport, to = srvIP, offered, 67, 68, pc1
		if string(s.from) == string(rogue) {
			src = rogueIP
		}
		m.UpdateOption(dhcpv4.OptServerIdentifier(src.AsSlice()))
		m.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		m.UpdateOption(dhcpv4.OptRouter(srvIP.AsSlice()))
		lease := s.lease
		if lease == 0 {
			lease = 10 * time.Minute
		}
		m.UpdateOption(dhcpv4.OptIPAddressLeaseTime(lease))
	} else if s.kind == dhcpv4.MessageTypeRequest && !s.ciaddr.IsValid() {
		m.UpdateOption(dhcpv4.OptServerIdentifier(srvIP.AsSlice()))
	}
	if s.ciaddr.IsValid() {
		m.ClientIPAddr, src = s.ciaddr.AsSlice(), s.ciaddr
	}
	if s.dst.IsValid() {
		dst = s.dst
	}
	if s.to != nil {
		to = s.to
	}
	head := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	udp := layers.UDP{SrcPort: sport, DstPort: dport}
	if err := udp.SetNetworkLayerForChecksum(&head); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	err = gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true},
		&layers.Ethernet{SrcMAC: s.from, DstMAC: to, EthernetType: layers.EthernetTypeIPv4}, &head, &udp,
		gopacket.Payload(m.ToBytes()))
	if err != nil {
		t.Fatal(err)
	}
	return capture.Frame{Time: begin.Add(s.at), Interface: "br1", Length: len(buf.Bytes()), Data: buf.Bytes()}
}

// evidence is what a lab would show: the wire as given, and guests that print the same for every script.
type evidence struct {
	t      *testing.T
	begin  time.Time
	said   []said
	prints map[string]check.Output // by guest; a guest that is not there does not answer
	silent map[string]error        // why not
	asked  []string                // scripts
}

func (e *evidence) Wire(context.Context) ([]*watch.Record, error) {
	names := watch.NewNames()
	names.Tell(capture.HardwareAddr(pc1), "pc1", watch.Client)
	names.Tell(capture.HardwareAddr(srv), "srv", watch.Client)
	follower := watch.NewFollower(names)
	var records []*watch.Record
	for _, s := range e.said {
		if frame := s.frame(e.t, e.begin); !frame.Time.After(time.Now()) {
			records = append(records, follower.Next(capture.Decode(frame)))
		}
	}
	return records, nil
}

func (*evidence) Leases(context.Context) ([]dhcp.Lease, error) {
	return []dhcp.Lease{{
		Address: offered, State: dhcp.StateBound, MAC: dhcp.Ethernet([6]byte(pc1)), Expires: time.Now().Add(time.Hour),
	}}, nil
}

func (*evidence) Links(context.Context) ([]netsetup.Link, error) {
	return []netsetup.Link{{Name: "br1", Kind: netsetup.KindBridge, Up: true}, {Name: "tap1", Kind: netsetup.KindTap, Master: "br1", Up: true}, {Name: "tap2"}}, nil
}

func (e *evidence) Guest(_ context.Context, guest, script string) (check.Output, error) {
	e.asked = append(e.asked, guest+": "+script)
	out, ok := e.prints[guest]
	if err := e.silent[guest]; err != nil {
		return out, fmt.Errorf("run script: %w", err)
	}
	if !ok {
		return out, fmt.Errorf("ask %s: %w", guest, check.ErrNoAnswer)
	}
	return out, nil
}

func (e *evidence) Station(_ context.Context, part station.Part) (func() error, error) {
	if part.Bridge == "br2" {
		return nil, fmt.Errorf("plug in: %w", check.ErrNoBridge)
	}
	e.asked = append(e.asked, part.Name()+" begins")
	return func() error { e.asked = append(e.asked, part.Name()+" ends"); return nil }, nil
}

func (e *evidence) Host(ctx context.Context, script string) (check.Output, error) {
	return e.Guest(ctx, "host", script)
}

// dora is a whole exchange with srv.
func dora(xid byte, at time.Duration) []said {
	return []said{
		{kind: dhcpv4.MessageTypeDiscover, from: pc1, xid: xid, at: at},
		{kind: dhcpv4.MessageTypeOffer, from: srv, xid: xid, at: at + 10*time.Millisecond},
		{kind: dhcpv4.MessageTypeRequest, from: pc1, xid: xid, at: at + 20*time.Millisecond},
		{kind: dhcpv4.MessageTypeAck, from: srv, xid: xid, at: at + 30*time.Millisecond},
	}
}

func discover(at time.Duration) said {
	return said{kind: dhcpv4.MessageTypeDiscover, from: pc1, xid: 1, at: at}
}

const second = time.Second

// TestAssertions tries each kind on a wire and guests that are right, and on some that are not. why is the reason; none
// means that the check passes.
func TestAssertions(t *testing.T) {
	up := map[string]check.Output{"pc1": {}, "srv": {}, "host": {}}
	prints := func(guest, text string, status int) map[string]check.Output {
		return map[string]check.Output{"pc1": {}, guest: {Text: text, Status: status}}
	}
	for _, test := range []struct {
		name, assert string
		said         []said
		prints       map[string]check.Output
		answer, why  string
	}{
		{name: "exchange", assert: `exchange: {guest: pc1, server: srv}`, said: dora(1, second)},
		{name: "an exchange of before", assert: `exchange: {guest: pc1}`, said: dora(1, -second), why: "no-discover"},
		{name: "no answer", assert: `exchange: {guest: pc1}`, said: []said{discover(second)}, why: "no-offer"},
		{name: "no ack", assert: `exchange: {guest: pc1}`, said: dora(1, second)[:3], why: "no-ack"},
		{name: "no request", assert: `exchange: {guest: pc1}`, said: dora(1, second)[:2], why: "no-request"},
		{name: "nak", assert: `exchange: {guest: pc1}`, said: append(dora(1, second)[:3],
			said{kind: dhcpv4.MessageTypeNak, from: srv, xid: 1, at: 2 * second}), why: "nak"},
		{name: "another server", assert: `exchange: {guest: pc1, server: kvmlab}`, said: dora(1, second), why: "other-server"},
		{name: "two servers", assert: `exchange: {guest: pc1, server: srv}`, said: append(dora(1, second),
			said{kind: dhcpv4.MessageTypeOffer, from: rogue, xid: 1, at: second + second/10}), why: "many-servers"},
		{name: "the newest exchange counts", assert: `exchange: {guest: pc1}`, said: append(dora(1, second),
			said{kind: dhcpv4.MessageTypeDiscover, from: pc1, xid: 2, at: second + second/10}), why: "no-offer"},
		{name: "server", assert: `server: {guest: pc1, server: srv}`, said: dora(1, second)},
		{name: "server too many", assert: `server: {guest: pc1, server: srv}`, said: append(dora(1, second),
			said{kind: dhcpv4.MessageTypeOffer, from: rogue, xid: 1, at: 4 * second}), why: "many-servers"},
		{name: "nobody serves", assert: `server: {guest: pc1, server: none}`, said: []said{discover(second)}},
		{name: "silence without a question", assert: `silence: {guest: pc1, server: any}`, why: "no-discover"},
		{name: "silence", assert: `silence: {guest: pc1, server: srv}`, said: []said{discover(second)}},
		{name: "no silence", assert: `silence: {guest: pc1, server: srv}`, said: dora(1, second), why: "not-silent"},
		{name: "silence of another", assert: `silence: {guest: pc1, server: srv}`, said: []said{
			discover(second),
			{kind: dhcpv4.MessageTypeOffer, from: rogue, xid: 1, at: 2 * second},
		}},
		{
			name: "offer", assert: `offer: {guest: pc1, range: 192.168.1.2-192.168.1.10, l2: client, l3: address, options: {3: 192.168.1.1, 51: 600}}`,
			said: dora(1, second),
		},
		{name: "outside", assert: `offer: {guest: pc1, type: ACK, range: 192.168.1.6-192.168.1.10}`, said: dora(1, second), why: "outside"},
		{name: "other option", assert: `offer: {guest: pc1, options: {51: 60}}`, said: dora(1, second), why: "other-option"},
		{name: "no option", assert: `offer: {guest: pc1, options: {15: aula}}`, said: dora(1, second), why: "no-option"},
		{name: "not broadcast", assert: `offer: {guest: pc1, l3: broadcast}`, said: dora(1, second), why: "other-l3"},
		{name: "lease in the store", assert: `lease: {guest: pc1, address: 192.168.1.5}`},
		{name: "lease in dhcpd's file", assert: `lease: {guest: pc1, server: srv}`, prints: prints("srv", "==dhcpd.leases\n"+
			"lease 192.168.1.7 {\n  binding state active;\n  hardware ethernet 02:00:00:00:00:01;\n}\n", 0)},
		{name: "freed in dhcpd's file", assert: `lease: {guest: pc1, server: srv}`, prints: prints("srv", "==dhcpd.leases\n"+
			"lease 192.168.1.7 {\n  binding state free;\n  hardware ethernet 02:00:00:00:00:01;\n}\n", 0), why: "no-record"},
		{name: "lease in Kea's file", assert: `lease: {guest: pc1, server: srv, address: 192.168.1.8}`, prints: prints("srv",
			"==kea-leases4.csv\naddress,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n"+
				"192.168.1.8,02:00:00:00:00:01,,600,1,1,0,0,pc1,0,\n", 0)},
		{name: "lease in dnsmasq's file", assert: `lease: {guest: pc1, server: srv, range: 192.168.1.2-192.168.1.3}`, prints: prints("srv",
			"==dnsmasq.leases\n99 02:00:00:00:00:01 192.168.1.9 pc1 *\n", 0), why: "outside"},
		{name: "applied", assert: `applied: {guest: pc1}`, said: dora(1, second), prints: prints("pc1",
			"2: eth0 inet 192.168.1.5/24 scope global eth0\ndefault via 192.168.1.1 dev eth0\n", 0)},
		{name: "not applied", assert: `applied: {guest: pc1}`, said: dora(1, second), prints: prints("pc1",
			"2: eth0 inet 192.168.1.50/24 scope global eth0\n", 0), why: "not-applied-address"},
		{name: "no route", assert: `applied: {guest: pc1}`, said: dora(1, second), prints: prints("pc1",
			"2: eth0 inet 192.168.1.5/24 scope global eth0\n", 0), why: "not-applied-router"},
		{name: "T1", assert: `renewal: {guest: pc1, at: T1}`, said: append(dora(1, -9*second),
			said{kind: dhcpv4.MessageTypeRequest, from: pc1, xid: 2, ciaddr: offered, dst: srvIP, to: srv, at: -2 * second},
			said{kind: dhcpv4.MessageTypeAck, from: srv, xid: 2, at: -second})},
		{name: "T1 without an answer", assert: `renewal: {guest: pc1, at: T1}`, said: append(dora(1, -9*second),
			said{kind: dhcpv4.MessageTypeRequest, from: pc1, xid: 2, ciaddr: offered, dst: srvIP, to: srv, at: -2 * second}), why: "no-renewal-t1"},
		{name: "T2", assert: `renewal: {guest: pc1, at: T2}`, said: append(dora(1, -9*second),
			said{kind: dhcpv4.MessageTypeRequest, from: pc1, xid: 2, ciaddr: offered, at: -2 * second})},
		{name: "expiry", assert: `renewal: {guest: pc1, at: expiry}`, said: []said{
			{kind: dhcpv4.MessageTypeDiscover, from: pc1, xid: 1, at: -60 * second},
			{kind: dhcpv4.MessageTypeAck, from: srv, xid: 1, at: -59 * second, lease: 30 * second},
			{kind: dhcpv4.MessageTypeDiscover, from: pc1, xid: 2, at: -20 * second},
		}},
		{name: "not expired", assert: `renewal: {guest: pc1, at: expiry}`, said: append(dora(1, -9*second), discover(-second)), why: "no-renewal-expiry"},
		{name: "message", assert: `message: {guest: pc1, type: RELEASE}`, said: []said{{kind: dhcpv4.MessageTypeRelease, from: pc1, xid: 1, ciaddr: offered, at: -second}}},
		{name: "no message", assert: `message: {guest: pc1, type: NAK}`, said: dora(1, -second), why: "no-message"},
		{name: "ping", assert: `ping: {from: pc1, to: 192.168.1.1}`, prints: up},
		{name: "no ping", assert: `ping: {from: pc1, to: 192.168.1.1}`, prints: prints("pc1", "", 1), why: "no-ping"},
		{name: "ping to nobody", assert: `ping: {from: pc1, to: srv}`, prints: up, why: "no-address"},
		{name: "arp", assert: `arp: {from: pc1, to: 192.168.1.1}`, prints: prints("pc1", "192.168.1.1 0x1 0x2 02:00:00:00:00:02 * eth0\n", 0)},
		{name: "no neighbour", assert: `arp: {from: pc1, to: 192.168.1.1}`, prints: prints("pc1", "192.168.1.1 0x1 0x0 00:00:00:00:00:00 * eth0\n", 0), why: "no-neighbour"},
		{name: "port", assert: `port: {guest: srv, port: 67}`, prints: prints("srv", "  sl local_address\n 10: 00000000:0043 00000000:0000 07\n", 0)},
		{name: "no port", assert: `port: {guest: srv, port: 67}`, prints: prints("srv", " 10: 00000000:0044 00000000:0000 07\n", 0), why: "no-port"},
		{name: "service", assert: `service: {guest: srv, unit: x}`, prints: prints("srv", "active\n", 0)},
		{name: "failed service", assert: `service: {guest: srv, unit: x}`, prints: prints("srv", "failed\n", 3), why: "service"},
		{name: "file", assert: `file: {guest: srv, path: /etc/x, match: '(?m)^b'}`, prints: prints("srv", "a\nb\n", 0)},
		{name: "no file", assert: `file: {guest: srv, path: /etc/x}`, prints: prints("srv", "", 1), why: "no-file"},
		{name: "a file that must go", assert: `file: {guest: srv, path: /etc/x, exists: false}`, prints: prints("srv", "", 1)},
		{name: "key", assert: `file: {guest: srv, path: /etc/x, format: defaults, key: INTERFACESv4, value: eth1}`, prints: prints("srv", "INTERFACESv4=\"eth1\"\n", 0)},
		{name: "other value", assert: `file: {guest: srv, path: /etc/x, format: defaults, key: INTERFACESv4, value: eth1}`, prints: prints("srv", "INTERFACESv4=\"eth0\"\n", 0), why: "other-value"},
		{name: "no key", assert: `file: {guest: srv, path: /etc/x, format: kea, key: Dhcp4.subnet4}`, prints: prints("srv", `{"Dhcp4": {}}`, 0), why: "no-key"},
		{name: "link", assert: `link: {name: tap1, master: br1}`},
		{name: "link elsewhere", assert: `link: {name: tap2, master: br1}`, why: "link-free"},
		{name: "no link", assert: `link: {name: tap9}`, why: "no-link"},
		{name: "answer", assert: `answer: {guest: pc1, type: OFFER, field: src_mac, ask: {en: a, es: b, ca: c}}`, said: dora(1, -second), answer: "02-00-00-00-00-02"},
		{name: "wrong answer", assert: `answer: {guest: pc1, type: OFFER, field: dst_ip, ask: {en: a, es: b, ca: c}}`, said: dora(1, -second), answer: "broadcast", why: "wrong-answer"},
		{name: "fixed answer", assert: `answer: {value: Nine leases., ask: {en: a, es: b, ca: c}}`, answer: " nine  LEASES"},
		{name: "no answer yet", assert: `answer: {value: x, ask: {en: a, es: b, ca: c}}`, why: "not-answered"},
		{name: "command", assert: `command: {host: true, run: x, match: 'o.k'}`, prints: prints("host", "ok o+k\n", 0)},
		{name: "command that fails", assert: `command: {guest: srv, run: x}`, prints: prints("srv", "", 4), why: "status"},
		{name: "command that says why", assert: `command: {guest: srv, run: x}`, prints: prints("srv", "tap1\n", 4), why: "status-output"},
		{name: "command that prints nothing", assert: `command: {guest: srv, run: x, match: y}`, prints: prints("srv", "\n", 0), why: "no-output"},
		{name: "a guest that does not answer", assert: `command: {guest: srv, run: x}`, prints: map[string]check.Output{}, why: "no-agent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				results := tryChecks(t, "- {id: it, message: {en: a, es: b, ca: c}, assert: {"+test.assert+"}}", &evidence{
					said: test.said, prints: test.prints,
				}, map[string]string{"it": test.answer})
				why := strings.TrimPrefix(results[0].Verdict.Why.ID, "check.why.")
				if passed := results[0].State == check.Passed; passed != (test.why == "") || why != test.why {
					t.Errorf("%s: %q, want %q", results[0].State, why, test.why)
				}
			})
		})
	}
}

// newRunner is a runner of checks, given as YAML, on the evidence.
func newRunner(t *testing.T, checks string, e *evidence, answers map[string]string) *check.Runner {
	t.Helper()
	spec, err := lab.Parse("lab.yaml", []byte(wireLab))
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Resolve(spec, lab.ResolveOptions{Random: strings.NewReader(strings.Repeat("x", 1000))})
	if err != nil {
		t.Fatal(err)
	}
	file, err := check.Parse("checks.yaml", []byte("version: 1\nchecks:\n"+checks+"\n"), spec)
	if err != nil {
		t.Fatal(err)
	}
	for id, text := range answers {
		if text == "" {
			delete(answers, id)
		}
	}
	e.t, e.begin = t, time.Now()
	return &check.Runner{File: file, Lab: l, Evidence: e, Answers: answers, Now: time.Now}
}

// tryChecks runs them.
func tryChecks(t *testing.T, checks string, e *evidence, answers map[string]string) []check.Result {
	t.Helper()
	results, err := newRunner(t, checks, e, answers).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// TestRun is about what a run does with many checks: what needs what, what is tried again, who is asked to begin anew.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &evidence{said: dora(1, 3*second), prints: map[string]check.Output{"pc1": {}}}
		began := time.Now()
		results := tryChecks(t, `
- {id: a, message: {en: a, es: b, ca: c}, assert: {exchange: {guest: pc1}}}
- {id: b, needs: a, message: {en: a, es: b, ca: c}, assert: {link: {name: nothing}}, within: 2s}
- {id: c, needs: [a, b], message: {en: a, es: b, ca: c}, assert: {link: {name: br1}}}
- {id: d, points: 3, message: {en: a, es: b, ca: c}, assert: {link: {name: br1}}}
- {id: e, needs: c, message: {en: a, es: b, ca: c}, assert: {link: {name: br1}}}`, e, nil)
		var states []string
		for _, r := range results {
			states = append(states, r.State.String())
		}
		if got := strings.Join(states, " "); got != "passed failed skipped passed skipped" {
			t.Error(got)
		}
		if results[2].Needs != "b" {
			t.Errorf("c waits for %q", results[2].Needs)
		}
		if results[4].Needs != "b" {
			t.Errorf("e waits for %q, and not for what c waits for", results[4].Needs)
		}
		if score := check.Score(results); score != 4 {
			t.Errorf("%d points", score)
		}
		// a passes when the exchange is over, after 3 s; b is tried for 2 s from then on.
		if took := time.Since(began); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("took %v", took)
		}
		if len(e.asked) != 1 || !strings.Contains(e.asked[0], "dhcp-release") {
			t.Errorf("asked guests for %q", e.asked)
		}
	})
}

// TestApply answers questions from packets that are still to come, and stops at a step that does not work.
func TestApply(t *testing.T) {
	const question = `
- {id: it, message: {en: a, es: b, ca: c}, assert: {answer: {guest: pc1, type: OFFER, field: offered, ask: {en: a, es: b, ca: c}}}}
solution:
- {guest: srv, run: make}
- {answer: it}`
	synctest.Test(t, func(t *testing.T) {
		e := &evidence{said: dora(1, 5*second), prints: map[string]check.Output{"srv": {}}}
		r := newRunner(t, question, e, nil)
		if err := r.Apply(t.Context(), r.File.Solution); err != nil || r.Answers["it"] != offered.String() {
			t.Errorf("answers %v, %v", r.Answers, err)
		}
		e.said = nil
		if err := r.Apply(t.Context(), r.File.Solution); err == nil || !strings.Contains(err.Error(), "was not on the wire") {
			t.Errorf("an answer without a packet: %v", err)
		}
		e.prints["srv"] = check.Output{Status: 2, Text: "no rule"}
		if err := r.Apply(t.Context(), r.File.Solution); err == nil || !strings.Contains(err.Error(), "no rule") {
			t.Errorf("a step that fails: %v", err)
		}
	})
}
