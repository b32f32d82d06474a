package main_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestThreeTaps is the class's lab from nothing to nothing: up, look, ping, down.
func TestThreeTaps(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	s.run("kvmlab", "up")

	st := s.statusOf("three-taps")
	if st.State != "up" || st.Isolation != "host" || !st.Supervisor.Running || len(st.Drift) != 0 {
		t.Errorf("status: %+v", st)
	}
	if len(st.Bridges) != 1 || st.Bridges[0].Name != "br1" || st.Bridges[0].Address != "192.168.1.1/24" || !st.Bridges[0].Up {
		t.Errorf("bridges: %+v", st.Bridges)
	}
	checkThreeGuests(t, st)
	for _, g := range st.Guests {
		s.run("ping", "-c", "1", "-W", "5", g.NICs[0].Lease.Address)
	}
	if d := cmp.Diff([]string{"pc1", "pc2", "pc3"}, s.hostnames("three-taps")); d != "" {
		t.Errorf("host names in option 12 (-want +got):\n%s", d)
	}
	alias := s.run("sh", "-c", "ip -j link show tap1 | jq -r '.[0].ifalias'")
	if !strings.HasPrefix(alias, "kvmlab:three-taps") {
		t.Errorf("alias of tap1 is %q", alias)
	}
	s.run("kvmlab", "down")
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("down left something (-before +after):\n%s", d)
	}
}

// checkThreeGuests looks at what the class looks at: three guests that run, 02: MACs, leases in the range.
func checkThreeGuests(t *testing.T, st labStatus) {
	t.Helper()
	addresses := map[string]bool{}
	for i, g := range st.Guests {
		n := strconv.Itoa(i + 1)
		if g.Name != "pc"+n || g.Domain != "three-taps-pc"+n || g.State != "running" || len(g.NICs) != 1 {
			t.Errorf("guest %d: %+v", i, g)
			continue
		}
		nic := g.NICs[0]
		if nic.Name != "eth0" || nic.Tap != "tap"+n || nic.Bridge != "br1" || !strings.HasPrefix(nic.MAC, "02:") {
			t.Errorf("%s: card %+v", g.Name, nic)
		}
		if nic.Lease == nil || nic.Lease.State != "bound" || nic.Lease.Server != "192.168.1.1" || !nic.Lease.Expires.After(time.Now()) {
			t.Errorf("%s: lease %+v", g.Name, nic.Lease)
			continue
		}
		address := netip.MustParseAddr(nic.Lease.Address)
		if address.Less(netip.MustParseAddr("192.168.1.2")) || netip.MustParseAddr("192.168.1.10").Less(address) {
			t.Errorf("%s has %s, which is not in the range", g.Name, address)
		}
		addresses[nic.Lease.Address] = true
	}
	if len(addresses) != 3 {
		t.Errorf("want three different addresses, got %v", addresses)
	}
}

// hostnames are the names that a lab's clients sent in option 12, sorted.
func (s *sandbox) hostnames(lab string) []string {
	s.t.Helper()
	var report struct {
		Labs []struct{ Leases []struct{ Hostname string } }
	}
	out := s.run("kvmlab", "leases", "-o", "json", lab)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		s.t.Fatalf("leases -o json: %v\n%s", err, out)
	}
	var names []string
	for _, l := range report.Labs {
		for _, lease := range l.Leases {
			names = append(names, lease.Hostname)
		}
	}
	slices.Sort(names)
	return names
}

// twoBridges is a lab whose second guest sits on both of its networks; the second network is a bare switch.
const twoBridges = `
version: 1
name: two-bridges
bridges:
  - name: lan
    address: 10.9.0.1/24
    dhcp:
      range: [10.9.0.100-10.9.0.120]
      lease: 2m
      reservations: [{guest: pc, address: 10.9.0.50}]
      options: {domain-name: aula.lan}
  - name: dmz
    address: 10.9.1.1/24
    dhcp: {range: [10.9.1.5-10.9.1.9]}
guests:
  - name: pc
    nics: [{bridge: lan}]
  - name: router
    nics:
      - {bridge: lan, mac: "02:00:00:00:00:11"}
      - {bridge: dmz, tap: dmztap}
`

