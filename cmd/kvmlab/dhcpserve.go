package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// otherServerWait is how long `dhcp serve` listens for other servers when it starts; dnsmasq takes three seconds to
// answer, because it pings what it offers.
const otherServerWait = 4 * time.Second

type dhcpServeOptions struct {
	app    *app
	cmd    *cobra.Command
	flags  lab.ServerFlags
	leases string
	config string
}

func newDHCPServeCmd(a *app) *cobra.Command {
	o := &dhcpServeOptions{app: a}
	cmd := a.command("serve", "dhcp.serve")
	o.cmd = cmd
	cmd.Args = a.maxArgs(0)
	flags, f := cmd.Flags(), &o.flags
	flags.SortFlags = false
	flags.StringArrayVar(&f.Interfaces, "interface", nil, a.T("dhcp.serve.flag.interface"))
	flags.StringVar(&f.Subnet, "subnet", "", a.T("dhcp.serve.flag.subnet"))
	flags.StringArrayVar(&f.Ranges, "range", nil, a.T("dhcp.serve.flag.range"))
	flags.StringVar(&f.ServerID, "server-id", "", a.T("dhcp.serve.flag.server-id"))
	flags.StringVar(&f.Router, "router", "", a.T("dhcp.serve.flag.router"))
	flags.StringArrayVar(&f.DNS, "dns", nil, a.T("dhcp.serve.flag.dns"))
	flags.StringVar(&f.Domain, "domain", "", a.T("dhcp.serve.flag.domain"))
	flags.StringVar(&f.LeaseTime, "lease-time", "", a.T("dhcp.serve.flag.lease-time"))
	flags.StringVar(&f.MinLeaseTime, "min-lease-time", "", a.T("dhcp.serve.flag.min-lease-time"))
	flags.StringVar(&f.MaxLeaseTime, "max-lease-time", "", a.T("dhcp.serve.flag.max-lease-time"))
	flags.StringArrayVar(&f.Reserve, "reserve", nil, a.T("dhcp.serve.flag.reserve"))
	flags.StringArrayVar(&f.Options, "option", nil, a.T("dhcp.serve.flag.option"))
	flags.BoolVar(&f.Authoritative, "authoritative", false, a.T("dhcp.serve.flag.authoritative"))
	flags.BoolVar(&f.NoProbe, "no-probe", false, a.T("dhcp.serve.flag.no-probe"))
	flags.StringVar(&o.leases, "leases", "", a.T("dhcp.serve.flag.leases", "dir", a.dirs.ServeLeaseDir()))
	flags.StringVar(&o.config, "config", "", a.T("dhcp.serve.flag.config"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) }
	return cmd
}

func (o *dhcpServeOptions) run(ctx context.Context) error {
	server, err := o.server()
	if err != nil {
		return err
	}
	if err := needRoot(o.cmd); err != nil {
		return err
	}
	interfaces, own, warnings, err := serverInterfaces(server)
	if err != nil {
		return err
	}
	o.app.showDiagnostics(warnings)
	cfg, err := supervisor.ServerConfig(server, interfaces, own)
	if err != nil {
		return err
	}
	if o.leases == "" {
		o.leases = o.app.dirs.ServeLeaseDir()
	}
	if err := checkLeaseDir(o.leases); err != nil {
		return err
	}
	return o.serve(ctx, cfg)
}

// fromFile are the flags that a --config leaves room for.
func fromFile(flag string) bool {
	switch flag {
	case "interface", "leases", "config", "output", "plain", "lang", "connect", "verbose":
		return true
	}
	return false
}

// server reads the file or the flags. Mistakes are all told at once.
func (o *dhcpServeOptions) server() (*lab.Server, error) {
	if o.config != "" {
		for _, flag := range changedFlags(o.cmd) {
			if !fromFile(flag) {
				return nil, o.app.usageError(o.cmd, "dhcp.serve.flag-and-config", "flag", "--"+flag)
			}
		}
		src, err := o.app.readConfigFile(o.config)
		if err != nil {
			return nil, err
		}
		return lab.ParseServer(o.config, src, o.flags.Interfaces)
	}
	var missing []string
	if len(o.flags.Interfaces) == 0 {
		missing = append(missing, "--interface")
	}
	if o.flags.Subnet == "" {
		missing = append(missing, "--subnet")
	}
	if len(missing) > 0 {
		return nil, o.app.usageError(o.cmd, "dhcp.serve.missing", "flags", strings.Join(missing, ", "))
	}
	return lab.ServerFromFlags(o.flags)
}

