package mistake_test

import (
	"fmt"
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

// TestNoFalseAlarmForWhatIsAccepted makes slips at random and asks the programs: what one accepts is no mistake of syntax,
// and most of what dhcpd refuses is named without its words. MUTANTS=N tries N others.
func TestNoFalseAlarmForWhatIsAccepted(t *testing.T) {
	m := newMachine(t)
	for _, tt := range []struct {
		program    mistake.Program
		path, text string
		test       string // a command of the shell for the file $f
		named      int    // how many of ten that are refused are named at least
	}{
		{mistake.ISC, dhcpdConf, rich, "dhcpd -t -cf $f -lf /dev/null", 7},
		{mistake.Kea, keaConf, goodKea, "kea-dhcp4 -t $f", 6},
		{mistake.Dnsmasq, "/etc/dnsmasq.conf", "# the class's server, without DNS\n" + goodDnsmasq, "dnsmasq --test -C $f", 4},
	} {
		t.Run(tt.path, func(t *testing.T) {
			m.t = t
			mutants := mutantsOf(tt.text)
			m.write("/run/mutants/all", "")
			m.try("sh", "-c", "rm -f /run/mutants/*")
			for name, text := range mutants {
				m.write("/run/mutants/"+name, text)
			}
			out, _ := m.try("sh", "-c", "cd /run/mutants; for f in m*; do "+tt.test+" >/dev/null 2>&1; echo $f $?; done")
			refused, named := 0, 0
			for line := range strings.Lines(out) {
				name, status, _ := strings.Cut(strings.TrimSpace(line), " ")
				text := mutants[name]
				delete(mutants, name)
				syntax := syntaxOf(tt.program, tt.path, text)
				switch {
				case status == "0" && slices.ContainsFunc(syntax, func(d *diag.Diagnostic) bool { return !silent(d) }):
					t.Errorf("it accepts\n%s\nand kvmlab says %v", text, syntax)
				case status == "0":
				case len(syntax) > 0:
					refused, named = refused+1, named+1
				default:
					refused++
					t.Logf("left to the program's own words:\n%s", text)
				}
			}
			if len(mutants) > 0 {
				t.Fatalf("%d were not tried:\n%s", len(mutants), out)
			}
			t.Logf("of %d that it refuses, %d are named", refused, named)
			if named*10 < refused*tt.named {
				t.Errorf("of %d that it refuses only %d are named", refused, named)
			}
		})
	}
	m.t = t
}

// mutantsOf makes slips in a text, the same each time.
func mutantsOf(text string) map[string]string {
	count, seed := 40, uint64(1)
	if s := os.Getenv("MUTANTS"); s != "" {
		count, _ = strconv.Atoi(s)
		seed = rand.Uint64()
	}
	r := rand.New(rand.NewPCG(seed, 2))
	mutants := map[string]string{}
	for i := range count {
		mutants[fmt.Sprintf("m%d", i)] = mutate(r, text)
	}
	return mutants
}

// syntaxOf is what Find says of a file as a text. Codes from KL730 on are about meaning.
func syntaxOf(p mistake.Program, path, text string) diag.List {
	seen := well()
	seen.Files[path] = mistake.File{Text: text}
	found := mistake.Find(seen, mistake.Task{Address: task().Address, Programs: []mistake.Program{p}})
	return slices.DeleteFunc(found, func(d *diag.Diagnostic) bool {
		return d.Code >= diag.SubnetUndeclared || d.Severity != diag.Error || d.Pos.Line == 0
	})
}

// silent says whether a diagnostic is about what dhcpd accepts and does not do: a word of its own is an expression, what
// is no address is a name to look up ("9"), and any four octets are a mask.
func silent(d *diag.Diagnostic) bool {
	return d.Code == diag.WordMisspelt && len(strings.Fields(d.Pos.Text)) == 1 || d.Code == diag.AddressUnreadable
}
