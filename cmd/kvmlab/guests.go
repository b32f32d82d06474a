package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/vm"
)

// findGuest finds the domain of a guest by the name that the lab file gives it. labName, when not empty, says in which
// lab; command is what the guest is wanted for. Guests are found by the marks on the domains, so that it works without the lab's state.
func findGuest(domains []vm.State, labName, guest, command string) (vm.State, error) {
	var (
		found []vm.State
		known []string // guests of the lab, or of all labs
		labs  []string // labs that are there
	)
	for _, domain := range domains {
		if !domain.Owned {
			continue
		}
		labs = append(labs, domain.Owner.Lab)
		if labName != "" && domain.Owner.Lab != labName {
			continue
		}
		known = append(known, domain.Owner.Guest)
		if domain.Owner.Guest == guest {
			found = append(found, domain)
		}
	}
	slices.Sort(labs)
	labs = slices.Compact(labs)
	slices.Sort(known)
	known = slices.Compact(known)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var names []string
		for _, domain := range found {
			names = append(names, domain.Owner.Lab)
		}
		slices.Sort(names)
		return vm.State{}, diag.New(diag.GuestAmbiguous, diag.Args{"guest": guest, "labs": names})
	case len(labs) == 0 && labName == "":
		return vm.State{}, diag.New(diag.NoLabs, diag.Args{"command": command})
	case labName != "" && !slices.Contains(labs, labName):
		return vm.State{}, diag.New(diag.NoSuchLab, diag.Args{
			"lab": labName, "suggestion": cliui.Closest(labName, labs), "known": labs,
		})
	}
	name := labName
	if len(labs) == 1 {
		name = labs[0]
	}
	return vm.State{}, noSuchGuest(name, guest, known, labs)
}

// noSuchGuest lists the guests that there are. Without one lab to name, it names them all.
func noSuchGuest(labName, guest string, known, labs []string) error {
	var in any = labName
	if labName == "" {
		in = strings.Join(labs, ", ")
	}
	return diag.New(diag.NoSuchGuest, diag.Args{
		"guest": guest, "lab": in, "suggestion": cliui.Closest(guest, known), "known": known,
	})
}

// completeGuests proposes the guests of all labs, or of the lab that --lab names.
func (a *app) completeGuests(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	wanted := ""
	if flag := cmd.Flags().Lookup("lab"); flag != nil {
		wanted = flag.Value.String()
	}
	labs, err := a.dirs.Labs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var guests []string
	for _, name := range labs {
		if wanted == "" || name == wanted {
			guests = append(guests, a.storedGuests(name)...)
		}
	}
	return guests, cobra.ShellCompDirectiveNoFileComp
}

// storedGuests reads the names of a lab's guests from its stored description; none when it cannot be read.
func (a *app) storedGuests(name string) []string {
	files, err := a.dirs.Lab(name)
	if err != nil {
		return nil
	}
	data, err := files.ReadLabFile()
	if err != nil || data == nil {
		return nil
	}
	stored, err := lab.Decode(name, data)
	if err != nil {
		return nil
	}
	var guests []string
	for _, guest := range stored.Guests {
		guests = append(guests, cobra.CompletionWithDesc(guest.Name, name))
	}
	return guests
}
