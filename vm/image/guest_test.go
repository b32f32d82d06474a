package image_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/vm/image"
)

// guest is a machine under plain QEMU.
type guest struct {
	console *console
	port    string // socket of org.kvmlab.id
	net     *network
	done    chan error
}

// start boots an image with one network card per MAC. Everything goes through
// sockets in a directory of the test: no interface of the host is touched.
func start(t *testing.T, img image.Image, machine string, mebibytes int, macs ...string) *guest {
	t.Helper()
	dir := t.TempDir()
	g := &guest{port: filepath.Join(dir, "id"), net: newNetwork(t), done: make(chan error, 1)}
	device := map[string]string{"microvm": "device", "q35": "pci"}[machine]
	if machine == "microvm" {
		machine += ",acpi=on,pit=off,pic=off,rtc=on,isa-serial=on,auto-kernel-cmdline=off"
	}
	args := []string{
		"-machine", machine + ",accel=tcg", "-cpu", "max", "-m", strconv.Itoa(mebibytes), "-nodefaults", "-no-user-config",
		"-nographic", "-no-reboot", "-kernel", img.Kernel, "-initrd", img.Initrd, "-append", img.Cmdline + earlyTSC(t),
		"-chardev", "socket,id=con,server=on,wait=on,path=" + filepath.Join(dir, "con"), "-serial", "chardev:con",
		"-device", "virtio-serial-" + device + ",max_ports=2",
		"-chardev", "socket,id=id,server=on,wait=off,path=" + g.port, "-device", "virtserialport,chardev=id,name=org.kvmlab.id",
	}
	for i, mac := range macs {
		local := filepath.Join(dir, fmt.Sprint("nic", i))
		args = append(args,
			"-netdev", fmt.Sprintf("dgram,id=n%d,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", i, local, g.net.listen(t, local)),
			"-device", fmt.Sprintf("virtio-net-%s,netdev=n%d,mac=%s", device, i, mac))
	}
	cmd := exec.CommandContext(nstest.Limit(t), "qemu-system-x86_64", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { g.done <- cmd.Wait() }()
	g.console = newConsole(dial(t, filepath.Join(dir, "con")))
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err == nil {
			<-g.done
		}
		if t.Failed() {
			t.Logf("console:\n%s\n%s", g.console.all(), &stderr)
		}
	})
	return g
}

// earlyTSC spares the guest a calibration that can hang on a busy host.
func earlyTSC(t *testing.T) string {
	t.Helper()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`cpu MHz\s*: (\d+)\.(\d{3})`).FindSubmatch(info)
	if match == nil {
		return ""
	}
	return " tsc_early_khz=" + string(match[1]) + string(match[2])
}

// dial connects to a socket that QEMU is about to make.
func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// identify does what the host does: it says who the guest is and waits for "ok".
func (g *guest) identify(t *testing.T, lines string) {
	t.Helper()
	conn := dial(t, g.port)
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, lines); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 3)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "ok\n" {
		t.Fatalf("the guest answered %q: %v", answer, err)
	}
	conn.Close()
}

// run types a command and waits for what it prints, then for a prompt.
func (g *guest) run(t *testing.T, command, want string) {
	t.Helper()
	g.console.send(t, command+"\r")
	g.console.expect(t, "\n") // the echo may contain what is waited for
	g.console.expect(t, want)
	if command != "poweroff" && !strings.Contains(want, "# ") {
		g.console.send(t, "\r")
		g.console.expect(t, "# ")
	}
}

func (g *guest) exited(t *testing.T) {
	t.Helper()
	select {
	case err := <-g.done:
		g.done <- err
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("QEMU is still there")
	}
}

// console collects what a guest prints.
type console struct {
	conn net.Conn
	mu   sync.Mutex
	text []byte
	seen int // what expect has passed
	more chan struct{}
}

