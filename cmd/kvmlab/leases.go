package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/macgen"
)

// labLeases are the leases of one lab, as `kvmlab leases -o json` prints them.
type labLeases struct {
	Name   string     `json:"name"`
	Leases []labLease `json:"leases"`
}

// labLease is a lease with what the lab knows about its holder.
type labLease struct {
	Address  string    `json:"address"`
	State    string    `json:"state"`
	Bridge   string    `json:"bridge"`
	Guest    string    `json:"guest,omitempty"`
	NIC      string    `json:"nic,omitempty"`
	MAC      string    `json:"mac,omitempty"`
	Hostname string    `json:"hostname,omitempty"` // what the client calls itself, option 12
	Server   string    `json:"server"`
	Start    time.Time `json:"start"`
	Expires  time.Time `json:"expires"`
}

func newLeasesCmd(a *app) *cobra.Command {
	cmd := a.command("leases [LAB...]", "leases")
	cmd.ValidArgsFunction = completeLabs(a)
	cmd.Flags().VarP(newChoice(&a.global.output, outputText, outputJSON, outputCSV), "output", "o", a.T("leases.flag.output"))
	dir := cmd.Flags().String("dir", "", a.T("leases.flag.dir"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *dir == "" {
			return runLeases(cmd.Context(), a, args)
		}
		if len(args) > 0 {
			return a.usageError(cmd, "leases.lab-and-dir")
		}
		// To a lab, no directory is no lease yet; here it is a wrong name.
		if _, err := os.ReadDir(*dir); err != nil {
			return diag.New(diag.FileUnreadable, diag.Args{"file": *dir}).Wrap(err)
		}
		leases, err := readLeaseDir(a, nil, *dir)
		if err != nil {
			return err
		}
		return printLeases(a, []labLeases{{Name: *dir, Leases: leases}})
	}
	return cmd
}

// runLeases reads the lease stores on disk, which are as true while the server runs as when it does not.
func runLeases(_ context.Context, a *app, names []string) error {
	if os.Geteuid() != 0 {
		return diag.New(diag.NotRoot, diag.Args{"command": "kvmlab"})
	}
	known, err := a.dirs.Labs()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return noSuchLab(name, known)
		}
	}
	if len(names) == 0 {
		names = known
	}
	var all []labLeases
	for _, name := range names {
		leases, err := readLeases(a, name)
		if err != nil {
			return err
		}
		all = append(all, labLeases{Name: name, Leases: leases})
	}
	return printLeases(a, all)
}

func printLeases(a *app, all []labLeases) error {
	switch a.global.output {
	case outputJSON:
		return a.printJSON(struct {
			Labs []labLeases `json:"labs"`
		}{all})
	case outputCSV:
		return writeLeasesCSV(a, all)
	default:
		return writeLeases(a, all)
	}
}

func readLeases(a *app, name string) ([]labLease, error) {
	files, err := a.dirs.Lab(name)
	if err != nil {
		return nil, err
	}
	// A lab whose description is lost still has its leases; only the guests' names are missing then.
	l, err := readLab(files)
	if err != nil && !errors.Is(err, errNoLabFile) {
		return nil, err
	}
	return readLeaseDir(a, l, files.LeaseDir())
}

// readLeaseDir reads the store of a server: a lab's, whose guests it knows, or of `kvmlab dhcp serve` when l is nil.
func readLeaseDir(a *app, l *lab.Lab, dir string) ([]labLease, error) {
	stored, err := dhcp.ReadLeases(dir)
	if err != nil {
		return nil, diag.New(diag.LeaseStore, diag.Args{"path": dir}).Wrap(err)
	}
	if damage, err := dhcp.Damage(dir); err == nil && damage != "" {
		d := diag.New(diag.LeaseStore, diag.Args{"path": dir}).Wrap(errors.New(damage))
		d.Severity = diag.Warning
		a.showDiagnostics(diag.List{d})
	}
	var out []labLease
	for _, s := range stored {
		out = append(out, describeLease(l, s))
	}
	return out, nil
}

func describeLease(l *lab.Lab, s dhcp.Lease) labLease {
	out := labLease{
		Address: s.Address.String(), State: s.State.String(), MAC: s.MAC.String(), Hostname: s.Hostname,
		Server: s.Server.String(), Start: s.Start.UTC(), Expires: s.Expires.UTC(),
	}
	if l == nil {
		return out
	}
	for _, bridge := range l.Bridges {
		if bridge.Address.IsValid() && bridge.Address.Masked().Contains(s.Address) {
			out.Bridge = bridge.Name
		}
	}
	if mac, ok := s.MAC.MAC(); ok {
		out.Guest, out.NIC, _ = l.Station(macgen.MAC(mac))
	}
	return out
}

func writeLeases(a *app, labs []labLeases) error {
	total := 0
	header := []string{
		"table.lab", "table.address", "table.state", "table.guest", "table.mac", "table.hostname", "table.expires",
	}
	for i, id := range header {
		header[i] = a.T(id)
	}
	table := cliui.NewTable(a.OutStyle(), header...)
	for _, l := range labs {
		for _, lease := range l.Leases {
			total++
			table.Row(l.Name, lease.Address, a.T("lease."+lease.State), lease.Guest, lease.MAC, lease.Hostname,
				expiry(a, lease))
		}
	}
	if total == 0 {
		a.say("leases.none")
		return nil
	}
	_, err := table.WriteTo(a.Out)
	return err
}

// writeLeasesCSV prints a line for each lease under a header of the JSON's keys (RFC 4180).
func writeLeasesCSV(a *app, labs []labLeases) error {
	rows := [][]string{{
		"lab", "address", "state", "bridge", "guest", "nic", "mac", "hostname", "server", "start", "expires",
	}}
	for _, l := range labs {
		for _, lease := range l.Leases {
			rows = append(rows, []string{
				l.Name, lease.Address, lease.State, lease.Bridge, lease.Guest, lease.NIC, lease.MAC, lease.Hostname,
				lease.Server, lease.Start.Format(time.RFC3339), lease.Expires.Format(time.RFC3339),
			})
		}
	}
	return cliui.WriteCSV(a.Out, rows)
}

// expiry says when a lease ends, and how long that still is.
func expiry(a *app, lease labLease) string {
	clock := lease.Expires.Local().Format(time.TimeOnly)
	left := lease.Expires.Sub(a.now()).Round(time.Second)
	if left <= 0 {
		return clock
	}
	return fmt.Sprintf("%s (%s)", clock, left)
}