func TestTwoBridges(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	s.run("kvmlab", "up", s.writeFile("two.yaml", twoBridges))
	st := s.statusOf("two-bridges")
	if st.State != "up" || len(st.Guests) != 2 || len(st.Guests[1].NICs) != 2 {
		t.Fatalf("status: %+v", st)
	}
	if got := st.Guests[0].NICs[0].Lease; got == nil || got.Address != "10.9.0.50" {
		t.Errorf("pc has a reservation for 10.9.0.50, and got %+v", got)
	}
	for i, prefix := range []string{"10.9.0.", "10.9.1."} {
		nic := st.Guests[1].NICs[i]
		if nic.Lease == nil || !strings.HasPrefix(nic.Lease.Address, prefix) {
			t.Errorf("router %s: want a lease in %s0/24, got %+v", nic.Name, prefix, nic.Lease)
			continue
		}
		s.run("ping", "-c", "1", "-W", "5", nic.Lease.Address)
	}
	if st.Guests[1].NICs[0].MAC != "02:00:00:00:00:11" || st.Guests[1].NICs[1].Tap != "dmztap" {
		t.Errorf("router: %+v", st.Guests[1])
	}
	s.run("kvmlab", "down", "two-bridges")
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("down left something (-before +after):\n%s", d)
	}
}

// TestHeal breaks a running lab in the ways that happen in a class, and lets `up` mend just that.
func TestHeal(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("kvmlab", "up")
	first := s.statusOf("three-taps")
	pids := s.qemuPIDs()

	t.Run("nothing to do", func(t *testing.T) {
		if got := s.upChanges(); got != 0 {
			t.Errorf("the second up made %d changes", got)
		}
		if d := cmp.Diff(pids, s.qemuPIDs()); d != "" {
			t.Errorf("the second up touched guests:\n%s", d)
		}
	})
	t.Run("supervisor killed", func(t *testing.T) {
		s.run("kill", "-9", strconv.Itoa(s.statusOf("three-taps").Supervisor.PID))
		st := s.statusOf("three-taps")
		if st.State != "degraded" || st.Supervisor.Running || len(st.Drift) == 0 {
			t.Errorf("status after the kill: %+v", st)
		}
		if got := s.upChanges(); got != 1 {
			t.Errorf("up made %d changes, want 1", got)
		}
		after := s.statusOf("three-taps")
		if d := cmp.Diff(addressesOf(first), addressesOf(after)); d != "" {
			t.Errorf("leases changed:\n%s", d)
		}
		if d := cmp.Diff(pids, s.qemuPIDs()); d != "" {
			t.Errorf("guests were touched:\n%s", d)
		}
	})
	t.Run("guest destroyed", func(t *testing.T) {
		s.run("virsh", "--quiet", "destroy", "three-taps-pc3")
		if st := s.statusOf("three-taps"); st.State != "degraded" {
			t.Errorf("state is %s", st.State)
		}
		s.run("kvmlab", "up")
		after := s.statusOf("three-taps")
		if after.State != "up" || !sameBut(pids, s.qemuPIDs(), "three-taps-pc3") {
			t.Errorf("state %s, guests before %v, after %v", after.State, pids, s.qemuPIDs())
		}
		if d := cmp.Diff(addressesOf(first), addressesOf(after)); d != "" {
			t.Errorf("leases changed:\n%s", d)
		}
		pids = s.qemuPIDs()
	})
	t.Run("tap deleted", func(t *testing.T) {
		s.run("ip", "link", "del", "tap2")
		if st := s.statusOf("three-taps"); st.State != "degraded" {
			t.Errorf("state is %s", st.State)
		}
		s.run("kvmlab", "up")
		after := s.statusOf("three-taps")
		if after.State != "up" || !sameBut(pids, s.qemuPIDs(), "three-taps-pc2") {
			t.Errorf("state %s, guests before %v, after %v", after.State, pids, s.qemuPIDs())
		}
		s.run("ping", "-c", "1", "-W", "5", after.Guests[1].NICs[0].Lease.Address)
	})
	s.run("kvmlab", "down")
}

