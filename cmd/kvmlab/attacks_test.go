package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAttacks has hostile guests do all that internal/attack lists, and looks at the host before and after each: its
// network and that of the other labs, memory, descriptors and disk of what runs for the labs, and every octet that
// kvmlab's commands print. What each attack is after is told by `attack list`. It takes too long for the ordinary run,
// so it runs by itself: with KVMLAB_ATTACKS=some in the environment, or KVMLAB_ATTACKS=all, which
// also makes the attacks that take minutes, and tries more commands after each.
func TestAttacks(t *testing.T) {
	if os.Getenv("KVMLAB_ATTACKS") == "" {
		t.Skip("takes a quarter of an hour: KVMLAB_ATTACKS=some or all")
	}
	t.Parallel()
	f := newField(t)
	for _, group := range f.groups(t) {
		t.Run(group.name, func(t *testing.T) {
			judge := judges[group.name]
			if judge == nil {
				t.Fatalf("nobody judges the attacks of the group %s", group.name)
			}
			for _, name := range group.attacks {
				t.Run(name, func(t *testing.T) {
					if why := tooLong[group.name+"/"+name]; why != "" && !allAttacks() {
						t.Skip(why)
					}
					judge(t, f, group.name+"/"+name)
				})
			}
			f.bystander(t)
		})
	}
	f.s.run("kvmlab", "down", "--all", "--purge", "--yes")
	if d := cmp.Diff(f.empty, f.s.footprint()); d != "" {
		t.Errorf("after the labs are down (-before +after):\n%s", d)
	}
}

// tooLong are attacks that take minutes: they run with KVMLAB_ATTACKS=all only.
var tooLong = map[string]string{
	"resources/disk-full": "writes gigabytes",
}

func allAttacks() bool { return os.Getenv("KVMLAB_ATTACKS") == "all" }

// attackBinary builds the attack program once, as it is copied into guests.
var attackBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "kvmlab-attack-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "attack")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "../../internal/attack")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// field is a host with labs: two of them have a hostile guest, the others are its neighbours.
type field struct {
	s      *sandbox
	attack string  // the program, on the host
	empty  string  // the host's footprint before the labs
	labs   int     // how many are up
	seen   *before // what the host was like when it was last looked at, and was as it should be

	host   *ground // a micro guest in a lab that lives in the host's own namespace
	server *ground // a debian guest in a lab with a namespace of its own; see isolated
}

// ground is a hostile guest and where it stands.
type ground struct {
	name  string // for the test's own words
	lab   string
	guest string
	netns string // of its lab; "" is the host's
	link  string // its bridge
	seat  *typist
}

// newField brings the labs up once, with the hostile guest's console open and the program in it.
func newField(t *testing.T) *field {
	t.Helper()
	s := newSandbox(t)
	needDebian(t, s)
	program, err := attackBinary()
	if err != nil {
		t.Fatal(err)
	}
	f := &field{s: s, attack: program}
	f.outside(t)
	f.empty = s.footprint()
	s.run("kvmlab", "scenario", "up", "--isolate", "three-taps")
	s.run("kvmlab", "up", "testdata/attacks/annex.yaml")
	s.run("kvmlab", "scenario", "up", "./testdata/attacks")
	f.labs = 3
	f.host = &ground{name: "micro, host", lab: "attacked", guest: "evil", link: "br1"}
	f.occupy(t, f.host)
	// What the exercise of the attacked lab rests on happens once, now.
	s.run("kvmlab", "exec", "-n", "--lab", "attacked", "pc1", "--", "sh", "-c", `
		dhcp-release eth0
		while [ -e /run/kvmlab/lease.eth0 ]; do sleep 0.1; done
		dhcp-renew eth0
		until [ -e /run/kvmlab/lease.eth0 ]; do sleep 0.1; done`)
	return f
}

