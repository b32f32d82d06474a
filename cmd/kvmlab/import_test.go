package main_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/internal/nstest"
)

// cloudImage is another Debian release as a cloud image, which scripts/setup --tests makes.
const cloudImage = "/var/cache/kvmlab/cloud-image.qcow2"

// otherLab is a guest of an imported image whose second card is on a bare switch.
const otherLab = `
version: 1
name: other
bridges:
  - {name: br1, address: 10.5.0.1/24, dhcp: {range: [10.5.0.2-10.5.0.10]}}
  - {name: br2}
guests:
  - name: srv
    image: trixie
    disk: 4GiB
    files:
      - {path: /usr/local/bin/greet, content: "#!/bin/sh\necho \"greetings: $*\"\n", mode: "0755"}
    nics: [{bridge: br1}, {bridge: br2}]
`

// TestImportedImage starts a guest of another distribution, which knows nothing of kvmlab: it boots from its own disk by a
// BIOS, and its name, cards, files and password are those of the seed.
func TestImportedImage(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	problem := ""
	if _, err := os.Stat(cloudImage); err != nil {
		problem = err.Error()
	}
	nstest.RequireImage(t, "of another distribution", problem)
	key := s.writeFile("id.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJq3 ana@school\n")
	s.run("kvmlab", "image", "import", "trixie", cloudImage, "--ssh-key", key)
	file := s.writeFile("other.yaml", otherLab)
	s.run("kvmlab", "up", "--no-wait", file)
	s.awaitLease("other", "srv")
	s.awaitBoot("srv")
	script := `hostname; greet "$(cat /sys/class/net/eth0/address)"; df --output=size -BM / | tail -1; grep -o '^root:\$y' /etc/shadow
		grep -c AAAAC3NzaC1lZDI1NTE5AAAAIJq3 /root/.ssh/authorized_keys; grep -c "srv" /etc/hosts; wc -c </etc/machine-id`
	out := strings.Fields(s.run("kvmlab", "exec", "-n", "--wait", "4m", "srv", "--", "sh", "-c", script))
	mac := s.statusOf("other").Guests[0].NICs[0].MAC
	if len(out) != 8 || strings.Join(out[:3], " ") != "srv greetings: "+mac || out[3] < "3500M" || out[4] != "root:$y" || strings.Join(out[5:], " ") != "1 1 33" {
		t.Errorf("name, file and card, the disk's size, password, key, /etc/hosts, machine-id: %q", out)
	}
	s.run("virsh", "shutdown", "--mode", "acpi", "other-srv")
	s.awaitOff("other-srv")
	t.Run("rm", func(t *testing.T) {
		if r := s.try("kvmlab", "image", "rm", "trixie"); r.status != 4 || !strings.Contains(r.err, "KL413") || !strings.Contains(r.err, "other") {
			t.Errorf("an image in use: %+v", r)
		}
		s.run("kvmlab", "down", "other")
		if r := s.try("kvmlab", "image", "rm", "trixie"); !strings.Contains(r.err, "KL413") {
			t.Errorf("a kept disk lies on it: %+v", r)
		}
	})
	// The disk is kept and the cards have other addresses now: the seed tells the guest so.
	s.run("kvmlab", "up", "--no-wait", file)
	s.awaitLease("other", "srv")
	if now := s.statusOf("other").Guests[0].NICs[0].MAC; now == mac {
		t.Errorf("the card still has %s: the second start shows nothing", mac)
	}
	s.awaitBoot("srv") // before, there is nobody who hears the power button
	if said := s.run("kvmlab", "down", "--halt", "-o", "json"); !strings.Contains(said, `"off": [`) || strings.Contains(said, `"off": []`) {
		t.Errorf("it does not switch itself off: %s", said)
	}
	s.run("kvmlab", "down", "--purge", "--yes", "other")
	s.run("kvmlab", "image", "rm", "trixie")
	if out := s.run("sh", "-c", "find /var/lib/kvmlab/labs /var/lib/kvmlab/images/trixie /var/lib/kvmlab/images/.import/.build-* -mindepth 1 2>/dev/null || true"); out != "" {
		t.Errorf("left: %s", out)
	}
}

// awaitBoot waits until cloud-init has done its work of this boot, which is the last of it.
func (s *sandbox) awaitBoot(guest string) {
	s.t.Helper()
	for deadline := time.Now().Add(15 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		if s.try("kvmlab", "exec", "-n", "--wait", "4m", guest, "--", "test", "-e", "/run/cloud-init/result.json").status == 0 {
			return
		}
	}
	s.t.Fatalf("%s has not booted in a quarter of an hour", guest)
}

// awaitLease waits until the first card of a lab's only guest has its lease, under the guest's name. Without hardware
// virtualisation, beside other tests, a full system takes minutes.
func (s *sandbox) awaitLease(lab, guest string) {
	s.t.Helper()
	for deadline := time.Now().Add(15 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		if lease := s.statusOf(lab).Guests[0].NICs[0].Lease; lease != nil && lease.State == "bound" {
			if names := s.hostnames(lab); len(names) != 1 || names[0] != guest {
				s.t.Errorf("option 12: %v", names)
			}
			return
		}
	}
	s.t.Fatalf("no lease for %s:\n%s", guest, s.run("tail", "-c", "3000", "/var/lib/kvmlab/labs/"+lab+"/console/"+guest+".log"))
}

// TestImportBadInput shows what a user sees of a file or a name that cannot be imported.
func TestImportBadInput(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	text := s.writeFile("text.qcow2", strings.Repeat("not a disk\n", 1000))
	for _, test := range []struct {
		args   []string
		code   string
		status int
	}{
		{[]string{"import", "mine", text}, "KL411", 2},
		{[]string{"import", "mine", "/no/such/file"}, "KL004", 2},
		{[]string{"import", "micro", text}, "KL412", 2},
		{[]string{"import", "A B", text}, "KL412", 2},
		{[]string{"import", "mine"}, "KL001", 2},
		{[]string{"import", "mine", text, "--ssh-key", text}, "KL414", 2},
		{[]string{"rm", "mine"}, "KL400", 4},
		{[]string{"show", "mine"}, "KL400", 4},
	} {
		if r := s.try("kvmlab", append([]string{"image"}, test.args...)...); r.status != test.status || !strings.Contains(r.err, test.code) {
			t.Errorf("%v: want %s and status %d: %+v", test.args, test.code, test.status, r)
		}
	}
}

// TestDamagedImage changes one byte of the image that guests boot: up says which file, with both checksums, and has
// changed nothing. As it was, the image is good again.
func TestDamagedImage(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("kvmlab", "image", "show", "micro")
	before := s.footprint()
	const spoil = `cd /var/lib/kvmlab/images/micro/current && cp initrd.cpio /tmp/initrd.$$ &&
		printf x | dd of=initrd.cpio bs=1 seek=5000 conv=notrunc status=none && echo /tmp/initrd.$$`
	saved := strings.TrimSpace(s.run("sh", "-c", spoil))
	defer os.Remove(saved)
	r := s.try("kvmlab", "up")
	if said := strings.Join(strings.Fields(r.err), " "); r.status != 4 || !strings.Contains(said, "KL403") ||
		!strings.Contains(said, "initrd.cpio: its SHA-256 is ") {
		t.Errorf("%+v", r)
	}
	if after := s.footprint(); after != before {
		t.Errorf("it left something:\n%s\nbefore:\n%s", after, before)
	}
	s.run("cp", saved, "/var/lib/kvmlab/images/micro/current/initrd.cpio")
	s.run("kvmlab", "up")
	s.run("kvmlab", "down")
}
