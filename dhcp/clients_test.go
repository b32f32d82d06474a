//kvmlab:needs isc-dhcp-server kea-dhcp4-server dnsmasq-base isc-dhcp-relay
//kvmlab:needs busybox-static udhcpc isc-dhcp-client dhcpcd-base systemd

package dhcp_test

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/nstest"
)

// client is a DHCP client that people use, run as a process in the stations' namespace.
type client struct {
	name          string
	needs         []string      // programs
	lease         time.Duration // the shortest that it takes for what it is
	rebindLease   time.Duration // if that is too short to see it rebind
	arguments     func(dir string, iface string) []string
	release       func(s *stage, p *clientProcess) // makes it give its address back
	reboots       bool                             // whether it verifies the address it had (INIT-REBOOT)
	neverDeclines bool                             // it cannot (systemd-networkd 252 has no route for its DECLINE)
}

// clientScript configures the interface, as the clients' own scripts do, and refuses an address that somebody answers
// for (dhclient leaves that to its script).
const clientScript = `#!/bin/sh
a=${ip:-$new_ip_address}
case $1$reason in
bound | renew | BOUND | RENEW | REBIND | REBOOT)
	if [ "$reason" = BOUND ] && ! busybox arping -q -D -c 1 -w 1 -I eth0 "$a"; then exit 1; fi
	ip addr replace "$a/24" dev "$interface" ;;
deconfig | EXPIRE | FAIL | RELEASE | STOP) ip addr flush dev "$interface" ;;
PREINIT) ip link set "$interface" up ;;
esac
exit 0
`

func clients() []client {
	return []client{
		{
			name: "udhcpc", needs: []string{"busybox"}, lease: 16 * time.Second,
			arguments: func(dir, iface string) []string {
				return []string{
					"busybox", "udhcpc", "-f", "-i", iface, "-a500", "-t", "20", "-T", "1", "-A", "1", "-x", "hostname:pc1",
					"-s", filepath.Join(dir, "script"),
				}
			},
			release: func(_ *stage, p *clientProcess) { _ = p.cmd.Process.Signal(syscall.SIGUSR2) },
		},
		{
			name: "dhclient", needs: []string{"dhclient", "busybox"}, lease: 6 * time.Second, reboots: true,
			// It looks whether T2 has passed only when it asks again, which here is every two or three seconds.
			rebindLease: 32 * time.Second,
			arguments: func(dir, iface string) []string {
				return append([]string{"dhclient", "-4", "-d", "-v"}, append(dhclientFiles(dir), iface)...)
			},
			release: func(s *stage, p *clientProcess) {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				words := append([]string{"-4", "-r"}, append(dhclientFiles(p.dir), "eth0")...)
				if out, err := s.clients.Command(ctx, "dhclient", words...).CombinedOutput(); err != nil {
					s.failf("dhclient -r: %v\n%s", err, out)
				}
			},
		},
		{
			name: "dhcpcd", needs: []string{"dhcpcd"}, lease: 20 * time.Second, reboots: true,
			arguments: func(dir, iface string) []string {
				// Its state is in directories that are built in, so it gets its own ones.
				const private = `set -e
for d in /run /var/lib/dhcpcd /var/lib/dhcpcd5; do [ ! -d $d ] || { mkdir -p "$1$d"; mount --bind "$1$d" $d; }; done
shift; exec dhcpcd "$@"`
				return []string{
					"unshare", "--mount", "sh", "-c", private, "sh", dir, "-4", "-B", "-d", "-f", filepath.Join(dir, "conf"), iface,
				}
			},
			// SIGALRM makes it release its leases and end.
			release: func(_ *stage, p *clientProcess) { _ = p.cmd.Process.Signal(syscall.SIGALRM) },
		},
		networkd(),
	}
}