func newConsole(conn net.Conn) *console {
	c := &console{conn: conn, more: make(chan struct{}, 1)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			c.mu.Lock()
			c.text = append(c.text, buf[:n]...)
			c.mu.Unlock()
			select {
			case c.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *console) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

func (c *console) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		t.Fatal(err)
	}
}

// expect waits for text after what was last expected.
func (c *console) expect(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		all := c.all()
		if i := strings.Index(all[c.seen:], text); i >= 0 {
			c.seen += i + len(text)
			return
		}
		select {
		case <-c.more:
		case <-timeout:
			t.Fatalf("the console never said %q after:\n%s", text, all[:c.seen])
		}
	}
}

// network is a DHCP server at the other end of the guests' cards.
type network struct {
	mu     sync.Mutex
	names  []string
	leased map[string]net.IP
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	return &network{leased: map[string]net.IP{}}
}

// hostnames are the option 12 of all messages so far.
func (n *network) hostnames() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.names...)
}

// listen serves the card whose socket is local, and returns its own socket.
func (n *network) listen(t *testing.T, local string) string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: local + ".peer"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		frame := make([]byte, 2048)
		for {
			size, err := conn.Read(frame)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			if reply := n.reply(frame[:size]); reply != nil {
				_, _ = conn.WriteTo(reply, &net.UnixAddr{Name: local, Net: "unixgram"})
			}
		}
	}()
	return local + ".peer"
}

// reply answers a frame that carries a DHCP message or an ARP request.
func (n *network) reply(frame []byte) []byte {
	server := net.IPv4(192, 168, 1, 1).To4()
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	from, _ := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ether := &layers.Ethernet{SrcMAC: mac, DstMAC: from.SrcMAC, EthernetType: layers.EthernetTypeIPv4}
	out := gopacket.NewSerializeBuffer()
	fix := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if arp, ok := packet.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		if arp.Operation != layers.ARPRequest || !bytes.Equal(arp.DstProtAddress, server) {
			return nil
		}
		ether.EthernetType = layers.EthernetTypeARP
		answer := *arp
		answer.Operation = layers.ARPReply
		answer.DstHwAddress, answer.DstProtAddress = arp.SourceHwAddress, arp.SourceProtAddress
		answer.SourceHwAddress, answer.SourceProtAddress = mac, server
		_ = gopacket.SerializeLayers(out, fix, ether, &answer)
		return out.Bytes()
	}
	udp, ok := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || udp.DstPort != 67 {
		return nil
	}
	message := n.answer(udp.Payload, server)
	if message == nil {
		return nil
	}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: server, DstIP: message.YourIPAddr}
	answer := &layers.UDP{SrcPort: 67, DstPort: 68}
	_ = answer.SetNetworkLayerForChecksum(ip)
	_ = gopacket.SerializeLayers(out, fix, ether, ip, answer, gopacket.Payload(message.ToBytes()))
	return out.Bytes()
}

// answer is what a DHCP server says, if anything.
func (n *network) answer(b []byte, server net.IP) *dhcpv4.DHCPv4 {
	request, err := dhcpv4.FromBytes(b)
	if err != nil {
		return nil
	}
	kind := map[dhcpv4.MessageType]dhcpv4.MessageType{
		dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeRequest: dhcpv4.MessageTypeAck,
	}[request.MessageType()]
	if kind == dhcpv4.MessageTypeNone {
		return nil
	}
	n.mu.Lock()
	n.names = append(n.names, request.HostName())
	key := request.ClientHWAddr.String()
	if n.leased[key] == nil {
		n.leased[key] = net.IPv4(192, 168, 1, byte(2+len(n.leased)))
	}
	address := n.leased[key]
	n.mu.Unlock()
	reply, err := dhcpv4.NewReplyFromRequest(request,
		dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(server), dhcpv4.WithYourIP(address),
		dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(server), dhcpv4.WithDNS(server),
		dhcpv4.WithLeaseTime(600), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)))
	if err != nil {
		return nil
	}
	return reply
}
