package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// bridgeOptions say which bridge of which lab a command is about.
type bridgeOptions struct {
	app    *app
	cmd    *cobra.Command
	word   string // the command behind kvmlab, for hints
	bridge string
}

// addBridgeFlag makes cmd a command about the DHCP server of a bridge.
func addBridgeFlag(a *app, cmd *cobra.Command) *bridgeOptions {
	o := &bridgeOptions{app: a, cmd: cmd, word: "dhcp " + cmd.Name()}
	cmd.Args = a.maxArgs(1)
	cmd.ValidArgsFunction = completeLabs(a)
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&o.bridge, "bridge", "", a.T("dhcp.flag.bridge"))
	return o
}

// orderedBridge is what these commands print with -o json.
type orderedBridge struct {
	Lab    string                  `json:"lab"`
	Bridge supervisor.BridgeStatus `json:"bridge"`
}

// order finds the lab and its bridge and asks its supervisor.
func (o *bridgeOptions) order(ctx context.Context, args []string, order supervisor.DHCPOrder) (orderedBridge, error) {
	if err := needRoot(o.cmd); err != nil {
		return orderedBridge{}, err
	}
	name, err := o.chosenLab(args)
	if err != nil {
		return orderedBridge{}, err
	}
	files, err := o.app.dirs.Lab(name)
	if err != nil {
		return orderedBridge{}, err
	}
	l, err := readLab(files)
	if err != nil {
		return orderedBridge{}, err
	}
	if order.Bridge, err = o.chosenBridge(l); err != nil {
		return orderedBridge{}, err
	}
	running, _, err := superviseProcess(o.app, files).Observe(ctx)
	if err != nil {
		return orderedBridge{}, err
	}
	if !running {
		return orderedBridge{}, diag.New(diag.SupervisorDead, diag.Args{"lab": name})
	}
	wait, cancel := context.WithTimeout(ctx, supervisorAnswer)
	defer cancel()
	client := supervisor.NewClient(files.SupervisorSocket())
	defer client.Close()
	st, err := client.OrderDHCP(wait, order)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = diag.New(diag.SupervisorSilent, diag.Args{"lab": name, "wait": supervisorAnswer}).Wrap(err)
	}
	return orderedBridge{Lab: name, Bridge: st}, err
}

// chosenLab is the lab that was named, or the only one that is up.
func (o *bridgeOptions) chosenLab(args []string) (string, error) {
	known, err := o.app.dirs.Labs()
	switch {
	case err != nil:
		return "", err
	case len(args) > 0 && !slices.Contains(known, args[0]):
		return "", noSuchLab(args[0], known)
	case len(args) > 0:
		return args[0], nil
	case len(known) == 0:
		return "", diag.New(diag.NoLabs, diag.Args{"command": o.word})
	case len(known) > 1:
		return "", diag.New(diag.WhichLab, diag.Args{"command": o.word, "known": known})
	}
	return known[0], nil
}

// chosenBridge is the bridge that was named, or the only one that is served.
func (o *bridgeOptions) chosenBridge(l *lab.Lab) (string, error) {
	var known, served []string
	for _, b := range l.Bridges {
		known = append(known, b.Name)
		if b.DHCP != nil {
			served = append(served, b.Name)
		}
	}
	switch {
	case o.bridge != "" && !slices.Contains(known, o.bridge):
		return "", diag.New(diag.NoSuchBridge, diag.Args{
			"bridge": o.bridge, "lab": l.Name, "known": known, "suggestion": cliui.Closest(o.bridge, known),
		})
	case o.bridge != "" && !slices.Contains(served, o.bridge):
		return "", diag.New(diag.BridgeNotServed, diag.Args{"bridge": o.bridge, "lab": l.Name})
	case o.bridge != "":
		return o.bridge, nil
	case len(served) == 0:
		return "", diag.New(diag.BridgeNotServed, diag.Args{"bridge": strings.Join(known, ", "), "lab": l.Name})
	case len(served) > 1:
		return "", diag.New(diag.WhichBridge, diag.Args{"lab": l.Name, "known": served})
	}
	return served[0], nil
}

// newDHCPSwitchCmd is `kvmlab dhcp off` or `kvmlab dhcp on`.
func newDHCPSwitchCmd(a *app, serve bool) *cobra.Command {
	cmd, done := a.command("off [LAB]", "dhcp.off"), "dhcp.off.done"
	if serve {
		cmd, done = a.command("on [LAB]", "dhcp.on"), "dhcp.on.done"
	}
	o := addBridgeFlag(a, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		st, err := o.order(cmd.Context(), args, supervisor.DHCPOrder{Serve: &serve})
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(st)
		}
		if serve && !st.Bridge.Serving {
			a.say("dhcp.on.silent", "bridge", st.Bridge.Name, "why", st.Bridge.Silence)
			return nil
		}
		a.say(done, "bridge", st.Bridge.Name, "lab", st.Lab)
		return nil
	}
	return cmd
}
