package dhcp_test

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
)

// kvmlab is our own server, inside the test's process, or as a process of its own when it is to be killed.
type kvmlab struct {
	disk dhcp.Disk // in place of a directory of its own
}

// patient is how long kvmlab may take for a reply.
const patient = 15 * time.Second

// start is the time at which tests without a clock of their own begin.
var start = time.Unix(1_800_000_000, 0)

func (v kvmlab) start(tb testing.TB, w *wire, set setup) (running, error) {
	tb.Helper()
	if set.process {
		return startProcess(tb, w, set)
	}
	k := &inProcess{cfg: set.config(), events: dhcp.NewEventRing(1 << 14)}
	k.opts = dhcp.Options{
		LeaseDir: tb.TempDir(), NetNS: w.servers.Path(), Events: k.events.Add,
		Now: func() time.Time { return time.Now().Add(time.Duration(k.ahead.Load())) },
	}
	if v.disk != nil {
		k.opts = k.opts.OnDisk(v.disk)
	}
	if err := k.open(); err != nil {
		return nil, err
	}
	tb.Cleanup(func() {
		if err := k.stop(); err != nil {
			tb.Errorf("serve: %v", err)
		}
	})
	return k, nil
}

// config says in kvmlab's words what a case needs.
func (s setup) config() dhcp.Config {
	first, last := s.pool()
	class := dhcp.Subnet{
		Prefix: netip.MustParsePrefix("192.168.1.0/24"), Ranges: []dhcp.Range{{First: ip(first), Last: ip(last)}},
		Lease: s.leaseTime(), MinLease: s.minimum, MaxLease: s.maximum, V6OnlyWait: s.v6Only,
		NoAutoConfigure: s.noAutoConf,
		Options: append([]dhcp.Option{
			dhcp.AddressesOption(3, serverIP), dhcp.AddressesOption(6, serverIP), dhcp.StringOption(15, "aula.lan"),
		}, s.options...),
	}
	behind := func(prefix, first, last string) dhcp.Subnet {
		return dhcp.Subnet{
			Prefix: netip.MustParsePrefix(prefix), Ranges: []dhcp.Range{{First: ip(first), Last: ip(last)}},
			Options: []dhcp.Option{dhcp.AddressesOption(3, ip(first))},
		}
	}
	return dhcp.Config{
		Interfaces: []dhcp.Interface{{Name: "br1", Address: serverIP}},
		Subnets: []dhcp.Subnet{
			class,
			behind("10.9.0.0/24", "10.9.0.100", "10.9.0.200"),
			behind("10.10.0.0/24", "10.10.0.100", "10.10.0.200"),
		},
		Authoritative: s.authoritative, RapidCommit: s.rapidCommit, NoProbe: !s.probe,
	}
}

// inProcess is a server in the test's own process. Its clock can be put forward.
type inProcess struct {
	cfg    dhcp.Config
	opts   dhcp.Options
	events *dhcp.EventRing
	ahead  atomic.Int64
	srv    *dhcp.Server
	cancel context.CancelFunc
	done   chan error
}

func (k *inProcess) open() error {
	srv, err := dhcp.Open(k.cfg, k.opts)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.srv, k.cancel, k.done = srv, cancel, make(chan error, 1)
	go func() { k.done <- srv.Serve(ctx) }()
	return nil
}

func (k *inProcess) stop() error {
	if k.cancel == nil {
		return nil
	}
	k.cancel()
	k.cancel = nil
	return <-k.done
}

func (k *inProcess) restart(testing.TB) error { return errors.Join(k.stop(), k.open()) }
func (k *inProcess) pass(d time.Duration)     { k.ahead.Add(int64(d)) }
func (k *inProcess) ring() *dhcp.EventRing    { return k.events }

// held returns the lease of an address as the server has it now.
func (k *inProcess) held(a netip.Addr) (dhcp.Lease, bool) {
	for _, l := range k.srv.Leases() {
		if l.Address == a {
			return l, true
		}
	}
	return dhcp.Lease{}, false
}