// upChanges runs `up` on the running lab and returns how many changes it made.
func (s *sandbox) upChanges() int {
	s.t.Helper()
	var report struct{ Changes int }
	out := s.run("kvmlab", "up", "-o", "json")
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		s.t.Fatalf("up -o json: %v\n%s", err, out)
	}
	return report.Changes
}

// qemuPIDs maps each running domain of the class's lab to its QEMU process.
func (s *sandbox) qemuPIDs() map[string]string {
	s.t.Helper()
	return s.processesOf([]string{"three-taps"})
}

// processesOf maps each running domain of some labs to its QEMU process.
func (s *sandbox) processesOf(labs []string) map[string]string {
	s.t.Helper()
	pids := map[string]string{}
	for line := range strings.Lines(s.run("sh", "-c", `for f in /run/libvirt/qemu/*.pid; do echo "$(basename "$f" .pid) $(cat "$f")"; done`)) {
		name, pid, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && slices.ContainsFunc(labs, func(lab string) bool { return strings.HasPrefix(name, lab+"-") }) {
			pids[name] = pid
		}
	}
	return pids
}

// sameBut reports whether only the domain changed got a new process.
func sameBut(before, after map[string]string, changed string) bool {
	for name, pid := range before {
		if (after[name] == pid) == (name == changed) || after[name] == "" {
			return false
		}
	}
	return len(before) == len(after)
}

func addressesOf(st labStatus) map[string]string {
	out := map[string]string{}
	for _, g := range st.Guests {
		for _, nic := range g.NICs {
			if nic.Lease != nil {
				out[g.Name+" "+nic.Name] = nic.Lease.Address
			}
		}
	}
	return out
}

// plantForeign makes a bridge, a tap and a domain that look as if they could be a lab's and are not.
func (s *sandbox) plantForeign() {
	s.t.Helper()
	s.run("sh", "-ec", `
		ip link add br9 type bridge
		ip link set br9 addrgenmode none
		ip link set br9 up
		ip tuntap add mode tap name tap9
		ip link set tap9 master br9
		until grep -q down /sys/class/net/br9/operstate; do sleep 0.01; done
		virsh --quiet define /dev/stdin <<-XML
			<domain type='qemu'><name>three-taps-pc9</name><memory unit='MiB'>16</memory>
			<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>
		XML`)
}

// journalPoints is how many records `up` writes and how many points within the start of a guest it passes (see
// engine.Config.Passed); the tests stop it at each. Every guest is resumed, and does not run yet; isolated, it is then
// without its tap in the lab's namespace, and with it.
func journalPoints(t *testing.T, flags ...string) int {
	t.Helper()
	s := newSandbox(t)
	s.run("kvmlab", append([]string{"up", "--no-wait"}, flags...)...)
	n, err := strconv.Atoi(strings.TrimSpace(s.run("sh", "-c", "wc -l < /var/lib/kvmlab/labs/three-taps/journal.jsonl")))
	if err != nil || n < 14 { // begin and done of a bridge, three taps and three domains at the least
		t.Fatalf("the journal of up has %d records (%v)", n, err)
	}
	within := 1
	if slices.Contains(flags, "--isolate") {
		within = 3
	}
	s.run("kvmlab", "down")
	return n + 3*within
}

// TestKilledAtEveryPoint stops `up` with SIGKILL after each record of its journal. `down` must then remove everything
// and touch nothing else. Every second time the state directory is lost as well.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	killedAtEveryPoint(t)
}

func killedAtEveryPoint(t *testing.T, flags ...string) {
	t.Helper()
	points := journalPoints(t, flags...)
	s := newSandbox(t)
	s.plantForeign()
	before := s.footprint()
	for point := 1; point <= points; point++ {
		r := s.tryWith([]string{fmt.Sprintf("KVMLAB_TEST_SIGNAL=KILL@%d", point)}, "kvmlab", append([]string{"up", "--no-wait"}, flags...)...)
		if r.status != 128+int(syscall.SIGKILL) && r.status != -1 {
			t.Fatalf("point %d: up ended with %d instead of being killed\n%s", point, r.status, r.err)
		}
		if point%2 == 0 {
			s.run("rm", "-rf", "/var/lib/kvmlab/labs")
		}
		down := s.try("kvmlab", "down", "three-taps")
		if nothing := down.status == 2 && strings.Contains(down.err, "KL601"); down.status != 0 && !nothing {
			t.Errorf("point %d: down: exit status %d\n%s", point, down.status, down.err)
		}
		if d := cmp.Diff(before, s.footprint()); d != "" {
			t.Fatalf("point %d: something is left, or gone (-before +after):\n%s", point, d)
		}
	}
}

