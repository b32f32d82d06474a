package main_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// debianLab is one debian guest whose second card is on a bare switch.
const debianLab = `
version: 1
name: full
bridges:
  - {name: br0, address: 10.5.0.1/24, dhcp: {range: [10.5.0.2-10.5.0.10]}}
  - {name: br1}
guests:
  - name: srv
    image: debian
    disk: 6GiB
    files:
      - {path: /usr/local/bin/greet, content: "#!/bin/sh\necho greetings\n", mode: "0755"}
    nics: [{bridge: br0}, {bridge: br1}]
`

// TestDebianDisk follows one guest's disk through its life: files at the first start, kept over a power cut in the middle
// of writing and over down and up, gone with reset and purge.
func TestDebianDisk(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	needDebian(t, s)
	file := s.writeFile("full.yaml", debianLab)
	s.run("kvmlab", "up", file)
	if st := s.statusOf("full"); st.Guests[0].NICs[0].Lease == nil || st.Guests[0].NICs[1].Lease != nil {
		t.Errorf("eth0 asks for a lease and eth1 does not: %+v", st.Guests[0].NICs)
	}
	if names := s.hostnames("full"); len(names) != 1 || names[0] != "srv" {
		t.Errorf("option 12: %v", names)
	}
	if out := s.exec("hostname; greet; cat /sys/class/net/eth0/address"); out !=
		"srv\ngreetings\n"+s.statusOf("full").Guests[0].NICs[0].MAC+"\n" {
		t.Errorf("name, file and card: %q", out)
	}
	identity := s.exec("cat /etc/machine-id")
	if len(strings.TrimSpace(identity)) != 32 {
		t.Errorf("machine-id %q", identity)
	}
	if size := s.exec("df --output=size -BM / | tail -1"); strings.TrimSpace(size) < "5500M" {
		t.Errorf("the file system of a disk of 6 GiB has %s", size)
	}
	waysIn(t, s, "srv")
	typing := s.sitDown(t, "srv")
	typing.login()
	typing.leave()
	consoleWindow(t, s, "srv")
	s.exec("echo work >/root/work; rm /usr/local/bin/greet; sync")

	// QEMU is killed while the guest writes: the journal brings the file system back to something clean.
	s.exec("(while :; do cp -r /etc /root/copy; rm -r /root/copy; done) >/dev/null 2>&1 & sleep 2")
	s.run("virsh", "destroy", "full-srv")
	s.run("kvmlab", "up", "full")
	if out := s.exec("cat /root/work /etc/machine-id; ls /usr/local/bin; dmesg | grep -i 'EXT4-fs error' || true"); out != "work\n"+identity {
		t.Errorf("after a power cut: %q", out)
	}
	s.run("kvmlab", "down", "full")
	s.run("kvmlab", "up", file)
	if out := s.exec("cat /root/work /etc/machine-id"); out != "work\n"+identity {
		t.Errorf("after down and up: %q", out)
	}
	if r := s.try("kvmlab", "reset", "srv"); !strings.Contains(r.err, "KL409") || !strings.Contains(r.err, "full/srv") {
		t.Errorf("reset without a yes: %+v", r)
	}
	s.run("kvmlab", "reset", "srv", "--yes")
	// A fresh disk is another machine to DHCP servers, too: option 61 is made of an identifier that is kept on the disk.
	for limit := time.Now().Add(expectLimit); len(s.clients("full")) < 2; time.Sleep(time.Second) {
		if time.Now().After(limit) {
			t.Fatalf("client identifiers before and after reset: %x", s.clients("full"))
		}
	}
	if out := s.exec("ls /root; greet; cat /etc/machine-id"); !strings.HasPrefix(out, "greetings\n") || strings.Contains(out, identity) {
		t.Errorf("after reset: %q", out)
	}
	if r := s.try("kvmlab", "down", "--purge", "full"); !strings.Contains(r.err, "KL409") {
		t.Errorf("purge without a yes: %+v", r)
	}
	s.run("kvmlab", "down", "--purge", "--yes", "full")
	if out := s.run("sh", "-c", "find /var/lib/kvmlab/labs -mindepth 1"); out != "" {
		t.Errorf("purge left %s", out)
	}
}

// clients are the client identifiers (option 61) that a lab's server has given leases to.
func (s *sandbox) clients(lab string) []string {
	s.t.Helper()
	leases, err := dhcp.ReadLeases(filepath.Join("/proc", s.init, "root/var/lib/kvmlab/labs", lab, "leases"))
	if err != nil {
		s.t.Fatal(err)
	}
	var ids []string
	for _, lease := range leases {
		if lease.ClientID != "" && !slices.Contains(ids, lease.ClientID) {
			ids = append(ids, lease.ClientID)
		}
	}
	return ids
}

// exec runs a shell command in the guest srv, once that has booted.
func (s *sandbox) exec(script string) string {
	s.t.Helper()
	return s.run("kvmlab", "exec", "-n", "--wait", "4m", "srv", "--", "sh", "-c", script)
}
