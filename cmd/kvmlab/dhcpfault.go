package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// everyNak is the value of --nak without one.
const everyNak = "every"

// faultFlags are the flags of `kvmlab dhcp fault`: one for each kind of fault, with what stands behind it in a lab
// file as its value.
type faultFlags struct {
	values map[string]*[]string // drop=…, router=…
	bare   map[string]*bool     // silent
	nak    string
	clear  bool
}

func newDHCPFaultCmd(a *app) *cobra.Command {
	cmd := a.command("fault [LAB]", "dhcp.fault")
	o := addBridgeFlag(a, cmd)
	f := &faultFlags{values: map[string]*[]string{}, bare: map[string]*bool{}}
	flags := cmd.Flags()
	value := func(name, usage string) { f.values[name] = flags.StringArray(name, nil, usage) }
	bare := func(name, usage string) { f.bare[name] = flags.Bool(name, false, usage) }
	value("drop", a.T("dhcp.fault.flag.drop"))
	value("delay", a.T("dhcp.fault.flag.delay"))
	value("duplicate", a.T("dhcp.fault.flag.duplicate"))
	flags.StringVar(&f.nak, "nak", "", a.T("dhcp.fault.flag.nak"))
	flags.Lookup("nak").NoOptDefVal = everyNak
	value("router", a.T("dhcp.fault.flag.router"))
	value("mask", a.T("dhcp.fault.flag.mask"))
	value("dns", a.T("dhcp.fault.flag.dns"))
	bare("pool-full", a.T("dhcp.fault.flag.pool-full"))
	value("lease", a.T("dhcp.fault.flag.lease"))
	bare("silent", a.T("dhcp.fault.flag.silent"))
	flags.BoolVar(&f.clear, "clear", false, a.T("dhcp.fault.flag.clear"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		faults, err := f.faults()
		if err != nil {
			return err
		}
		st, err := o.order(cmd.Context(), args, supervisor.DHCPOrder{Clear: f.clear, Faults: faults})
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(st)
		}
		if len(st.Bridge.Faults) == 0 {
			a.Outf("%s\n", a.T("dhcp.fault.none", "bridge", st.Bridge.Name))
			return nil
		}
		a.Outf("%s\n", a.T("dhcp.fault.set", "bridge", st.Bridge.Name, "faults", faultList(st.Bridge.Faults)))
		return nil
	}
	return cmd
}

// faults reads the flags in the order of the kinds. Every mistake is told.
func (f *faultFlags) faults() ([]lab.Fault, error) {
	var (
		out      []lab.Fault
		problems diag.List
	)
	add := func(flag, text string) {
		fault, err := lab.ParseFault(text)
		if d, ok := err.(*diag.Diagnostic); ok { //nolint:errorlint // ParseFault promises a Diagnostic
			problems.Add(d.At(diag.Pos{File: "--" + flag}))
			return
		}
		out = append(out, fault)
	}
	for _, name := range []string{"drop", "delay", "duplicate", "router", "mask", "dns", "lease"} {
		for _, value := range *f.values[name] {
			add(name, name+"="+value)
		}
	}
	if f.nak != "" {
		add("nak", strings.TrimSuffix("nak"+f.nak, everyNak))
	}
	for _, name := range []string{"pool-full", "silent"} {
		if *f.bare[name] {
			add(name, name)
		}
	}
	return out, problems.Err()
}

// faultList writes faults in a line.
func faultList(faults []lab.Fault) string {
	words := make([]string, len(faults))
	for i, f := range faults {
		words[i] = string(f)
	}
	return strings.Join(words, ", ")
}
