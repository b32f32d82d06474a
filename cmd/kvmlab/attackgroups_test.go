package main_test

import (
	"encoding/json"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// judges say for each group of attacks where they are made, what kvmlab is asked meanwhile or afterwards, and what is
// to be so then.
var judges = map[string]func(t *testing.T, f *field, attack string){
	"frames":    judgeFrames,
	"dhcp":      judgeDHCP,
	"evidence":  judgeEvidence,
	"scan":      judgeScan,
	"console":   judgeConsole,
	"files":     judgeFiles,
	"agent":     judgeAgent,
	"ports":     judgePorts,
	"resources": judgeResources,
}

// judgeFrames: the host's network and its neighbours' are what they were, whatever comes in from either guest.
func judgeFrames(t *testing.T, f *field, attack string) {
	t.Helper()
	grounds := []*ground{f.host, f.isolated(t)}
	was := f.look(t)
	times := ""
	if allAttacks() {
		times = " times=10"
	}
	for _, g := range grounds {
		g.do(t, "./go "+attack+times)
	}
	f.unharmed(t, was)
}

// judgeDHCP: what has a lease keeps it, the server answers, and what people ask is bounded and readable.
func judgeDHCP(t *testing.T, f *field, attack string) {
	t.Helper()
	was := f.look(t)
	held := addressesOf(f.s.statusOf("attacked"))
	reflected := f.listenOutside(t)
	f.host.do(t, "./go "+attack)
	f.unharmed(t, was)
	for nic, address := range addressesOf(f.s.statusOf("attacked")) {
		if held[nic] != address {
			t.Errorf("%s had %s and has %s", nic, held[nic], address)
		}
	}
	f.readLab(t)
	if frames := reflected(); frames != "" {
		t.Errorf("kvmlab has sent to the school's network:\n%s", frames)
	}
}

// readLab reads the attacked lab in every form that people and spreadsheets get.
func (f *field) readLab(t *testing.T) {
	t.Helper()
	past := filepath.Join(t.TempDir(), "past.pcapng")
	for _, args := range [][]string{
		{"leases", "attacked"},
		{"leases", "attacked", "-o", "json"},
		{"leases", "attacked", "-o", "csv"},
		{"status", "attacked"},
		{"capture", "--past", "-w", past, "attacked"},
		{"watch", "--read", past, "--plain", "--filter", "kind=dhcp"},
	} {
		f.kvmlab(t, args...)
	}
}

// listenOutside records what the host sends to the school's network. The function that it returns prints it.
func (f *field) listenOutside(t *testing.T) func() string {
	t.Helper()
	f.s.run("sh", "-ec", `
		ip netns exec school tcpdump --immediate-mode -nU -i eth0 -w /run/school.pcap 'udp' >/run/school.log 2>&1 &
		echo $! >/run/school.pid
		until grep -q listening /run/school.log; do kill -0 $(cat /run/school.pid); done`)
	return func() string {
		return f.s.run("sh", "-ec", `
			kill -INT $(cat /run/school.pid)
			while kill -0 $(cat /run/school.pid) 2>/dev/null; do :; done
			tcpdump -nr /run/school.pcap 2>/dev/null | head -5
			rm /run/school.*`)
	}
}

// judgeEvidence: the exercise is judged as it was before the flood, and who has flooded is named.
func judgeEvidence(t *testing.T, f *field, attack string) {
	t.Helper()
	was := f.look(t)
	f.host.do(t, "./go "+attack)
	f.unharmed(t, was)
	if got := f.failed(t); got != "" {
		t.Errorf("the check of what has been done fails: %s", got)
	}
	if attack == "evidence/forged-exchange" {
		return // a few frames are no flood
	}
	for _, args := range [][]string{{"status", "attacked"}, {"check", "attacked"}} {
		if r := f.kvmlab(t, args...); !flooded.MatchString(r.out + r.err) {
			t.Errorf("%s does not tell of the flood:\n%s%s", args[0], r.out, r.err)
		}
	}
}

// flooded is how a flood is told.
var flooded = regexp.MustCompile(`sent\s+\d+\s+(ARP |DHCP |ICMP |other )?packets\s+in\s+1\s+s`)

// failed checks the exercise of the attacked lab and tells what is not passed of it.
func (f *field) failed(t *testing.T, but ...string) string {
	t.Helper()
	r := f.kvmlab(t, "check", "attacked", "-o", "json",
		"--answer", "discover=ff:ff:ff:ff:ff:ff", "--answer", "offered=192.168.1.1")
	var got checkResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		return strings.TrimSpace(r.out + r.err)
	}
	var failed []string
	for _, c := range got.Checks {
		if c.State != "passed" && (len(but) == 0 || c.ID != but[0]) {
			failed = append(failed, c.ID+" "+c.Reason+" "+c.Why)
		}
	}
	return strings.Join(failed, "; ")
}

