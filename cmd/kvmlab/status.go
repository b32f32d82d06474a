package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/lab"
)

func newStatusCmd(a *app) *cobra.Command {
	cmd := a.command("status [LAB...]", "status")
	cmd.ValidArgsFunction = completeLabs(a)
	class := &classFlags{app: a}
	class.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if class.asked() && len(args) > 0 {
			return a.usageError(cmd, "down.all-and-names")
		}
		return runStatus(cmd.Context(), a, args, class)
	}
	return cmd
}

func runStatus(ctx context.Context, a *app, names []string, class *classFlags) (err error) {
	var students []student
	if class.asked() {
		if students, err = class.students(); err != nil {
			return err
		}
	}
	h, err := openHost(ctx, a, hostOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	h.atAGlance()
	known, err := h.Labs(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return noSuchLab(name, known)
		}
	}
	switch {
	case len(students) > 0: // also those who have no lab
		for _, s := range students {
			names = append(names, s.Lab)
		}
	case len(names) == 0:
		names = known
	}
	var report struct {
		Labs []labState `json:"labs"`
	}
	for _, name := range names {
		st, err := observeLab(ctx, a, h, name)
		if err != nil {
			return err
		}
		report.Labs = append(report.Labs, st)
	}
	if a.wantsJSON() {
		return a.printJSON(report)
	}
	if len(students) > 0 {
		return writeClassStatus(a, students, report.Labs)
	}
	if len(report.Labs) == 0 {
		a.say("status.none")
		return nil
	}
	for i, st := range report.Labs {
		if err := writeStatus(a, st, i > 0); err != nil {
			return err
		}
	}
	return nil
}

// writeStatus prints one lab for people: a line for the lab, its bridges, its guests, and what is not as it should be.
// apart sets it off from the lab before.
func writeStatus(a *app, st labState, apart bool) error {
	var out bytes.Buffer
	if apart {
		out.WriteByte('\n')
	}
	style := a.OutStyle()
	state := style.Good(a.T("state." + st.State))
	if st.State != "up" {
		state = style.Bad(a.T("state." + st.State))
	}
	fmt.Fprintf(&out, "%s: %s\n", style.Bold(st.Name), state)
	if st.Netns != "" {
		fmt.Fprintln(&out, "  "+a.T("status.netns", "netns", st.Netns, "lab", st.Name))
	}
	for _, b := range st.Bridges {
		fmt.Fprintln(&out, "  "+bridgeLine(a, b, st.Supervisor.Running))
		fmt.Fprintln(&out, "    "+reachLine(a, b))
		if len(b.DHCP.Faults) > 0 {
			fmt.Fprintln(&out, "    "+style.Warn(a.T("status.faults", "faults", faultList(b.DHCP.Faults))))
		}
	}
	if len(st.Guests) > 0 {
		out.WriteByte('\n')
		if err := writeGuestTable(a, &out, st); err != nil {
			return err
		}
	}
	if len(st.Drift) > 0 {
		fmt.Fprintf(&out, "\n%s\n", a.T("status.drift"))
	}
	for _, d := range st.Drift {
		fmt.Fprintf(&out, "  %s: %s\n", d.Address, a.Phrase(d.Problem))
	}
	if st.HostRestarted {
		fmt.Fprintf(&out, "\n%s\n", a.T("status.restarted", "lab", st.Name))
	}
	if _, err := out.WriteTo(a.Out); err != nil {
		return err
	}
	if len(st.Drift) > 0 {
		a.say("status.heal", "lab", st.Name)
	}
	a.showDiagnostics(captureWarnings(a, st))
	return nil
}

// bridgeLine says in one line who answers DHCP on a bridge.
func bridgeLine(a *app, b bridgeState, supervised bool) string {
	id := "status.bridge.off"
	switch {
	case !b.DHCP.Enabled:
	case !supervised:
		id = "status.bridge.dead"
	case b.DHCP.Off:
		id = "status.bridge.handed-over"
	case b.DHCP.Serving:
		id = "status.bridge.serving"
	default:
		id = "status.bridge.silent"
	}
	address := b.Address
	if address == "" {
		address = a.T("status.no-address")
	}
	return a.T(id, "bridge", b.Name, "address", address, "why", b.DHCP.Silence)
}

// reachLine says in one line what the guests on a bridge reach.
func reachLine(a *app, b bridgeState) string {
	address, _, _ := strings.Cut(b.Address, "/")
	return a.T("status.reach", "address", address, "services", strings.Join(b.Reach.Host, ", "),
		"internet", b.Reach.Internet == lab.NAT, "networks", strings.Join(b.Reach.Networks, ", "))
}

// writeGuestTable prints a row for each network card: guest, tap, MAC and address are what the exercise is about.
func writeGuestTable(a *app, out io.Writer, st labState) error {
	cards := 0
	for _, g := range st.Guests {
		cards = max(cards, len(g.NICs))
	}
	header := []string{"table.guest", "table.state", "table.nic", "table.tap", "table.bridge", "table.mac", "table.address"}
	for i, id := range header {
		header[i] = a.T(id)
	}
	table := cliui.NewTable(a.OutStyle(), header...)
	for _, g := range st.Guests {
		if len(g.NICs) == 0 {
			table.Row(g.Name, a.T("state."+g.State))
		}
		for i, nic := range g.NICs {
			name, state := g.Name, a.T("state."+g.State)
			if i > 0 {
				name, state = " ", " " // a guest's further cards stand under its first
			}
			table.Row(name, state, nic.Name, nic.Tap, nic.Bridge, nic.MAC.String(), cardAddress(a, nic))
		}
	}
	_, err := table.WriteTo(out)
	return err
}

// cardAddress is the lease's address, with its state when that is not the ordinary one.
func cardAddress(a *app, nic nicState) string {
	switch {
	case nic.Lease == nil:
		return ""
	case nic.Lease.State == "bound":
		return nic.Lease.Address
	default:
		return fmt.Sprintf("%s (%s)", nic.Lease.Address, a.T("lease."+nic.Lease.State))
	}
}
