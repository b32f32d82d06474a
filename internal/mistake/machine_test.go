//kvmlab:needs isc-dhcp-server kea-dhcp4-server dnsmasq-base

package mistake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"github.com/kvmlab/kvmlab/internal/mistake"
	"github.com/kvmlab/kvmlab/internal/nstest"
)

// patience is how long anything may take on a machine that is busy.
const patience = 60 * time.Second

// machine stands in for a student's guest: the real programs at their real paths, with files, processes and cards of its
// own. /etc and /var are the host's, copied on write.
type machine struct {
	t    *testing.T
	ns   *nstest.Namespace
	pid  int
	cmds []*exec.Cmd
}

const machineScript = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
for d in etc var; do
	mkdir -p /run/overlay/$d/u /run/overlay/$d/w /run/kea /run/lock/kea
	mount -t overlay -o lowerdir=/$d,upperdir=/run/overlay/$d/u,workdir=/run/overlay/$d/w overlay /$d
done
mkdir -p /var/lib/dhcp /var/lib/kea /var/log/kea /etc/network /etc/dnsmasq.d /var/lib/misc
rm -rf /etc/dhcp /etc/dnsmasq.d/* /etc/network/interfaces.d
mkdir -p /etc/dhcp
echo ready
exec cat
`

// cards is the machine's network: eth0 and eth1 lead to the bridges br0 and br1, and so do c0 and c1, where clients
// sit, and s1, where a second server can.
const cards = `link add br0 type bridge
link add br1 type bridge
link add eth0 address 02:00:00:00:00:10 type veth peer name p0
link add eth1 address 02:00:00:00:00:11 type veth peer name p1
link add c0 type veth peer name q0
link add c1 type veth peer name q1
link add s1 address 02:00:00:00:00:21 type veth peer name r1
link set p0 master br0
link set q0 master br0
link set p1 master br1
link set q1 master br1
link set r1 master br1
link set br0 up
link set br1 up
link set p0 up
link set p1 up
link set q0 up
link set q1 up
link set r1 up
link set c0 up
link set c1 up
link set s1 up
link set eth0 up
link set eth1 up
address add 10.0.0.1/24 dev eth0
address add 192.168.1.1/24 dev eth1
`

func newMachine(t *testing.T) *machine {
	t.Helper()
	nstest.RequireRoot(t)
	nstest.RequireNetAdmin(t)
	nstest.RequireCommand(t, "nsenter", "unshare", "ip", "ss", "dhcpd", "kea-dhcp4", "dnsmasq", "base64", "start-stop-daemon")
	m := &machine{t: t, ns: nstest.New(t)}
	cmd := m.ns.Command(context.WithoutCancel(t.Context()), "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", machineScript)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.pid = cmd.Process.Pid
	t.Cleanup(func() { // process 1 of the machine ends, and with it all others
		in.Close()
		cmd.Wait()
		for _, c := range m.cmds {
			c.Wait()
		}
	})
	out.await(t, "ready\n")
	m.ip(cards)
	return m
}

// ip runs lines of ip's batch language.
func (m *machine) ip(lines string) {
	m.t.Helper()
	if strings.TrimSpace(lines) == "" {
		return
	}
	cmd := m.command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("ip: %v\n%s", err, out)
	}
}

func (m *machine) command(argv ...string) *exec.Cmd {
	space := func(name string) string { return fmt.Sprintf("/proc/%d/ns/%s", m.pid, name) }
	cmd := exec.CommandContext(context.WithoutCancel(m.t.Context()), "nsenter", append([]string{
		"--mount=" + space("mnt"), "--net=" + space("net"), "--pid=" + space("pid_for_children"), "--",
	}, argv...)...)
	cmd.Env = append(os.Environ(), "KEA_LOCKFILE_DIR=/run/lock/kea", "KEA_PIDFILE_DIR=/run/kea", "LC_ALL=C")
	return cmd
}

// try runs a command to its end and returns all that it printed and its exit status.
func (m *machine) try(argv ...string) (string, int) {
	m.t.Helper()
	out, err := m.command(argv...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		m.t.Fatalf("%v: %v", argv, err)
	}
	return string(out), 0
}

// write makes a file; the text "-" removes it.
func (m *machine) write(name, text string) {
	m.t.Helper()
	if text == "-" {
		m.try("rm", "-f", name)
		return
	}
	cmd := m.command("sh", "-c", `mkdir -p "$(dirname "$0")" && cat >"$0"`, name)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("write %s: %v\n%s", name, err, out)
	}
}

// start runs a server and waits until it has said a word.
func (m *machine) start(word string, argv ...string) *output {
	m.t.Helper()
	cmd, out := m.command(argv...), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.cmds = append(m.cmds, cmd)
	out.await(m.t, word)
	return out
}

// stop ends the servers, by the numbers that they have in this machine.
func (m *machine) stop() {
	m.t.Helper()
	m.try("sh", "-c", `for p in /proc/[0-9]*; do
		case $(cat $p/comm 2>/dev/null) in dhcpd | kea-dhcp4 | dnsmasq) kill -9 ${p#/proc/} ;; esac
	done; rm -f /run/dhcpd*.pid /var/run/dhcpd*.pid; rm -rf /var/lib/dhcp/* /var/lib/kea/* /var/lib/misc/*; touch /var/lib/dhcp/dhcpd.leases`)
	for _, c := range m.cmds {
		c.Wait()
	}
	m.cmds = nil
}

// read gathers what kvmlab judges by, as it does in a guest.
func (m *machine) read() mistake.Guest {
	m.t.Helper()
	seen, err := mistake.Read(m.t.Context(), func(ctx context.Context, argv ...string) ([]byte, error) {
		return m.command(argv...).Output()
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return seen
}

// client sits on a card of the segment with a MAC of its own.
func (m *machine) client(card, mac string) *nclient4.Client {
	m.t.Helper()
	hw, err := net.ParseMAC(mac)
	if err != nil {
		m.t.Fatal(err)
	}
	var c *nclient4.Client
	m.ns.Must(m.t, func() (err error) {
		c, err = nclient4.New(card, nclient4.WithHWAddr(hw), nclient4.WithTimeout(5*time.Second), nclient4.WithRetry(10))
		return err
	})
	m.t.Cleanup(func() { c.Close() })
	return c
}

const pc1 = "02:00:00:00:01:01"

// lease does a whole exchange and returns the ACK.
func (m *machine) lease(card, mac string) *dhcpv4.DHCPv4 {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	l, err := m.client(card, mac).Request(ctx, dhcpv4.WithBroadcast(true))
	if err != nil {
		m.t.Fatalf("no lease on %s: %v", card, err)
	}
	return l.ACK
}

// asLease is a lease as the host knows it.
func asLease(ack *dhcpv4.DHCPv4, at time.Time) mistake.Lease {
	address, _ := netip.AddrFromSlice(ack.YourIPAddr.To4())
	server, _ := netip.AddrFromSlice(ack.ServerIdentifier().To4())
	return mistake.Lease{Address: address, MAC: ack.ClientHWAddr, Server: server, Time: at}
}

// output collects what a program prints and wakes whoever waits for it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.news != nil {
		close(o.news)
		o.news = nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) await(t *testing.T, word string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		o.mu.Lock()
		if strings.Contains(o.text.String(), word) {
			o.mu.Unlock()
			return
		}
		if o.news == nil {
			o.news = make(chan struct{})
		}
		news := o.news
		o.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			t.Fatalf("no %q in:\n%s", word, o.String())
		}
	}
}

var _ io.Writer = (*output)(nil)

// page compares a page of docs/ with what the test has found, or writes it when UPDATE_GOLDEN is set.
func page(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("../../docs", name)
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	was, err := os.ReadFile(path)
	if err != nil || string(was) != text {
		t.Errorf("%s is not what the programs do now; UPDATE_GOLDEN=1 writes it anew (%v)", path, err)
	}
}

// bothAnswer discovers until two servers have made an offer.
func (m *machine) bothAnswer() {
	m.t.Helper()
	discover, err := dhcpv4.NewDiscovery(mac(pc1), dhcpv4.WithBroadcast(true))
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	servers := map[string]bool{}
	_, err = m.client("c1", pc1).SendAndRead(ctx, &net.UDPAddr{IP: net.IPv4bcast, Port: 67}, discover, func(p *dhcpv4.DHCPv4) bool {
		servers[p.ServerIdentifier().String()] = true
		return len(servers) == 2
	})
	if err != nil {
		m.t.Errorf("only %v answered: %v", servers, err)
	}
}