// scanWorlds are hosts as they are found: what forwards and filters on them is none of kvmlab's.
var scanWorlds = []struct{ name, make, unmake string }{
	{"no forwarding", forward + "0", "true"},
	{"forwarding", forward + "1", forward + "0"},
	{"docker", forward + "1; iptables-restore <../../netsetup/testdata/docker.iptables", noTables + forward + "0"},
	{"ufw", forward + "1; iptables-restore <../../netsetup/testdata/ufw.iptables", noTables + forward + "0"},
}

const (
	forward  = "sysctl -qw net.ipv4.ip_forward="
	noTables = "for t in filter nat mangle raw; do nft delete table ip $t 2>/dev/null || true; done; "
)

// scanTargets are the host's addresses, at its bridges, at its school's network and at none of its cards; the other
// lab's guest; the school's machine; what clouds have their secrets at; and addresses of labs that have a namespace.
const scanTargets = "192.168.1.1,10.7.0.1,203.0.113.1,198.51.100.7," +
	"10.7.0.2,203.0.113.2,169.254.169.254,10.5.0.1,100.64.0.1"

// scanPorts are the ports that are open on the host, in the school's network and in the other lab's namespace.
const scanPorts = "tcp=22,53,80,2375,8080 udp=53,69,123,5353,1900"

// judgeScan: nothing answers but the address of the guest's own bridge, to ping and ARP.
func judgeScan(t *testing.T, f *field, attack string) {
	t.Helper()
	for _, world := range scanWorlds {
		// What is no question of a port answers everywhere or where most is let through.
		if !allAttacks() && world.name != "forwarding" && !slices.Contains([]string{"scan/tcp", "scan/udp"}, attack) {
			continue
		}
		t.Run(world.name, func(t *testing.T) {
			f.s.run("sh", "-ec", world.make)
			defer func() {
				f.s.run("sh", "-ec", world.unmake)
				f.seen = nil
			}()
			f.seen = nil
			was := f.look(t)
			heard := f.listeners(t)
			out := f.host.do(t, "./go "+attack+" targets="+scanTargets+" "+scanPorts)
			for line := range strings.Lines(out) {
				fields := strings.Fields(line)
				switch {
				case len(fields) != 3 || fields[0] != "open" && fields[0] != "refused" && fields[0] != "answer":
				case fields[2] == "192.168.1.1" && (fields[1] == "ping" || fields[1] == "arp"):
				case fields[0] == "refused" && strings.HasPrefix(fields[2], "192.168.1.1:"): // a way to say no
				default:
					t.Errorf("a guest got an answer: %s", line)
				}
			}
			if reached := heard(); reached != "" {
				t.Errorf("what a guest has sent has arrived:\n%s", reached)
			}
			f.unharmed(t, was)
		})
	}
}

// listeners opens ports on the host, in the school's network and in a lab that has a namespace. The function that it
// returns closes them and tells what has reached them.
func (f *field) listeners(t *testing.T) func() string {
	t.Helper()
	f.s.run("sh", "-ec", `
		for ns in host school kvmlab-three-taps; do
			enter="ip netns exec $ns"; [ $ns != host ] || enter=
			$enter "$0" listen `+scanPorts+` >/run/heard.$ns 2>&1 &
			echo $! >>/run/heard.pids
		done
		for ns in host school kvmlab-three-taps; do
			until grep -q ready /run/heard.$ns; do kill -0 $(cat /run/heard.pids) || exit 1; done
		done`, f.attack)
	return func() string {
		return f.s.run("sh", "-c", `
			kill $(cat /run/heard.pids)
			grep -H reached /run/heard.* | sort -u | head -12
			rm /run/heard.*`)
	}
}

// onServer are the attacks on a terminal that need a full system.
var onServer = []string{
	"console/card-names", "console/configuration", "console/file-names", "console/lease-file", "console/journal",
	"console/processes", "console/command-output", "console/boot-words", "console/kernel-words",
}

// judgeConsole: what a guest says is shown, and never obeyed, in every form of output.
func judgeConsole(t *testing.T, f *field, attack string) {
	t.Helper()
	if !slices.Contains(onServer, attack) {
		was := f.look(t)
		f.host.do(t, "./go "+attack)
		f.readLab(t)
		f.unharmed(t, was)
		return
	}
	srv := f.isolated(t)
	was := f.look(t)
	srv.do(t, "./go "+attack)
	forms := []string{"text", "csv"}
	if allAttacks() {
		forms = append(forms, "json", "junit")
	}
	silent := attack == "console/boot-words" || attack == "console/kernel-words"
	if silent { // these words are shown when a guest's agent says nothing, for which a check waits
		f.s.run("virsh", "suspend", "dhcp-server-srv")
		forms = forms[:1]
	}
	for _, form := range forms {
		f.checkServer(t, form)
	}
	if silent {
		f.s.run("virsh", "resume", "dhcp-server-srv")
	} else {
		srv.do(t, "./attack undo")
	}
	f.unharmed(t, was)
}

