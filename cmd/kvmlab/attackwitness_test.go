package main_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// What an attack may cost at most. Numbers of entries are those that it adds.
const (
	mostMemory      = 200 << 10 // KiB, of a command and of each process that serves labs
	mostDescriptors = 64        //
	mostDisk        = 200 << 20 // octets in all labs' state, without their disks
	mostNeighbours  = 200       // entries of the ARP and ND tables, which all namespaces share
	mostAddresses   = 1100      // of the MAC table of the bridge with most
	mostConnections = 4096      // of the host's connection table
	commandEnds     = 90        // seconds: no command goes on for longer because a guest wants it to
	runawayMemory   = 1 << 30   // octets: what ends a command that would take the whole machine
)

// witness is what of the host must be the same after an attack: one text for each namespace.
func (f *field) witness() string {
	f.s.t.Helper()
	return f.s.run("sh", "-c", `
		for ns in "" $(ls /run/netns | grep kvmlab-); do
			echo "== ${ns:-host}"
			in="ip"; enter=""
			[ -z "$ns" ] || { in="ip -n $ns"; enter="ip netns exec $ns"; }
			$in -4 route show table all | grep -v '^broadcast\|^local' | sed 's/ expires [0-9]*sec//'
			$in -6 route show table all | sed 's/ expires [0-9]*sec//'
			$in -4 rule; $in -6 rule
			$in -j addr | jq -c '.[] | [.ifname, [.addr_info[] | del(.valid_life_time, .preferred_life_time)]]'
			$in -j -d link | jq -c '.[] | [.ifname, .address, .mtu, .master, .operstate, (.flags | sort),
				(.linkinfo.info_data // {} | [.root_id, .root_port, .stp_state, .topology_change, .vlan_filtering])]'
			$enter nft -s -t list ruleset # no counters, nor members of sets: these count guests
			$enter sysctl -a 2>/dev/null | grep -E '^net\.(ipv[46]\.(conf|neigh|ip_forward|route)|bridge)'
		done`)
}

// bounds are numbers of the host that an attack may move, and not far.
type bounds struct {
	Neighbours, Addresses, Connections int
	Disk                               int64
	Processes                          map[string]process // by name: libvirtd, and the supervisor of each lab
}

// process is one that serves labs.
type process struct {
	Peak        int // KiB of memory since it was last asked
	Descriptors int
}

func (f *field) bounds(t *testing.T) bounds {
	t.Helper()
	out := f.s.run("sh", "-c", `
		neighbours=0 addresses=0
		for ns in "" $(ls /run/netns | grep kvmlab-); do
			in="ip"; enter=""
			[ -z "$ns" ] || { in="ip -n $ns"; enter="ip netns exec $ns"; }
			neighbours=$((neighbours + $($in neigh | wc -l)))
			for bridge in $($in -o link show type bridge | cut -d: -f2); do
				n=$($enter bridge fdb show br $bridge | wc -l)
				[ $n -lt $addresses ] || addresses=$n
			done
		done
		connections=$(cat /proc/sys/net/netfilter/nf_conntrack_count 2>/dev/null || echo 0)
		disk=$(du -sbc --exclude='*.qcow2' /var/lib/kvmlab/labs /run/kvmlab /var/log/libvirt | tail -1 | cut -f1)
		echo "{\"Neighbours\": $neighbours, \"Addresses\": $addresses, \"Connections\": $connections, \"Disk\": $disk,"
		echo '"Processes": {'
		for pid in $(pgrep -x 'kvmlab|libvirtd'); do
			name=$(tr '\0' ' ' </proc/$pid/cmdline)
			case $name in *console*) continue ;; esac
			peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$pid/status)
			echo 5 >/proc/$pid/clear_refs # the peak begins anew
			echo "\"${name##*/}\": {\"Peak\": ${peak:-0}, \"Descriptors\": $(ls /proc/$pid/fd | wc -l)},"
		done
		echo '"": {}}}'`)
	var b bounds
	if err := json.Unmarshal([]byte(out), &b); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return b
}

// before is what the host was like before an attack.
type before struct {
	witness string
	bounds  bounds
}

// look takes the state that the last attack has left, which was looked at already, if it was as it should be.
func (f *field) look(t *testing.T) before {
	t.Helper()
	if f.seen == nil {
		f.seen = &before{f.witness(), f.bounds(t)}
	}
	return *f.seen
}

// unharmed compares the host with what it was before an attack.
func (f *field) unharmed(t *testing.T, was before) {
	t.Helper()
	f.seen = &before{f.witness(), f.bounds(t)}
	now := f.seen.bounds
	if d := cmp.Diff(strings.Split(was.witness, "\n"), strings.Split(f.seen.witness, "\n")); d != "" {
		t.Errorf("the host's network (-before +after):\n%.3000s", d)
	}
	for _, number := range []struct {
		what      string
		now, most int
	}{
		{"entries in the neighbour tables", now.Neighbours - was.bounds.Neighbours, mostNeighbours},
		{"MAC addresses in a bridge's table", now.Addresses - was.bounds.Addresses, mostAddresses},
		{"entries in the host's connection table", now.Connections - was.bounds.Connections, mostConnections},
		{"octets of state", int(now.Disk - was.bounds.Disk), mostDisk},
	} {
		if number.now > number.most {
			t.Errorf("%d %s more than before, at most %d", number.now, number.what, number.most)
		}
	}
	for name, p := range now.Processes {
		if p.Peak > mostMemory {
			t.Errorf("%s has used %d MiB of memory, at most %d", name, p.Peak>>10, mostMemory>>10)
		}
		if more := p.Descriptors - was.bounds.Processes[name].Descriptors; more > mostDescriptors {
			t.Errorf("%s has %d descriptors more", name, more)
		}
	}
	for name := range was.bounds.Processes {
		if _, there := now.Processes[name]; !there {
			t.Errorf("%q does not run any more", name)
		}
	}
	f.allUp(t)
	if t.Failed() {
		f.mend()
		f.seen = nil
	}
}