// lastWords is how long the end waits for the events to be read.
const lastWords = 2 * time.Second

// serve opens the server and serves until ctx ends, which is the ordinary end.
func (o *dhcpServeOptions) serve(ctx context.Context, cfg dhcp.Config) error {
	a := o.app
	events := newDHCPEvents(a)
	opts := dhcp.Options{LeaseDir: o.leases, Events: events.ring.Add, Log: a.log}
	if discarded(a.Out) {
		opts.Events = nil // nobody reads them, so they need not be put into words
	}
	server, err := dhcp.Open(cfg, opts)
	if err != nil {
		return serveError(err, cfg, o.leases)
	}
	for _, i := range cfg.Interfaces {
		a.say("dhcp.serve.serving", "interface", i.Name, "server", i.Address, "subnets", subnetsOn(cfg, i.Address), "leases", o.leases)
	}
	a.Errf("ready\n") // for programs that wait for it, and so in no language

	var group sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	group.Go(func() { events.print(ctx) })
	for _, i := range cfg.Interfaces {
		group.Go(func() { o.warnOfOthers(ctx, i.Name) })
	}
	err = server.Serve(ctx)
	stop()
	done := make(chan struct{})
	go func() { defer close(done); group.Wait() }()
	select {
	case <-done:
	case <-time.After(lastWords): // whoever reads the events has stopped to
	}
	return serveError(err, cfg, o.leases)
}

// warnOfOthers asks who else serves an interface. Our own server does not hear what its host sends, so every OFFER is
// somebody else's.
func (o *dhcpServeOptions) warnOfOthers(ctx context.Context, iface string) {
	warned := map[netip.Addr]bool{}
	_, err := dhcp.FindServers(ctx, dhcp.FindOptions{Interface: iface, Wait: otherServerWait, Each: func(f dhcp.Found) {
		if warned[f.Server] {
			return
		}
		warned[f.Server] = true
		d := diag.New(diag.ForeignDHCP, diag.Args{"bridge": iface, "server": f.Server, "mac": f.ServerMAC})
		d.Severity = diag.Warning
		o.app.showDiagnostics(diag.List{d})
	}})
	// Of an interface that is down the server tells itself.
	if err != nil && ctx.Err() == nil && !errors.Is(err, unix.ENETDOWN) {
		o.app.log.Warn("look for other DHCP servers", "iface", iface, "err", err)
	}
}

// subnetsOn names the subnets that clients on an interface with this address get addresses of: its own, or those behind
// relays.
func subnetsOn(cfg dhcp.Config, a netip.Addr) string {
	var own, relayed []string
	for _, s := range cfg.Subnets {
		switch {
		case s.Prefix.Contains(a):
			own = append(own, s.Prefix.String())
		case !anyIn(s.Prefix, cfg.Interfaces):
			relayed = append(relayed, s.Prefix.String())
		}
	}
	if len(own) == 0 {
		own = relayed
	}
	return strings.Join(own, ", ")
}

// dhcpEvents prints the events of a server. The ring in between keeps a slow reader of our output from slowing the
// server down.
type dhcpEvents struct {
	app  *app
	ring *dhcp.EventRing
}

// eventRingSize is how many events a slow reader may be behind before it loses the oldest.
const eventRingSize = 1 << 14

func newDHCPEvents(a *app) *dhcpEvents {
	return &dhcpEvents{app: a, ring: dhcp.NewEventRing(eventRingSize)}
}

// print prints until ctx ends, and then what is left.
func (e *dhcpEvents) print(ctx context.Context) {
	var next uint64
	for {
		events, after, lost, err := e.ring.Next(ctx, next)
		if err != nil {
			return // ctx has ended, and everything is printed
		}
		next = after
		if lost > 0 {
			e.app.say("dhcp.serve.lost", "count", lost)
		}
		for i := range events {
			e.one(&events[i])
		}
	}
}
