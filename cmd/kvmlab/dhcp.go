package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// newDHCPCmd holds what is about DHCP itself.
func newDHCPCmd(a *app) *cobra.Command {
	cmd := a.parent(a.command("dhcp", "dhcp"))
	cmd.AddCommand(newDHCPServeCmd(a), newDHCPProbeCmd(a), newDHCPFaultCmd(a), newDHCPSwitchCmd(a, false),
		newDHCPSwitchCmd(a, true))
	return cmd
}

// needRoot refuses a user who could not open the sockets anyway.
func needRoot(cmd *cobra.Command) error {
	if os.Geteuid() != 0 {
		return diag.New(diag.NotRoot, diag.Args{"command": cmd.CommandPath()})
	}
	return nil
}