// isolated is the debian guest. It boots for the first attack that needs it.
func (f *field) isolated(t *testing.T) *ground {
	t.Helper()
	if f.server == nil {
		f.s.run("kvmlab", "scenario", "up", "--isolate", "dhcp-server", "--wait", "5m")
		f.labs, f.seen = f.labs+1, nil
		f.server = &ground{name: "debian, isolated", lab: "dhcp-server", guest: "srv", link: "br0"}
		f.server.netns = "kvmlab-" + f.server.lab
		f.occupy(f.s.t, f.server)
	}
	return f.server
}

// outside makes a school's network behind the host, and an address of the host that no lab has to do with.
func (f *field) outside(t *testing.T) {
	t.Helper()
	f.s.run("sh", "-ec", `
		ip netns add school
		ip link add wan type veth peer name eth0 netns school
		ip link set wan addrgenmode none
		ip addr add 203.0.113.1/30 dev wan
		ip link set wan up
		ip addr add 198.51.100.7/32 dev lo
		ip -n school addr add 203.0.113.2/30 dev eth0
		ip -n school addr add 169.254.169.254/32 dev eth0
		ip -n school link set eth0 up
		ip -n school link set lo up
		ip -n school route add default via 203.0.113.1
		ip route add 169.254.169.254/32 via 203.0.113.2`)
}

// occupy sits down at a hostile guest and puts the program there, with what it needs to know of the network.
func (f *field) occupy(t *testing.T, g *ground) {
	t.Helper()
	neighbour := "neighbour=$(echo $host | sed 's/[0-9]*$/9/') neighbourmac=02:00:5e:00:53:09"
	if g == f.host {
		nic := f.s.statusOf(g.lab).Guests[0].NICs[0]
		neighbour = "neighbour=" + nic.Lease.Address + " neighbourmac=" + nic.MAC
	}
	script := f.s.run("sh", "-c", `
		in="ip"; [ -z "$1" ] || in="ip -n $1"
		mac=$($in -j link show $2 | jq -r '.[0].address')
		host=$($in -j -4 addr show $2 | jq -r '.[0].addr_info[0].local')
		echo "#!/bin/sh
exec /root/attack run \"\$@\" host=$host hostmac=$mac `+neighbour+`"`, "sh", g.netns, g.link)
	f.s.run("kvmlab", "cp", "--lab", g.lab, f.attack, g.guest+":/root/attack")
	f.s.run("kvmlab", "cp", "--lab", g.lab, f.s.writeFile("go", script), g.guest+":/root/go")
	f.s.run("kvmlab", "exec", "-n", "--lab", g.lab, g.guest, "--", "chmod", "755", "/root/go", "/root/attack")
	g.seat = f.s.sitDown(t, g.guest, "--lab", g.lab)
	if g == f.server {
		g.seat.login()
	} else {
		g.seat.types("\r")
		g.seat.expect(`root@\w+:~# `)
		g.seat.command("stty cols 250; dmesg -n 1")
	}
}

// do has the guest do one thing at its console. An attack that cannot be made tests nothing, so that is a failure.
func (g *ground) do(t *testing.T, line string) string {
	t.Helper()
	g.seat.t = t
	out := g.seat.command(line + "; echo status $?")
	if !strings.HasSuffix(strings.TrimSpace(out[:max(0, strings.LastIndex(out, "\n"))]), "status 0") {
		t.Errorf("%s: %s\n%s", g.name, line, out)
	}
	return out
}

// group is a group of attacks, in the order of the program's table.
type group struct {
	name    string
	attacks []string
}

// groups asks the program what attacks there are.
func (f *field) groups(t *testing.T) []group {
	t.Helper()
	out, err := exec.Command(f.attack, "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var groups []group
	total := 0
	for line := range strings.Lines(string(out)) {
		path, _, _ := strings.Cut(line, "\t")
		name, attack, ok := strings.Cut(path, "/")
		if !ok {
			t.Fatalf("attack list: %q", line)
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{name: name})
		}
		groups[i].attacks = append(groups[i].attacks, attack)
		total++
	}
	t.Logf("%d attacks in %d groups", total, len(groups))
	return groups
}
