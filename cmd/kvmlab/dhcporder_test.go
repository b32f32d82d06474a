package main_test

import (
	"strings"
	"testing"
)

// TestDHCPOrders: faults and the handover of a real lab on a private host, and what status says of them. Bridges without
// guests will do.
func TestDHCPOrders(t *testing.T) {
	t.Parallel()
	s := newSandbox(t)
	file := s.writeFile("aula.yaml", `
version: 1
name: aula
bridges:
  - name: br1
    address: 192.168.1.1/24
    dhcp: {range: 192.168.1.2-192.168.1.10, faults: lease=5s}
  - name: br2
`)
	s.run("kvmlab", "up", file)
	for _, step := range []struct {
		args   string
		status int
		want   []string // in what it prints
		not    string
	}{
		{"status", 0, []string{"DHCP server answers", "teaching faults: lease=5s"}, ""},
		{"dhcp fault --drop OFFER#2 --lease 7s --bridge br1", 0, []string{"br1: drop=OFFER#2, lease=7s\n"}, ""},
		{"status -o json aula", 0, []string{`"drop=OFFER#2",`, `"serving": true`}, ""},
		{"dhcp fault --bridge br2 --silent", 2, []string{"KL517", "no DHCP server on br2"}, ""},
		{"dhcp fault --bridge br9 --silent", 2, []string{"KL519", `no bridge "br9"`}, ""},
		{"dhcp off lua", 2, []string{"KL601"}, ""},
		{"dhcp off", 0, []string{"kvmlab no longer answers DHCP on br1"}, ""},
		{"status", 0, []string{"DHCP server turned off"}, "answers"},
		{"dhcp on aula -o json", 0, []string{`"serving": true`, `"off": false`}, ""},
		{"dhcp fault --clear", 0, []string{"br1: no teaching faults\n"}, ""},
		{"status", 0, []string{"DHCP server answers"}, "teaching faults"},
		{"down", 0, nil, ""},
		{"dhcp off", 2, []string{"KL613"}, ""},
	} {
		r := s.try("kvmlab", strings.Fields(step.args)...)
		if r.status != step.status {
			t.Errorf("kvmlab %s: status %d, want %d\n%s%s", step.args, r.status, step.status, r.out, r.err)
		}
		for _, want := range step.want {
			if !strings.Contains(r.out+r.err, want) {
				t.Errorf("kvmlab %s: no %q in:\n%s%s", step.args, want, r.out, r.err)
			}
		}
		if step.not != "" && strings.Contains(r.out, step.not) {
			t.Errorf("kvmlab %s: %q in:\n%s", step.args, step.not, r.out)
		}
	}
}