// checkServer checks the exercise of the debian guest.
func (f *field) checkServer(t *testing.T, form string) {
	t.Helper()
	r := f.kvmlab(t, "check", "dhcp-server", "-o", form)
	if r.status != 3 {
		t.Errorf("check of a lab that has not done its exercise: status %d\n%.500s", r.status, r.err)
	}
}

// judgeFiles: check reads a student's files within its budgets, whatever they are, and judges.
func judgeFiles(t *testing.T, f *field, attack string) {
	t.Helper()
	srv := f.isolated(t)
	was := f.look(t)
	srv.do(t, "./go "+attack)
	began := time.Now()
	f.checkServer(t, "text")
	t.Logf("check took %v", time.Since(began).Round(100*time.Millisecond))
	srv.do(t, "./attack undo")
	f.unharmed(t, was)
}

// judgeAgent: whatever an agent answers, a command ends, says so, and the rest of the exercise is judged.
func judgeAgent(t *testing.T, f *field, attack string) {
	t.Helper()
	was := f.look(t)
	seat := f.host.seat
	seat.t = t
	seat.types("./go " + attack + " for=10m word=" + attack + " & \r")
	seat.expect("attack: " + attack + " begins")

	// A lie about files is for cp; and all of them for the check, which asks every agent, but that takes a while.
	aboutFiles := slices.Contains(lieOfFiles, attack)
	if !aboutFiles || allAttacks() {
		f.kvmlab(t, "exec", "-n", "--wait", "5s", "--timeout", "10s", "--lab", "attacked", "evil", "--", "true")
	}
	if aboutFiles || allAttacks() {
		to := filepath.Join(t.TempDir(), "copied")
		f.kvmlab(t, "cp", "--wait", "5s", "--lab", "attacked", "evil:/etc/passwd", to)
		f.kvmlab(t, "cp", "--wait", "5s", "--lab", "attacked", "testdata/attacks/lab.yaml", "evil:/root/again")
	}
	if slices.Contains(lieToCheck, attack) || allAttacks() {
		if got := f.failed(t, "evil"); got != "" {
			t.Errorf("the checks of others: %s", got)
		}
	}

	seat.command("kill $!; wait $!")
	f.s.run("kvmlab", "exec", "-n", "--wait", "2m", "--lab", "attacked", "evil", "--", "true")
	f.unharmed(t, was)
}

var (
	lieOfFiles = []string{
		"agent/endless-file", "agent/endless-small-file", "agent/never-done", "agent/no-base64", "agent/wrong-counts",
		"agent/paths", "agent/false-checksum", "agent/huge-error",
	}
	lieToCheck = []string{"agent/silent", "agent/huge-output", "agent/error-words", "agent/late"}
)

// judgePorts: noise on kvmlab's own ports costs nobody anything.
func judgePorts(t *testing.T, f *field, attack string) {
	t.Helper()
	was := f.look(t)
	f.host.do(t, "./go "+attack)
	f.kvmlab(t, "status", "attacked")
	f.unharmed(t, was)
	if got := f.failed(t); got != "" {
		t.Errorf("the checks: %s", got)
	}
}

// judgeResources: a guest can use itself up, and no more.
func judgeResources(t *testing.T, f *field, attack string) {
	t.Helper()
	if strings.HasPrefix(attack, "resources/disk") {
		srv := f.isolated(t)
		was := f.look(t)
		srv.do(t, "./go "+attack)
		f.unharmed(t, was)
		return
	}
	was := f.look(t)
	switch attack {
	case "resources/kernel-log", "resources/console":
		// At the console nothing of what is typed would be found again.
		f.s.run("kvmlab", "exec", "-n", "--lab", "attacked", "evil", "--", "./go", attack)
	case "resources/processes":
		f.host.do(t, "./go "+attack+" for=2s")
	default:
		// It may not come back, or not as it was: it is begun anew, as a teacher would.
		f.host.seat.t = t
		f.host.seat.types("./go " + attack + "\r")
		f.awaitEnd(t, attack)
	}
	f.unharmed(t, was)
}

// awaitEnd waits until a guest that harms itself has come to its end, and begins anew with it.
func (f *field) awaitEnd(t *testing.T, attack string) {
	t.Helper()
	switch attack {
	case "resources/off":
		f.s.run("sh", "-ec", `while [ "$(virsh domstate attacked-evil | head -1)" = running ]; do sleep 0.2; done`)
	case "resources/panic":
		f.host.seat.expect("Kernel panic")
	case "resources/memory":
		f.host.seat.expect(`held \d+ MB|Killed|Out of memory|root@evil`)
	case "resources/reboot":
		f.host.seat.expect("kvmlab-micro: user space")
	}
	_, _ = io.WriteString(f.host.seat.keys, "\x1d") // a console that has ended takes no notice
	_ = f.host.seat.cmd.Wait()
	f.kvmlab(t, "reset", "--yes", "evil", "--lab", "attacked")
	f.s.run("kvmlab", "up", "attacked", "--wait", "2m")
	f.occupy(f.s.t, f.host)
	f.seen = nil
}