// TestInterruptedAtEveryPoint stops `up` with SIGINT after each record of its journal: it must roll back by itself.
func TestInterruptedAtEveryPoint(t *testing.T) {
	t.Parallel()
	interruptedAtEveryPoint(t)
}

func interruptedAtEveryPoint(t *testing.T, flags ...string) {
	t.Helper()
	points := journalPoints(t, flags...)
	s := newSandbox(t)
	s.plantForeign()
	before := s.footprint()
	for point := 1; point <= points; point++ {
		r := s.tryWith([]string{fmt.Sprintf("KVMLAB_TEST_SIGNAL=INT@%d", point)}, "kvmlab", append([]string{"up"}, flags...)...)
		if r.status != 5 {
			t.Errorf("point %d: exit status %d, want 5\n%s", point, r.status, r.err)
		}
		if d := cmp.Diff(before, s.footprint()); d != "" {
			t.Fatalf("point %d: not rolled back (-before +after):\n%s", point, d)
		}
	}
}

// TestStateLost deletes kvmlab's files under a running lab: `down` must find everything by the marks.
func TestStateLost(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.plantForeign()
	before := s.footprint()
	s.run("kvmlab", "up", "--no-wait")
	s.run("rm", "-rf", "/var/lib/kvmlab/labs")
	if st := s.statusOf("three-taps"); st.State == "down" {
		t.Errorf("status says that the lab is down while it runs: %+v", st)
	}
	s.run("kvmlab", "down")
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("down left something (-before +after):\n%s", d)
	}
}

// TestRefused gives `up` what it must refuse without changing anything.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, prepare, code string
		status              int
	}{
		{"bridge of that name", "ip link add br1 type bridge", "KL200", 4},
		{"tap of that name", "ip tuntap add mode tap name tap2", "KL200", 4},
		{"domain of that name", `virsh --quiet define /dev/stdin <<-XML
			<domain type='qemu'><name>three-taps-pc2</name><memory unit='MiB'>16</memory>
			<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>
		XML`, "KL300", 4},
		{"subnet on the host", "ip link add lan0 type veth peer cable; ip addr add 192.168.1.77/24 dev lan0; ip link set lan0 up", "KL202", 4},
		{"wider route on the host", "ip link add lan0 type veth peer cable; ip link set cable up; ip link set lan0 up; ip route add 192.168.0.0/16 dev lan0", "KL202", 4},
		{"no image", "mkdir /tmp/empty-$$; export KVMLAB_X=1; mount --bind /tmp/empty-$$ /var/lib/kvmlab/images; rmdir /tmp/empty-$$ || true", "KL400", 4},
		{"no libvirt", "kill $(cat /run/libvirtd.pid 2>/dev/null || pidof libvirtd); while pidof libvirtd >/dev/null; do :; done", "KL102", 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t)
			s.run("sh", "-ec", test.prepare)
			links := s.run("sh", "-c", "ip -j link; ip -j addr; ip -j route; ls -R /run/kvmlab /var/lib/kvmlab/labs 2>&1 || true")
			r := s.try("kvmlab", "up")
			if r.status != test.status || !strings.Contains(r.err, test.code) || !strings.Contains(r.err, "hint:") {
				t.Errorf("exit status %d, want %d with %s and a hint:\n%s", r.status, test.status, test.code, r.err)
			}
			after := s.run("sh", "-c", "ip -j link; ip -j addr; ip -j route; ls -R /run/kvmlab /var/lib/kvmlab/labs 2>&1 || true")
			if d := cmp.Diff(links, after); d != "" {
				t.Errorf("something was changed:\n%s", d)
			}
		})
	}
}

