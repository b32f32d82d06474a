package main_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// aClass is four students whose names need looking at.
const aClass = "seed,name\n1,Ana\n2,José Núñez\n3,Luis\n,Mar\n"

// small is a lab of one guest, as a class brings it up here.
const small = `
version: 1
name: small
bridges:
  - name: br1
    address: 192.168.1.1/24
    dhcp: {range: [192.168.1.2-192.168.1.10]}
guests:
  - name: pc
    nics: [{bridge: br1}]
`

// classStatus is what `status --class-file` says of each lab, by its name.
func (s *sandbox) classStatus(file string) map[string]labStatus {
	s.t.Helper()
	var report struct{ Labs []labStatus }
	out := s.run("kvmlab", "status", "-o", "json", "--class-file", file)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		s.t.Fatalf("status -o json: %v\n%s", err, out)
	}
	labs := map[string]labStatus{}
	for _, l := range report.Labs {
		labs[l.Name] = l
	}
	return labs
}

func statesOf(labs map[string]labStatus) map[string]string {
	states := map[string]string{}
	for name, l := range labs {
		states[name] = l.State
	}
	return states
}

// TestClass brings up a class in which one lab cannot be, mends that one, interrupts another class, and takes all down.
func TestClass(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	class, file := s.writeFile("class.csv", aClass), s.writeFile("small.yaml", small)
	before := s.footprint()

	s.run("ip", "netns", "add", "kvmlab-luis") // a stranger's
	r := s.try("kvmlab", "up", file, "--class-file", class, "--wait", "150s")
	if r.status != 1 || !strings.Contains(r.err, "KL625") || !strings.Contains(r.err, "KL208") {
		t.Errorf("up of a class with one that cannot be: exit status %d\n%s%s", r.status, r.out, r.err)
	}
	want := map[string]string{"ana": "up", "jose-nunez": "up", "luis": "down", "mar": "up"}
	if d := cmp.Diff(want, statesOf(s.classStatus(class))); d != "" {
		t.Errorf("states (-want +got):\n%s", d)
	}
	s.run("ip", "netns", "del", "kvmlab-luis")

	var report struct {
		Labs []struct {
			Student, Name string
			OK            bool
			Changes       int
		}
	}
	out := s.run("kvmlab", "up", file, "--class-file", class, "-o", "json", "--wait", "150s")
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Labs) != 4 {
		t.Fatalf("up -o json: %v\n%s", err, out)
	}
	for _, l := range report.Labs {
		if !l.OK || (l.Changes > 0) != (l.Name == "luis") {
			t.Errorf("the second up: %+v", l)
		}
	}
	labs := s.classStatus(class)
	macs := map[string]string{}
	for name, l := range labs {
		nic := l.Guests[0].NICs[0]
		if l.State != "up" || l.Isolation != "netns" || nic.Tap != "tap1" || nic.Lease == nil || macs[nic.MAC] != "" {
			t.Errorf("%s: %+v", name, l)
		}
		macs[nic.MAC] = name
	}
	s.run("kvmlab", "down", "--class", "Ana,Mar")
	want = map[string]string{"ana": "down", "jose-nunez": "up", "luis": "up", "mar": "down"}
	if d := cmp.Diff(want, statesOf(s.classStatus(class))); d != "" {
		t.Errorf("states (-want +got):\n%s", d)
	}
	// Ctrl-C: what is finished stays, the rest is taken back.
	r = s.tryWith([]string{"KVMLAB_TEST_SIGNAL=INT@9"}, "kvmlab", "up", file, "--class-file", class, "--no-wait")
	if r.status != 5 || !strings.Contains(r.err, "KL606") {
		t.Errorf("interrupted: exit status %d\n%s", r.status, r.err)
	}
	_, stayed, _ := strings.Cut(r.err, "finished and stay: ")
	stayed, _, _ = strings.Cut(stayed, "\n")
	for name, state := range statesOf(s.classStatus(class)) {
		said := slices.Contains(strings.Split(stayed, ", "), name)
		older := name == "jose-nunez" || name == "luis" // up before, whether or not their turn came
		if (state == "up") != (said || older) || state == "degraded" {
			t.Errorf("after the interrupt %s is %s, and %q are said to have stayed", name, state, stayed)
		}
	}
	s.run("kvmlab", "down", "--class-file", class)
	// The seed makes the same MAC addresses again.
	s.run("kvmlab", "up", file, "--class-file", class, "--no-wait")
	for name, l := range s.classStatus(class) {
		if same := macs[l.Guests[0].NICs[0].MAC] == name; same != (name != "mar") {
			t.Errorf("%s: MAC %s, the same as before: %t", name, l.Guests[0].NICs[0].MAC, same)
		}
	}
	s.run("kvmlab", "down", "--class-file", class)
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("down left something (-before +after):\n%s", d)
	}
}

// TestClassRefused gives a class what cannot be, and finds nothing changed.
func TestClassRefused(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	s.run("sh", "-ec", "for x in a b c d e f g h; do ip netns add kvmlab-s$x; done") // a stranger's
	before := s.footprint()
	big := s.writeFile("big.yaml", strings.Replace(small, "  - name: pc\n", "  - name: pc\n    memory: 60GiB\n", 1))
	const many = "sa,sb,sc,sd,se,sf,sg,sh"
	for _, test := range []struct {
		name, says string
		status     int
		args       []string
	}{
		{"two of one name", "KL623", 2, []string{"--class", "José,jose"}},
		{"header", "h.csv:1:", 2, []string{"--class-file", s.writeFile("h.csv", "ana\nluis\n")}},
		{"no file", "KL", 2, []string{"--class-file", "/nowhere.csv"}},
		{"with a name", "KL001", 2, []string{"--class", "ana", "--name", "luis"}},
		{"individual without a key", "KL001", 2, []string{"--class", "ana", "--individual"}},
		{"too many", " would fit", 4, []string{big, "--class", many}},
		// Forced, it comes as far as the namespaces, which are not the class's.
		{"too many, forced", "KL208", 1, []string{big, "--class", many, "--force"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.try("kvmlab", append([]string{"up"}, test.args...)...)
			if r.status != test.status || !strings.Contains(r.err, test.says) {
				t.Errorf("exit status %d, want %d with %q\n%s", r.status, test.status, test.says, r.err)
			}
		})
	}
	if r := s.try("kvmlab", "up", "--class", "Ana,Luis", "--individual", "--class-key", "k", "--dry-run"); r.status != 0 ||
		strings.Contains(r.out, "192.168.1.1") || !strings.Contains(r.out, "kvmlab-luis") {
		t.Errorf("dry run: exit status %d\n%s%s", r.status, r.out, r.err)
	}
	if d := cmp.Diff(before, s.footprint()); d != "" {
		t.Errorf("something was changed (-before +after):\n%s", d)
	}
}
