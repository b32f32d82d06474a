package main_test

import (
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// exerciseLab is the lab of the class note: a server with two cards, whose second one serves two PCs; kvmlab itself is
// silent there.
const exerciseLab = `
version: 1
name: exercise
bridges:
  - {name: br0, address: 10.5.0.1/24, dhcp: {range: [10.5.0.2-10.5.0.10]}}
  - {name: br1, dhcp: off}
guests:
  - {name: srv, image: debian, nics: [{bridge: br0}, {bridge: br1}]}
  - {name: pc1, nics: [{bridge: br1}]}
  - {name: pc2, nics: [{bridge: br1}]}
`

// TestExercise does the class note's exercise as a student would: at the console of the server, by typing, without a way
// in but the console. Then the same with the other two servers that Debian has.
func TestExercise(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	needDebian(t, s)
	s.run("kvmlab", "up", s.writeFile("exercise.yaml", exerciseLab))
	srv := s.sitDown(t, "srv")
	pcs := []*typist{s.sitDown(t, "pc1"), s.sitDown(t, "pc2")}
	srv.login()

	t.Run("a second console is refused", func(t *testing.T) {
		if r := s.try("kvmlab", "console", "srv"); r.status == 0 || !strings.Contains(r.err, "KL304") {
			t.Errorf("status %d\n%s", r.status, r.err)
		}
	})
	srv.types("\r")
	srv.expect(`root@srv:~# `)
	srv.file("/etc/network/interfaces.d/eth1", "auto eth1\niface eth1 inet static\n    address 192.168.1.1/24\n")
	srv.command("echo 'source /etc/network/interfaces.d/*' >> /etc/network/interfaces")
	srv.command("ifup eth1")
	if out := srv.command("ip -brief address show eth1"); !strings.Contains(out, "192.168.1.1/24") {
		t.Fatalf("eth1: %s", out)
	}
	for _, server := range []struct {
		name string
		do   func(*typist)
		// socket is what ss shows, and lease what the PCs say.
		socket, lease string
	}{
		{"isc-dhcp-server", configureISC, `0.0.0.0:67`, `eth0: lease 192\.168\.1\.([2-9]|10)/24 from 192\.168\.1\.1`},
		{"kea-dhcp4-server", configureKea, `192.168.1.1:67`, `eth0: lease 192\.168\.1\.2\d/24 from 192\.168\.1\.1`},
		{"dnsmasq", configureDnsmasq, `0.0.0.0%eth1:67`, `eth0: lease 192\.168\.1\.4\d/24 from 192\.168\.1\.1`},
	} {
		server.do(srv)
		srv.command("systemctl restart " + server.name)
		if out := srv.command("systemctl is-active " + server.name); !strings.HasPrefix(out, "active\n") {
			t.Fatalf("%s: %s\n%s", server.name, out, srv.command("journalctl --no-pager -n 20 -u "+server.name))
		}
		awaitSocket(srv, server.socket)
		addresses := map[string]bool{}
		for _, pc := range pcs {
			// A PC that already asks for its first lease needs no telling; it does no harm.
			pc.types("dhcp-renew eth0\r")
			addresses[pc.expect(server.lease)] = true
		}
		for _, pc := range pcs {
			pc.types("dhcp-release eth0\r")
			pc.expect(`the lease is gone`)
		}
		if len(addresses) != len(pcs) {
			t.Errorf("%s gave both the same: %v", server.name, addresses)
		}
		srv.command("systemctl stop " + server.name)
	}
	s.run("kvmlab", "down", "--purge", "--yes")
}

// awaitSocket looks with ss, again and again as a student would, until the server listens: systemd calls Kea active as
// soon as it has been started.
func awaitSocket(srv *typist, socket string) {
	srv.t.Helper()
	out := ""
	for range 50 {
		if out = srv.command("ss -lnup 'sport = :67'"); strings.Contains(out, socket) {
			return
		}
	}
	srv.t.Errorf("no %s among the sockets on port 67:\n%s", socket, out)
}

func configureISC(srv *typist) {
	srv.t.Helper()
	srv.command(`sed -i 's/^INTERFACESv4=.*/INTERFACESv4="eth1"/' /etc/default/isc-dhcp-server`)
	srv.file("/etc/dhcp/dhcpd.conf", `default-lease-time 600;
max-lease-time 7200;
subnet 192.168.1.0 netmask 255.255.255.0 {
  range 192.168.1.2 192.168.1.10;
  option routers 192.168.1.1;
}
`)
}

func configureKea(srv *typist) {
	srv.t.Helper()
	srv.file("/etc/kea/kea-dhcp4.conf", `{ "Dhcp4": {
  "interfaces-config": { "interfaces": ["eth1"] },
  "lease-database": { "type": "memfile", "persist": false },
  "subnet4": [ { "subnet": "192.168.1.0/24",
    "pools": [ { "pool": "192.168.1.20-192.168.1.29" } ] } ] } }
`)
}

func configureDnsmasq(srv *typist) {
	srv.t.Helper()
	srv.file("/etc/dnsmasq.d/lab.conf", `port=0
interface=eth1
bind-interfaces
dhcp-range=192.168.1.40,192.168.1.49,10m
`)
}

// needDebian skips, or fails, where the machine has no debian image: scripts/setup --tests builds it.
func needDebian(t *testing.T, s *sandbox) {
	t.Helper()
	problem := ""
	if r := s.try("kvmlab", "image", "show", "debian"); r.status != 0 {
		problem = r.err
	}
	nstest.RequireImage(t, "debian", problem)
}
