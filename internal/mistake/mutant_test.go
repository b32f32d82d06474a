package mistake_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/mistake"
)

// rich is a dhcpd.conf with a bit of everything that a class uses.
const rich = `# The class's server.
authoritative;
option domain-name "aula.lan";
option domain-name-servers 192.168.1.1, 9.9.9.9;
default-lease-time 600;
max-lease-time 7200;
subnet 192.168.1.0 netmask 255.255.255.0 {
  range 192.168.1.2 192.168.1.10;
  option routers 192.168.1.1;
  pool {
    range 192.168.1.30 192.168.1.39;
    deny unknown-clients;
  }
}
host pc1 {
  hardware ethernet 02:00:00:00:01:01;
  fixed-address 192.168.1.20;
}
`

// mutate makes one slip of a hand.
func mutate(r *rand.Rand, text string) string {
	at := r.IntN(len(text) - 1)
	signs := ";{}(),-=\"# x1"
	words := strings.SplitAfter(text, " ")
	w := r.IntN(len(words) - 1)
	switch r.IntN(6) {
	case 0:
		return text[:at] + text[at+1:]
	case 1:
		return text[:at] + string(signs[r.IntN(len(signs))]) + text[at:]
	case 2:
		return text[:at] + text[at+1:at+2] + text[at:at+1] + text[min(at+2, len(text)):]
	case 3:
		return strings.Join(slices.Delete(slices.Clone(words), w, w+1), "")
	case 4:
		words[w], words[w+1] = words[w+1], words[w]
		return strings.Join(words, "")
	default:
		lines := strings.SplitAfter(text, "\n")
		l := r.IntN(len(lines))
		return strings.Join(slices.Delete(lines, l, l+1), "")
	}
}

// TestNoFalseAlarmForWhatDhcpdAccepts makes slips at random and asks dhcpd: what it accepts is no mistake of syntax, and
// most of what it refuses is named without its words. MUTANTS=N tries N others.
func TestNoFalseAlarmForWhatDhcpdAccepts(t *testing.T) {
	m := newMachine(t)
	count, seed := 60, uint64(1)
	if s := os.Getenv("MUTANTS"); s != "" {
		count, _ = strconv.Atoi(s)
		seed = rand.Uint64()
	}
	r := rand.New(rand.NewPCG(seed, 2))
	mutants := map[string]string{}
	var script strings.Builder
	script.WriteString("mkdir -p /run/mutants; cd /run/mutants\n")
	for i := range count {
		name := fmt.Sprintf("m%d", i)
		mutants[name] = mutate(r, rich)
		m.write("/run/mutants/"+name, mutants[name])
	}
	script.WriteString("for f in m*; do dhcpd -t -cf $f -lf /dev/null >/dev/null 2>&1; echo $f $?; done\n")
	out, _ := m.try("sh", "-c", script.String())
	accepted := map[string]bool{}
	for line := range strings.Lines(out) {
		name, status, _ := strings.Cut(strings.TrimSpace(line), " ")
		accepted[name] = status == "0"
	}
	if len(accepted) != count {
		t.Fatalf("%d of %d were tried:\n%s", len(accepted), count, out)
	}
	refused, named := 0, 0
	for _, name := range slices.Sorted(maps.Keys(mutants)) {
		seen := well()
		seen.Files[dhcpdConf] = mistake.File{Text: mutants[name]}
		var syntax diag.List
		for _, d := range mistake.Find(seen, mistake.Task{Address: task().Address}) {
			// Codes from KL730 on are about meaning.
			if d.Code < diag.SubnetUndeclared && d.Severity == diag.Error && d.Pos.Line > 0 {
				syntax.Add(d)
			}
		}
		switch {
		case accepted[name] && slices.ContainsFunc(syntax, func(d *diag.Diagnostic) bool { return !silent(d) }):
			t.Errorf("dhcpd accepts\n%s\nand kvmlab says %v", mutants[name], syntax)
		case !accepted[name]:
			refused++
			if len(syntax) > 0 {
				named++
			} else {
				t.Logf("left to dhcpd's own words:\n%s", mutants[name])
			}
		}
	}
	t.Logf("of %d that dhcpd refuses, %d are named", refused, named)
	if named*10 < refused*7 {
		t.Errorf("of %d that dhcpd refuses only %d are named", refused, named)
	}
}

// silent says whether a diagnostic is about what dhcpd accepts and does not do: a word of its own is an expression, what
// is no address is a name to look up ("9"), and any four octets are a mask.
func silent(d *diag.Diagnostic) bool {
	return d.Code == diag.WordMisspelt && len(strings.Fields(d.Pos.Text)) == 1 || d.Code == diag.AddressUnreadable
}