// TestWithoutRoot is what a student sees who forgets sudo.
func TestWithoutRoot(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	s.run("install", "-m", "755", s.kvmlab, "/run/kvmlab-for-all")
	for _, command := range []string{"up", "down", "status", "leases", "watch", "run"} {
		r := s.try("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/run/kvmlab-for-all", command)
		if r.status != 4 || !strings.Contains(r.err, "KL100") || !strings.Contains(r.err, "needs root") ||
			!strings.Contains(r.err, "sudo") || strings.Contains(r.err, "{{") {
			t.Errorf("%s: exit status %d\n%s", command, r.status, r.err)
		}
	}
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("something was changed (-before +after):\n%s", d)
	}
}

// TestFailingGuest lets guests fail in the ways that happen: the run leaves nothing, and the cause is named.
func TestFailingGuest(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	small := s.writeFile("small.yaml", strings.Replace(twoBridges, "  - name: pc\n", "  - name: pc\n    memory: 32MiB\n", 1))
	for _, test := range []struct {
		name, prepare string
		args          []string
		status        int
		want          []string
	}{
		{"too little memory", "true", []string{small}, 2, []string{"KL086", "pc", "32MiB"}},
		{"no time to get an address", "true", []string{"--cold", "--wait", "1s"}, 1, []string{"KL605", "KL302", "pc1", "1s", "its console ends:"}},
		{"a kernel that is none", `
			cd /var/lib/kvmlab/images/micro/current
			truncate -s "$(stat -c %s vmlinux)" empty; mv empty vmlinux`, nil, 4, []string{"KL403", "its SHA-256 is"}},
		{"no kernel", "rm /var/lib/kvmlab/images/micro/current/vmlinux", nil, 4, []string{"KL403", "micro"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.run("sh", "-ec", test.prepare)
			r := s.try("kvmlab", append([]string{"up", "--accel", "tcg"}, test.args...)...)
			if r.status != test.status {
				t.Errorf("exit status %d, want %d\n%s", r.status, test.status, r.err)
			}
			for _, want := range test.want {
				if !strings.Contains(r.err, want) {
					t.Errorf("%q is not said:\n%s", want, r.err)
				}
			}
			if d := cmp.Diff(before, s.footprint()); d != "" {
				t.Errorf("something is left (-before +after):\n%s", d)
			}
		})
	}
}

// TestTwoUpsAtOnce starts a second `up` while the first works: it is refused and the first is not disturbed.
func TestTwoUpsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.env = []string{"KVMLAB_TEST_SIGNAL=STOP@5"} // it stands still in the middle, with the lock
	first, lines := s.start("kvmlab", "up")
	s.env = nil
	awaitStopped(t, first.Process.Pid)
	r := s.try("kvmlab", "up")
	if r.status != 4 || !strings.Contains(r.err, "KL600") {
		t.Errorf("the second up: exit status %d\n%s", r.status, r.err)
	}
	if err := first.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // the pipe must not fill
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the first up: %v", err)
	}
	s.run("kvmlab", "down")
}

// awaitStopped returns when a child of this process has stopped (SIGSTOP); waitid(2) with WNOWAIT leaves its end to
// whoever waits for that.
func awaitStopped(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

// TestRunInForeground is a lab owned by something else than a person: ready, then SIGTERM, then nothing left.
func TestRunInForeground(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	before := s.footprint()
	cmd, lines := s.start("kvmlab", "run", "--plain")
	ready := false
	for !ready && lines.Scan() {
		ready = strings.Contains(lines.Text(), "three-taps is ready")
	}
	if !ready {
		t.Fatal("run never said that it is ready")
	}
	st := s.statusOf("three-taps")
	checkThreeGuests(t, st)
	s.run("kill", "-TERM", strconv.Itoa(st.Supervisor.PID)) // the supervisor is in run's own process
	for lines.Scan() {                                      // the pipe must not fill
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("run after SIGTERM: %v", err)
	}
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("run left something (-before +after):\n%s", d)
	}
}