// mend takes back what an attack has done to the host's network, so that the next one is judged by itself.
func (f *field) mend() {
	f.s.t.Helper()
	f.s.run("sh", "-c", `
		for ns in "" $(ls /run/netns | grep kvmlab-); do
			in="ip"
			[ -z "$ns" ] || in="ip -n $ns"
			$in -6 route flush proto ra
			for bridge in $($in -o link show type bridge | cut -d: -f2); do
				$in -6 addr flush dev $bridge dynamic
				$in neigh flush dev $bridge
				$in link set $bridge type bridge fdb_flush
			done
		done 2>/dev/null; true`)
}

// allUp asks whether every lab is as it should be.
func (f *field) allUp(t *testing.T) {
	t.Helper()
	r := f.kvmlab(t, "status", "-o", "json")
	var report struct{ Labs []labStatus }
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("status: %v\n%s%s", err, r.out, r.err)
	}
	for _, lab := range report.Labs {
		if lab.State != "up" || len(lab.Drift) > 0 || !lab.Supervisor.Running {
			t.Errorf("%s is %s: %+v", lab.Name, lab.State, lab.Drift)
		}
	}
	if len(report.Labs) != f.labs {
		t.Errorf("%d labs, want %d", len(report.Labs), f.labs)
	}
}

// kvmlab runs a command as a teacher does, and judges what it prints, what memory it takes, and whether it ends.
func (f *field) kvmlab(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*commandEnds*time.Second)
	defer cancel()
	// Both limits are far from what is allowed. They are for a command that would take all of the machine.
	limits := []string{"--signal=KILL", strconv.Itoa(commandEnds), "prlimit", fmt.Sprintf("--data=%d", runawayMemory)}
	cmd := f.s.command(ctx, "timeout", slices.Concat(limits, []string{f.s.kvmlab}, args)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limitedBuffer{to: &out}, &limitedBuffer{to: &errOut}
	err := cmd.Run()
	exit := new(exec.ExitError)
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("kvmlab %v: %v", args, err)
	}
	r := result{out: out.String(), err: errOut.String(), status: cmd.ProcessState.ExitCode()}
	name := "kvmlab " + strings.Join(args, " ")
	if r.status == 137 || r.status == -1 {
		t.Errorf("%s: no end after %d s\n%.500s", name, commandEnds, r.err)
	}
	if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && used.Maxrss > mostMemory {
		t.Errorf("%s has used %d MiB of memory, at most %d", name, used.Maxrss>>10, mostMemory>>10)
	}
	for stream, text := range map[string]string{"standard output": r.out, "standard error": r.err} {
		if at := invisible(text); at >= 0 {
			t.Errorf("%s: octets for a terminal on its %s:\n%.200q", name, stream, text[max(0, at-40):])
		}
		if strings.Contains(text, "goroutine 1 [") || strings.Contains(text, "runtime: out of memory") {
			t.Errorf("%s: it crashed:\n%.2000s", name, text)
		}
	}
	if i := len(args) - 1; i > 0 && args[i] == "csv" {
		noFormulas(t, name, r.out)
	}
	return r
}

// limitedBuffer keeps the first megabytes: a guest decides how much there is.
type limitedBuffer struct{ to *bytes.Buffer }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.to.Write(p[:min(len(p), max(0, 8<<20-l.to.Len()))])
	return len(p), nil
}

// invisible finds what a terminal would obey, or show in another order, instead of showing it: control characters but
// for the line's end and the tab, those of C1, bidirectional ones, and octets that are no UTF-8; -1 is none.
func invisible(text string) int {
	for i, r := range text {
		broken := r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD")
		if broken || r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return i
		}
	}
	return -1
}

// noFormulas looks at every cell of a table that a spreadsheet may open.
func noFormulas(t *testing.T, name, text string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("%s: a formula: %q", name, cell)
			}
		}
	}
}

// bystander asks whether the neighbour lab, which has nothing to do with any of it, still serves leases and checks.
func (f *field) bystander(t *testing.T) {
	t.Helper()
	r := f.kvmlab(t, "check", "three-taps", "--answer", "discover-mac=ff:ff:ff:ff:ff:ff", "--answer", "server-port=67",
		"--answer", "server-address=192.168.1.1", "-o", "json")
	var got checkResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("the neighbour's check: status %d\n%s%s", r.status, r.out, r.err)
	}
	for _, c := range got.Checks {
		if c.State != "passed" && c.ID != "offer-ip" { // that one's answer is another at each exchange
			t.Errorf("the neighbour's check %s: %s %s", c.ID, c.State, c.Why)
		}
	}
}
