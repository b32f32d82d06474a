package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/vm"
)

func TestFindGuest(t *testing.T) {
	t.Parallel()
	owned := func(lab, guest string) vm.State {
		return vm.State{Name: lab + "-" + guest, Owned: true, Owner: vm.Owner{Lab: lab, Guest: guest}}
	}
	foreign := vm.State{Name: "pc1"}
	one := []vm.State{owned("aula", "pc1"), owned("aula", "pc2"), foreign}
	two := append(one, owned("taller", "pc1"), owned("taller", "server"))
	tests := map[string]struct {
		domains    []vm.State
		lab, guest string
		want       string // the domain's name
		code       diag.Code
		args       diag.Args
	}{
		"the only one":           {domains: one, guest: "pc2", want: "aula-pc2"},
		"unique among labs":      {domains: two, guest: "server", want: "taller-server"},
		"with its lab":           {domains: two, lab: "taller", guest: "pc1", want: "taller-pc1"},
		"in several labs":        {domains: two, guest: "pc1", code: diag.GuestAmbiguous, args: diag.Args{"guest": "pc1", "labs": []string{"aula", "taller"}}},
		"no lab at all":          {domains: []vm.State{foreign}, guest: "pc1", code: diag.NoLabs, args: diag.Args{"command": "console"}},
		"no such lab":            {domains: two, lab: "tallr", guest: "pc1", code: diag.NoSuchLab, args: diag.Args{"lab": "tallr", "suggestion": "taller", "known": []string{"aula", "taller"}}},
		"no such guest":          {domains: one, guest: "pc9", code: diag.NoSuchGuest, args: diag.Args{"guest": "pc9", "lab": "aula", "suggestion": "pc1", "known": []string{"pc1", "pc2"}}},
		"no such guest there":    {domains: two, lab: "taller", guest: "pc2", code: diag.NoSuchGuest, args: diag.Args{"guest": "pc2", "lab": "taller", "suggestion": "pc1", "known": []string{"pc1", "server"}}},
		"no such guest anywhere": {domains: two, guest: "xyzzy", code: diag.NoSuchGuest, args: diag.Args{"guest": "xyzzy", "lab": "aula, taller", "suggestion": "", "known": []string{"pc1", "pc2", "server"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := findGuest(test.domains, test.lab, test.guest, "console")
			if got.Name != test.want || diag.CodeOf(err) != test.code {
				t.Fatalf("findGuest = %q, %v, want %q, %s", got.Name, err, test.want, test.code)
			}
			if err == nil {
				return
			}
			if diff := cmp.Diff(test.args, diagnosticsOf(err)[0].Args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}
