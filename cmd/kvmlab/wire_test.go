package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// wire is two namespaces with a cable between them: servers at s0, which has 192.168.1.1, clients at c0.
type wire struct {
	testing.TB
	servers, clients *nstest.Namespace
	dir              string
}

func newTestWire(tb testing.TB) *wire {
	tb.Helper()
	w := &wire{TB: tb, servers: nstest.New(tb), clients: nstest.New(tb), dir: tb.TempDir()}
	for _, ns := range []*nstest.Namespace{w.servers, w.clients} { // no chatter that has nothing to do with the test
		ns.Run(tb, "sysctl -q -w net.ipv6.conf.all.disable_ipv6=1")
	}
	w.servers.Run(tb, "ip link add s0 type veth peer name c0 netns "+w.clients.Path())
	w.servers.Run(tb, "ip addr add 192.168.1.1/24 dev s0")
	w.servers.Run(tb, "ip link set s0 up")
	w.clients.Run(tb, "ip link set c0 up")
	return w
}

// file writes a file of the test.
func (w *wire) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
	return path
}

// background runs a program in a namespace until the test ends or the returned function is called.
func (w *wire) background(ns *nstest.Namespace, env []string, name string, args ...string) (stop func()) {
	w.Helper()
	nstest.RequireCommand(w, name)
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	cmd := ns.Command(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
			if w.Failed() {
				w.Logf("%s said:\n%s", name, said.String())
			}
		}
	}
	w.Cleanup(stop)
	return stop
}