// networkd is systemd-networkd, alone: it needs neither systemd nor D-Bus, and waits for udev only where /sys can be
// written to.
func networkd() client {
	const program = "/lib/systemd/systemd-networkd"
	return client{
		name: "systemd-networkd", needs: []string{program, "unshare"}, lease: 12 * time.Second, neverDeclines: true,
		arguments: func(dir, _ string) []string {
			const private = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network: /run/systemd/netif
cp "$1/eth0.network" /run/systemd/network/
mount -t sysfs -o ro sysfs /sys
exec $2`
			return []string{"unshare", "--mount", "sh", "-c", private, "sh", dir, program}
		},
		release: func(_ *stage, p *clientProcess) { _ = p.cmd.Process.Signal(syscall.SIGTERM) },
	}
}

const networkdConfig = `[Match]
Name=eth0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
ClientIdentifier=mac
SendRelease=yes
`

func dhclientFiles(dir string) []string {
	return []string{
		"-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "-sf", filepath.Join(dir, "script"),
		"-cf", filepath.Join(dir, "dhclient.conf"),
	}
}

// clientProcess is a client at work.
type clientProcess struct {
	client
	dir  string
	cmd  *exec.Cmd
	said *lines
}

// lines collects what a process writes.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newClient prepares a client's files; run starts it.
func newClient(t *testing.T, c client) *clientProcess {
	t.Helper()
	nstest.RequireCommand(t, c.needs...)
	p := &clientProcess{client: c, dir: t.TempDir(), said: &lines{}}
	for name, text := range map[string]string{
		"script":        clientScript,
		"dhclient.conf": "timeout 20;\nretry 1;\nreboot 3;\ninitial-interval 1;\nbackoff-cutoff 2;\nselect-timeout 0;\n",
		"conf":          "noipv6rs\nnohook resolv.conf, hostname, timesyncd, wpa_supplicant\nnoipv4ll\nreboot 3\noption domain_name\n",
		"leases":        "",
		"eth0.network":  networkdConfig,
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), fileMode(name)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func fileMode(name string) os.FileMode {
	if name == "script" {
		return 0o755
	}
	return 0o644
}

// run starts the client until the test ends.
func (p *clientProcess) run(t *testing.T, s *stage) {
	t.Helper()
	words := p.arguments(p.dir, "eth0")
	p.cmd = s.clients.Command(context.Background(), words[0], words[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
}

func (p *clientProcess) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// await waits for a decision about a message of a type, and returns the event.
func (s *stage) awaitDecision(kind dhcp.MessageType, reasons ...dhcp.Reason) dhcp.Event {
	e, _ := s.eventThat(func(e dhcp.Event) bool {
		if e.Direction != dhcp.In || e.Type != kind || e.Decision == dhcp.DecisionNote {
			return false
		}
		return len(reasons) == 0 || slices.Contains(reasons, e.Reason)
	})
	return e
}

// TestClients lets real clients go through a lease's life, each part of it on a wire of its own, at once.
func TestClients(t *testing.T) {
	t.Parallel()
	stories := map[string]func(*testing.T, *stage, *inProcess, *clientProcess){
		"lease, renew, release": storyRenew,
		"rebind":                storyRebind,
		"expiry":                storyExpiry,
		"decline":               storyDecline,
		"reboot":                storyReboot,
	}
	for _, c := range clients() {
		for name, story := range stories {
			if name == "decline" && c.neverDeclines {
				continue
			}
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				p := newClient(t, c)
				lease := c.lease
				if name == "rebind" {
					lease = max(lease, c.rebindLease)
				}
				s, k := newStage(t, setup{lease: lease, maximum: lease})
				s.patience = 45 * time.Second
				defer func() {
					if t.Failed() {
						t.Logf("%s said:\n%s", c.name, p.said)
					}
				}()
				defer failing(t)
				if name == "decline" {
					// A squatter has the first address of the pool.
					s.servers.Run(t, "ip addr add "+one+"/32 dev br1")
				}
				p.run(t, s)
				story(t, s, k, p)
			})
		}
	}
}

// bound waits for the first ACK.
func bound(s *stage) netip.Addr { return s.awaitDecision(dhcp.Request, dhcp.ReasonSelecting).Address }

func storyRenew(t *testing.T, s *stage, k *inProcess, p *clientProcess) {
	t.Helper()
	a := bound(s)
	first, _ := k.held(a)
	s.awaitDecision(dhcp.Request, dhcp.ReasonRenewing)
	if l, _ := k.held(a); l.State != dhcp.StateBound || !l.Expires.After(first.Expires) || !l.Start.Equal(first.Start) {
		t.Errorf("first %+v, renewed %+v", first, l)
	}
	p.release(s, p)
	if e := s.awaitDecision(dhcp.Release); e.Reason != dhcp.ReasonReleased || e.Address != a {
		t.Errorf("%+v", e)
	}
	if l, _ := k.held(a); l.State != dhcp.StateReleased {
		t.Errorf("after the release: %+v", l)
	}
}

func storyRebind(t *testing.T, s *stage, k *inProcess, _ *clientProcess) {
	t.Helper()
	a := bound(s)
	// The server's answers are lost until the client asks everybody.
	if err := k.srv.SetFaults(dhcp.Fault{Kind: dhcp.FaultDrop, Message: dhcp.Ack}); err != nil {
		t.Fatal(err)
	}
	s.awaitDecision(dhcp.Request, dhcp.ReasonRenewing)
	s.awaitDecision(dhcp.Request, dhcp.ReasonRebinding)
	if err := k.srv.SetFaults(); err != nil {
		t.Fatal(err)
	}
	// It asks again, or asks anew if its lease ended meanwhile; either way it keeps its address.
	e, _ := s.eventThat(func(e dhcp.Event) bool {
		return e.Direction == dhcp.Out && e.Type == dhcp.Ack && e.Decision == dhcp.DecisionSent
	})
	if e.Address != a {
		t.Errorf("it had %v, and has %v", a, e.Address)
	}
}

func storyExpiry(t *testing.T, s *stage, k *inProcess, p *clientProcess) {
	t.Helper()
	a := bound(s)
	if err := k.srv.SetFaults(dhcp.Fault{Kind: dhcp.FaultSilent}); err != nil {
		t.Fatal(err)
	}
	anew, _ := s.eventThat(func(e dhcp.Event) bool {
		return e.Direction == dhcp.In && e.Type == dhcp.Discover && e.Reason == dhcp.ReasonFault
	})
	// The client counts from when it sent its REQUEST, the server from when it decided (RFC 2131 section 4.4.1): on a
	// busy machine these are some time apart.
	if l, _ := k.held(a); anew.Time.Before(l.Expires.Add(-p.lease / 3)) {
		t.Errorf("the client starts anew at %v, and its lease is %+v", anew.Time, l)
	}
	if err := k.srv.SetFaults(); err != nil {
		t.Fatal(err)
	}
	if again := bound(s); again != a {
		t.Errorf("it had %v, and got %v", a, again)
	}
}

func storyDecline(t *testing.T, s *stage, k *inProcess, _ *clientProcess) {
	t.Helper()
	squatted := ip(one)
	if e := s.awaitDecision(dhcp.Decline); e.Reason != dhcp.ReasonDeclined || e.Address != squatted {
		t.Errorf("%+v", e)
	}
	if l, _ := k.held(squatted); l.State != dhcp.StateDeclined {
		t.Errorf("the squatted address is %+v", l)
	}
	if a := bound(s); a == squatted {
		t.Errorf("it got %v again", a)
	}
}

func storyReboot(t *testing.T, s *stage, _ *inProcess, p *clientProcess) {
	t.Helper()
	a := bound(s)
	s.eventThat(func(e dhcp.Event) bool { return e.Direction == dhcp.Out && e.Type == dhcp.Ack })
	// It must have noted its lease before the power goes.
	s.awaitDecision(dhcp.Request, dhcp.ReasonRenewing)
	p.kill()
	s.clients.Run(t, "ip addr flush dev eth0")
	p.run(t, s)
	want := []dhcp.Reason{dhcp.ReasonInitReboot}
	if !p.reboots {
		want = []dhcp.Reason{dhcp.ReasonSelecting}
	}
	if e := s.awaitDecision(dhcp.Request, want...); e.Address != a {
		t.Errorf("it had %v, and got %v (%s)", a, e.Address, strings.TrimSpace(e.Text()))
	}
}
