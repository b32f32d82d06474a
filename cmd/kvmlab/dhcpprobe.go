package main

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/cliui"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// heardOffer is an OFFER in `kvmlab dhcp probe -o json`.
type heardOffer struct {
	Server     string        `json:"server"`
	ServerMAC  string        `json:"server_mac"`
	Address    string        `json:"address"`
	LeaseTime  int64         `json:"lease_time,omitempty"` // seconds
	Mask       string        `json:"mask,omitempty"`
	Router     string        `json:"router,omitempty"`
	DNS        string        `json:"dns,omitempty"`
	Domain     string        `json:"domain,omitempty"`
	NextServer string        `json:"next_server,omitempty"`
	BootFile   string        `json:"boot_file,omitempty"`
	After      float64       `json:"after"` // seconds since the DISCOVER
	Options    []heardOption `json:"options"`
}

// heardOption is one option of an OFFER, in the order of the message.
type heardOption struct {
	Code  uint8  `json:"code"`
	Name  string `json:"name"`
	Value string `json:"value"`
	Raw   string `json:"raw"` // octets in hexadecimal
}

func newDHCPProbeCmd(a *app) *cobra.Command {
	var (
		iface string
		wait  time.Duration
	)
	cmd := a.command("probe", "dhcp.probe")
	cmd.Args = a.maxArgs(0)
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&iface, "interface", "", a.T("dhcp.probe.flag.interface"))
	cmd.Flags().DurationVar(&wait, "wait", 3*time.Second, a.T("dhcp.probe.flag.wait"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case iface == "":
			return a.usageError(cmd, "dhcp.serve.missing", "flags", "--interface")
		case wait <= 0 || wait > time.Minute:
			return diag.New(diag.BadFlag, diag.Args{
				"flag": "--wait", "value": wait.String(), "allowed": a.T("dhcp.probe.wait-takes"),
			})
		}
		if err := needRoot(cmd); err != nil {
			return err
		}
		return probeDHCP(cmd.Context(), a, iface, wait)
	}
	return cmd
}

// probeDHCP asks who serves DHCP on an interface. Nobody is an error, so that a script can tell by the exit status.
func probeDHCP(ctx context.Context, a *app, iface string, wait time.Duration) error {
	if _, err := interfaceAddresses(iface); err != nil {
		return err
	}
	found, err := dhcp.FindServers(ctx, dhcp.FindOptions{Interface: iface, Wait: wait})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	var report struct {
		Interface string       `json:"interface"`
		Offers    []heardOffer `json:"offers"`
	}
	report.Interface = iface
	for _, f := range found {
		report.Offers = append(report.Offers, describeOffer(f))
	}
	if a.wantsJSON() {
		err = a.printJSON(report)
	} else if len(found) > 0 {
		err = writeOffers(a, report.Offers)
	}
	if err == nil && len(found) == 0 {
		err = diag.New(diag.NobodyAnswers, diag.Args{"interface": iface, "wait": wait})
	}
	return err
}

func describeOffer(f dhcp.Found) heardOffer {
	o := heardOffer{
		Server: f.Server.String(), ServerMAC: f.ServerMAC.String(), Address: f.Address.String(),
		LeaseTime: int64(f.Lease / time.Second), BootFile: f.BootFile, After: f.After.Round(time.Microsecond).Seconds(),
	}
	if f.NextServer.IsValid() {
		o.NextServer = f.NextServer.String()
	}
	for _, option := range f.Options {
		text := option.Text()
		switch option.Code {
		case dhcp.OptSubnetMask:
			o.Mask = text
		case dhcp.OptRouter:
			o.Router = text
		case dhcp.OptDNS:
			o.DNS = text
		case dhcp.OptDomainName:
			o.Domain = text
		}
		o.Options = append(o.Options, heardOption{
			Code: option.Code, Name: dhcp.OptionName(option.Code), Value: text, Raw: hex.EncodeToString(option.Value),
		})
	}
	return o
}

// writeOffers prints a row for each OFFER, and under the table what else they say.
func writeOffers(a *app, offers []heardOffer) error {
	header := []string{
		"table.server", "table.mac", "table.address", "table.mask", "table.lease", "table.router", "table.dns", "table.after",
	}
	for i, id := range header {
		header[i] = a.T(id)
	}
	table := cliui.NewTable(a.OutStyle(), header...)
	for _, o := range offers {
		lease := ""
		if o.LeaseTime > 0 {
			lease = (time.Duration(o.LeaseTime) * time.Second).String()
		}
		after := time.Duration(o.After * float64(time.Second)).Round(100 * time.Microsecond)
		table.Row(o.Server, o.ServerMAC, o.Address, o.Mask, lease, o.Router, o.DNS, after.String())
	}
	if _, err := table.WriteTo(a.Out); err != nil {
		return err
	}
	for _, o := range offers {
		if more := furtherOptions(o); more != "" {
			a.Outf("%s: %s\n", o.Server, more)
		}
	}
	return nil
}

// furtherOptions are those that have no column.
func furtherOptions(o heardOffer) string {
	var more []string
	if o.NextServer != "" {
		more = append(more, "next-server "+o.NextServer)
	}
	if o.BootFile != "" {
		more = append(more, "file "+o.BootFile)
	}
	for _, option := range o.Options {
		switch option.Code {
		case dhcp.OptSubnetMask, dhcp.OptRouter, dhcp.OptDNS, dhcp.OptLeaseTime:
		default:
			more = append(more, option.Name+" "+option.Value)
		}
	}
	return strings.Join(more, "; ")
}
