package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/engine"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// supervisorAnswer is how long a supervisor may take to say how it is, before `status` goes on without it.
const supervisorAnswer = 2 * time.Second

// labState is one lab in `kvmlab status -o json`. Other programs rely on these keys.
type labState struct {
	Name       string          `json:"name"`
	State      string          `json:"state"` // up, degraded or down
	Isolation  string          `json:"isolation"`
	Netns      string          `json:"netns"`
	Bridges    []bridgeState   `json:"bridges"`
	Guests     []guestState    `json:"guests"`
	Supervisor supervisorState `json:"supervisor"`
	Drift      []driftState    `json:"drift"`
	// HostRestarted tells that the host has been restarted since the lab was brought up.
	HostRestarted bool `json:"host_restarted"`
	// Floods are what stations have sent too much of since the supervisor began.
	Floods []supervisor.Flood `json:"floods"`
	Unkept uint64             `json:"unkept"` // captured packets that the disk had no room for
}

type bridgeState struct {
	Name    string     `json:"name"`
	Address string     `json:"address"`
	Up      bool       `json:"up"`
	DHCP    dhcpState  `json:"dhcp"`
	Reach   reachState `json:"reach"`
}

// reachState says what guests on a bridge reach beside one another. What other firewalls of the host drop is not in it.
type reachState struct {
	// Host is how they reach this computer, at the bridge's address: arp, dhcp, ping, and the services of the lab file.
	Host     []string     `json:"host"`
	Internet lab.Internet `json:"internet"`
	// Networks are what they get to beside the internet.
	Networks []string `json:"networks"`
}

func reachOf(l *lab.Lab, b lab.Bridge) reachState {
	reach := reachState{Host: []string{}, Internet: b.Internet, Networks: []string{}}
	if b.Address.IsValid() {
		reach.Host = append(reach.Host, "arp", "ping")
		if b.DHCP != nil {
			reach.Host = append(reach.Host, "dhcp")
		}
		for _, s := range l.HostAllow {
			reach.Host = append(reach.Host, s.String())
		}
	}
	for _, n := range b.Reach {
		name := n.String()
		if n.IsSingleIP() {
			name = n.Addr().String()
		}
		reach.Networks = append(reach.Networks, name)
	}
	return reach
}

// dhcpState says who answers DHCP on a bridge.
type dhcpState struct {
	Enabled bool   `json:"enabled"`           // the lab file asks for it
	Serving bool   `json:"serving"`           // the embedded server answers now
	Silence string `json:"silence,omitempty"` // why it does not
	Off     bool   `json:"off"`               // it was handed over with `kvmlab dhcp off`
	// Faults are the teaching faults that are set.
	Faults []lab.Fault `json:"faults"`
}

type guestState struct {
	Name   string     `json:"name"`
	Domain string     `json:"domain"`
	State  string     `json:"state"`
	Accel  string     `json:"accel"`
	NICs   []nicState `json:"nics"`
}

type nicState struct {
	Name   string      `json:"name"`
	Tap    string      `json:"tap"`
	Bridge string      `json:"bridge"`
	MAC    macgen.MAC  `json:"mac"`
	Lease  *leaseState `json:"lease,omitempty"`
}

type leaseState struct {
	Address string    `json:"address"`
	State   string    `json:"state"`
	Server  string    `json:"server"`
	Expires time.Time `json:"expires"`
}

type supervisorState struct {
	Running bool `json:"running"`
	PID     int  `json:"pid"`
}

type driftState struct {
	Address string `json:"address"` // what: tap.tap2, domain.pc3, supervisor
	Problem string `json:"problem"`
}

