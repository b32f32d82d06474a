package mistake

import (
	"bytes"
	"fmt"
	"net"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// taps looks at the host's side of the cables.
func (f *finder) taps() {
	strays := f.want.Host.Strays
	for _, t := range f.want.Host.Taps {
		var d *diag.Diagnostic
		switch {
		case !t.Exists && len(strays) > 0:
			d = diag.New(diag.TapUnnamed, diag.Args{"found": strays[0], "want": t.Name})
			strays = strays[1:]
		case !t.Exists:
			d = diag.New(diag.TapMissing, diag.Args{"tap": t.Name, "guest": t.Guest, "nic": t.NIC})
		case t.Want != "" && t.Bridge != t.Want:
			d = diag.New(diag.TapIdle, diag.Args{"tap": t.Name, "bridge": t.Want, "plugged": false})
		case !t.Up:
			d = diag.New(diag.TapIdle, diag.Args{"tap": t.Name, "bridge": t.Want, "plugged": true})
		default:
			continue
		}
		f.add(rankCable, d)
	}
	for _, n := range f.want.Host.NICs {
		if len(n.MAC) == 6 && n.MAC[0]&1 == 1 {
			f.add(rankCable, diag.New(diag.MACOfGroup, diag.Args{"mac": n.MAC}))
		}
	}
}

// ownCard is the guest's card with a MAC, "" when it has none.
func (f *finder) ownCard(mac net.HardwareAddr) string {
	for _, l := range f.seen.Links {
		if len(mac) > 0 && bytes.Equal(l.MAC, mac) {
			return l.Name
		}
	}
	for _, n := range append([]NIC{f.want.Host.Server}, f.want.Host.Others...) {
		if len(mac) > 0 && bytes.Equal(n.MAC, mac) {
			return n.Name
		}
	}
	return ""
}

// wire looks at what was seen on the network.
func (f *finder) wire() {
	known := len(f.seen.Links) > 0 || len(f.want.Host.Server.MAC) > 0
	var others []string
	for _, a := range f.want.Host.Answering {
		card := f.ownCard(a.MAC)
		switch {
		case card != "" && card != f.want.Interface && f.want.Interface != "":
			if !f.has(diag.ServedElsewhere, diag.InterfaceOther) {
				f.add(rankWire, diag.New(diag.ServedElsewhere, diag.Args{"program": "DHCP", "got": card, "want": f.want.Interface}))
			}
		case card == "" && known:
			who := a.Address.String()
			if a.Who != "" {
				who = a.Who + " " + who
			}
			others = append(others, fmt.Sprintf("%s (%s)", who, a.MAC))
		}
	}
	if len(others) > 0 {
		f.add(rankWire, diag.New(diag.TwoServers, diag.Args{"servers": others}))
	}
	f.leases()
}

// leases looks at the last lease of each client from the server that was asked for.
func (f *finder) leases() {
	if len(f.want.Ranges) == 0 || f.has(diag.RangeDiffers) {
		return
	}
	last := map[string]Lease{}
	var order []string
	for _, l := range f.want.Host.Leases {
		if _, seen := last[l.MAC.String()]; !seen {
			order = append(order, l.MAC.String())
		}
		last[l.MAC.String()] = l
	}
	for _, mac := range order {
		if l := last[mac]; l.Server == f.want.Address.Addr() && !f.asked(l) {
			f.add(rankWire, diag.New(diag.LeaseOutside, diag.Args{"address": l.Address, "server": l.Server}))
		}
	}
}

// answers looks for the published belief that the server's address is that of a broadcast.
func (f *finder) answers() {
	for _, a := range f.want.Answers {
		if text := strings.TrimSpace(a.Text); a.To == ServerAddress && text == "255.255.255.255" {
			f.add(rankWire, diag.New(diag.BroadcastIsNobody, diag.Args{"given": text}))
		}
	}
}