// record captures on s0 to a pcapng file of ours until the returned function is called.
func (w *wire) record(path string) (stop func()) {
	w.Helper()
	source, err := capture.OpenSource(capture.SourceOptions{Interface: "s0", NetNS: w.servers.Path()})
	if err != nil {
		w.Fatal(err)
	}
	out, err := os.Create(path)
	if err != nil {
		w.Fatal(err)
	}
	writer, err := capture.NewWriter(out, "kvmlab test", capture.Link{Name: "s0"})
	if err != nil {
		w.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for {
			frame, err := source.Next()
			if errors.Is(err, capture.ErrDrained) {
				done <- nil
				return
			}
			if err == nil {
				err = writer.Write(frame)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	return func() {
		if _, err := source.Wake(); err != nil {
			w.Error(err)
		}
		if err := errors.Join(<-done, writer.Flush(), out.Close(), source.Close()); err != nil {
			w.Error(err)
		}
	}
}

// dhcpServers are the servers of the corpus; each serves 192.168.1.2 to .10 with the options that classes use.
var dhcpServers = map[string]func(w *wire) (stop func()){
	"isc":     serveISC,
	"kea":     serveKea,
	"dnsmasq": serveDnsmasq,
	"kvmlab":  serveKvmlab,
}

func serveISC(w *wire) func() {
	config := w.file("dhcpd.conf", `
option rfc3442 code 121 = array of unsigned integer 8;
ping-check false;
default-lease-time 600; max-lease-time 600; min-lease-time 600;
subnet 192.168.1.0 netmask 255.255.255.0 {
  range 192.168.1.2 192.168.1.10;
  option routers 192.168.1.1;
  option domain-name-servers 192.168.1.1, 9.9.9.9;
  option domain-name "aula.lan";
  option domain-search "aula.lan", "uno.aula.lan";
  option ntp-servers 192.168.1.1;
  option broadcast-address 192.168.1.255;
  option interface-mtu 1400;
  option rfc3442 8, 10, 192, 168, 1, 1;
  next-server 192.168.1.7; filename "pxelinux.0"; server-name "boot";
}
`)
	return w.background(w.servers, nil, "dhcpd", "-4", "-f", "-d", "-cf", config, "-lf", w.file("dhcpd.leases", ""),
		"-pf", filepath.Join(w.dir, "dhcpd.pid"), "s0")
}

func serveKea(w *wire) func() {
	config := w.file("kea.json", `{"Dhcp4": {
  "interfaces-config": {"interfaces": ["s0"], "dhcp-socket-type": "raw"},
  "lease-database": {"type": "memfile", "persist": false},
  "valid-lifetime": 600, "renew-timer": 300, "rebind-timer": 525,
  "subnet4": [{"id": 1, "subnet": "192.168.1.0/24", "pools": [{"pool": "192.168.1.2 - 192.168.1.10"}],
    "option-data": [
      {"name": "routers", "data": "192.168.1.1"}, {"name": "domain-name-servers", "data": "192.168.1.1"},
      {"name": "domain-name", "data": "aula.lan"}, {"name": "domain-search", "data": "aula.lan, uno.aula.lan"}]}]}}`)
	env := []string{"KEA_PIDFILE_DIR=" + w.dir, "KEA_LOCKFILE_DIR=none"}
	return w.background(w.servers, env, "kea-dhcp4", "-c", config)
}

func serveDnsmasq(w *wire) func() {
	return w.background(w.servers, nil, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=s0",
		"--bind-interfaces", "--dhcp-range=192.168.1.2,192.168.1.10,10m", "--no-ping", "--domain=aula.lan", "--user=root",
		"--dhcp-option=121,10.0.0.0/8,192.168.1.1", "--dhcp-option=119,aula.lan,uno.aula.lan",
		"--dhcp-option=42,192.168.1.1", "--dhcp-leasefile="+filepath.Join(w.dir, "dnsmasq.leases"), "--pid-file=")
}

func serveKvmlab(w *wire) func() {
	first := netip.MustParseAddr("192.168.1.1")
	server, err := dhcp.Open(dhcp.Config{
		Interfaces: []dhcp.Interface{{Name: "s0", Address: first}},
		Subnets: []dhcp.Subnet{{
			Prefix:  netip.MustParsePrefix("192.168.1.0/24"),
			Ranges:  []dhcp.Range{{First: netip.MustParseAddr("192.168.1.2"), Last: netip.MustParseAddr("192.168.1.10")}},
			Options: []dhcp.Option{dhcp.AddressesOption(3, first), dhcp.AddressesOption(6, first)},
		}},
	}, dhcp.Options{LeaseDir: filepath.Join(w.dir, "leases"), NetNS: w.servers.Path()})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
}

// awaitAnswer sends DISCOVERs until a server answers: when its daemon listens cannot be seen from outside.
func (w *wire) awaitAnswer() {
	w.Helper()
	for range 20 {
		if w.client(2*time.Second, "udhcpc", "-f", "-q", "-n", "-i", "c0", "-t", "2", "-T", "1", "-s", "/bin/true") == nil {
			return
		}
	}
	w.Fatal("no DHCP server answers")
}

// client runs a DHCP client to its end.
func (w *wire) client(limit time.Duration, name string, args ...string) error {
	nstest.RequireCommand(w, name)
	ctx, cancel := context.WithTimeout(w.Context(), limit)
	defer cancel()
	out, err := w.clients.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}

// dhcpClients are the clients of the corpus; each gets a lease, all but dhcpcd give it back.
var dhcpClients = map[string]func(w *wire) error{
	"udhcpc": func(w *wire) error {
		return w.client(20*time.Second, "udhcpc", "-f", "-q", "-n", "-R", "-i", "c0", "-s", "/bin/true", "-x", "hostname:pc1",
			"-F", "pc1", "-V", "udhcp aula", "-O", "search", "-O", "staticroutes", "-O", "mtu")
	},
	"dhclient": func(w *wire) error {
		config := w.file("dhclient.conf", `
send host-name "pc2"; send dhcp-client-identifier "pc2 aula"; send user-class "clase"; timeout 10;
request subnet-mask, routers, domain-name-servers, domain-name, domain-search, ntp-servers, interface-mtu;
`)
		args := []string{
			"-4", "-1", "-cf", config, "-sf", "/bin/true", "-lf", filepath.Join(w.dir, "dhclient.leases"),
			"-pf", filepath.Join(w.dir, "dhclient.pid"), "c0",
		}
		return errors.Join(w.client(20*time.Second, "dhclient", args...),
			w.client(20*time.Second, "dhclient", append([]string{"-r"}, args...)...))
	},
	"dhcpcd": func(w *wire) error { // its pid and lease files have fixed places, hidden from the machine
		return w.client(40*time.Second, "unshare", "--mount", "sh", "-ec", `
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/dhcpcd
mount -t tmpfs tmpfs /var/lib/dhcpcd
exec dhcpcd -4 -1 -B -t 20 -h pc3 -c /bin/true c0`)
	},
	"networkd": useNetworkd,
}

// networkdProgram is systemd's client. It needs neither systemd nor D-Bus: with /sys read-only it does not wait for udev.
const networkdProgram = "/lib/systemd/systemd-networkd"

// useNetworkd runs it until it has its lease, and ends it, upon which it gives the lease back.
func useNetworkd(w *wire) error {
	network := w.file("c0.network", `
[Match]
Name=c0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
Hostname=pc4
UseHostname=no
`)
	return w.client(40*time.Second, "unshare", "--mount", "sh", "-ec", `
mount -o remount,ro,bind /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases
chown -R systemd-network: /run/systemd/netif
cp "$0" /run/systemd/network/
`+networkdProgram+` &
until ip -4 addr show dev c0 | grep -q 192.168.1; do
	kill -0 $!
	sleep 0.1
done
kill $!
wait $!`, network)
}

// makeCorpus captures every client with one server.
func (w *wire) makeCorpus(server string) string {
	w.Helper()
	nstest.RequireCommand(w, "udhcpc", "dhclient", "dhcpcd", "unshare", networkdProgram)
	file := filepath.Join(w.dir, server+".pcapng")
	stop := dhcpServers[server](w)
	w.awaitAnswer()
	record := w.record(file)
	for _, name := range []string{"udhcpc", "dhclient", "dhcpcd", "networkd"} {
		if err := dhcpClients[name](w); err != nil {
			w.Errorf("%s with %s: %v", name, server, err)
		}
		w.clients.Run(w, "ip addr flush dev c0")
	}
	record()
	stop()
	return file
}

// watchFile runs `kvmlab watch --read FILE`.
func watchFile(tb testing.TB, file string, args ...string) string {
	tb.Helper()
	binary, err := kvmlabBinary()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(nstest.Limit(tb), binary, append([]string{"watch", "--read", file}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		tb.Fatalf("kvmlab watch --read %s: %v\n%s", file, err, stderr.String())
	}
	return string(out)
}

// timeText is a time as encoding/json writes it.
func timeText(seconds, nanos int64) string {
	return time.Unix(seconds, nanos).UTC().Format(time.RFC3339Nano)
}