// observeLab reads how a lab is now: from the kernel, libvirt, the supervisor and the lease store.
func observeLab(ctx context.Context, a *app, h *host, name string) (labState, error) {
	seen, err := h.Status(ctx, name)
	if err != nil {
		return labState{}, err
	}
	st := labState{
		Name: name, State: seen.Condition.String(), Isolation: lab.Host.String(),
		Supervisor:    supervisorState{Running: seen.Supervisor.Running, PID: seen.Supervisor.PID},
		HostRestarted: seen.Restarted,
	}
	if st.Netns = seen.Netns; st.Netns != "" {
		st.Isolation = lab.Netns.String()
	}
	for _, d := range seen.Drift {
		st.Drift = append(st.Drift, driftState{Address: d.Address.String(), Problem: d.Problem})
	}
	if seen.Lab == nil {
		return st, nil // only marks are left; the drift names them
	}
	if st.Isolation = seen.Lab.Isolation.String(); seen.Lab.Isolation == lab.Netns {
		st.Netns = netsetup.NamespaceName(name)
	}
	files, err := a.dirs.Lab(name)
	if err != nil {
		return labState{}, err
	}
	leases, err := dhcp.ReadLeases(files.LeaseDir())
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return labState{}, err
	}
	sv := askSupervisor(ctx, seen.Supervisor.Running, files.SupervisorSocket())
	st.Bridges, st.Floods, st.Unkept = bridgeStates(seen, sv), sv.Floods, sv.Unkept
	st.Guests = guestStates(seen, leases)
	return st, nil
}

// askSupervisor asks what the supervisor serves; one that is dead or does not answer serves nothing.
func askSupervisor(ctx context.Context, running bool, socket string) supervisor.Status {
	if !running {
		return supervisor.Status{}
	}
	ctx, cancel := context.WithTimeout(ctx, supervisorAnswer)
	defer cancel()
	client := supervisor.NewClient(socket)
	defer client.Close()
	st, err := client.Status(ctx)
	if err != nil {
		return supervisor.Status{}
	}
	return st
}

func bridgeStates(seen *engine.Status, sv supervisor.Status) []bridgeState {
	var out []bridgeState
	for _, bridge := range seen.Lab.Bridges {
		b := bridgeState{Name: bridge.Name, DHCP: dhcpState{Enabled: bridge.DHCP != nil}, Reach: reachOf(seen.Lab, bridge)}
		if bridge.Address.IsValid() {
			b.Address = bridge.Address.String()
		}
		b.Up = slices.ContainsFunc(seen.Links, func(l netsetup.Link) bool { return l.Name == bridge.Name && l.Up })
		for _, served := range sv.Bridges {
			if served.Name == bridge.Name {
				b.DHCP = dhcpState{
					Enabled: true, Serving: served.Serving, Silence: served.Silence, Off: served.Off, Faults: served.Faults,
				}
			}
		}
		out = append(out, b)
	}
	return out
}

func guestStates(seen *engine.Status, leases []dhcp.Lease) []guestState {
	var out []guestState
	for _, guest := range seen.Lab.Guests {
		g := guestState{Name: guest.Name, Domain: seen.Lab.DomainName(guest.Name), State: "missing"}
		i := slices.IndexFunc(seen.Domains, func(d vm.State) bool { return d.Name == g.Domain })
		if i >= 0 {
			g.State, g.Accel = seen.Domains[i].Run.String(), seen.Domains[i].Accel.String()
		}
		for _, nic := range guest.NICs {
			g.NICs = append(g.NICs, nicState{
				Name: nic.Name, Tap: nic.Tap, Bridge: nic.Bridge, MAC: nic.MAC, Lease: leaseOf(leases, nic.MAC),
			})
		}
		out = append(out, g)
	}
	return out
}

// leaseOf finds the lease that a MAC holds, or held last.
func leaseOf(leases []dhcp.Lease, mac macgen.MAC) *leaseState {
	var best *dhcp.Lease
	for i := range leases {
		l := &leases[i]
		if l.MAC != dhcp.Ethernet(mac) || l.State == dhcp.StateDeclined {
			continue
		}
		if best == nil || l.State < best.State || (l.State == best.State && l.Expires.After(best.Expires)) {
			best = l
		}
	}
	if best == nil {
		return nil
	}
	return &leaseState{
		Address: best.Address.String(), State: best.State.String(), Server: best.Server.String(), Expires: best.Expires.UTC(),
	}
}
