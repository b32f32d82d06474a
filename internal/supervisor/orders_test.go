package supervisor_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/internal/supervisor"
)

// classroom is a supervisor with one served bridge, which is a wire to a namespace of clients.
type classroom struct {
	*testing.T
	dir     string
	servers *nstest.Namespace
	clients *nstest.Namespace
	client  *supervisor.Client
	stop    func()
}

func newClassroom(t *testing.T) *classroom {
	t.Helper()
	c := &classroom{T: t, dir: t.TempDir(), servers: nstest.New(t), clients: nstest.New(t)}
	c.servers.Run(t, "ip link add br1 type veth peer name eth0 netns "+c.clients.Path())
	c.servers.Run(t, "ip addr add 192.168.1.1/24 dev br1")
	c.servers.Run(t, "ip link set br1 up")
	c.servers.Run(t, "ip link add dark type bridge") // which the lab file gives no DHCP
	c.clients.Run(t, "ip link set eth0 up")
	c.start()
	return c
}

// start starts the supervisor; the lab file sets one fault from the start.
func (c *classroom) start() {
	c.Helper()
	files, err := state.Dirs{Run: filepath.Join(c.dir, "run"), State: filepath.Join(c.dir, "state")}.Lab("aula")
	if err == nil {
		err = files.Create()
	}
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan error, 1), make(chan error, 1)
	go func() {
		done <- supervisor.Run(ctx, supervisor.Config{
			Lab: &lab.Lab{Version: 1, Name: "aula", Bridges: []lab.Bridge{{
				Name: "br1", Address: netip.MustParsePrefix("192.168.1.1/24"),
				DHCP: &lab.DHCP{
					Ranges: []lab.Range{{First: netip.MustParseAddr("192.168.1.2"), Last: netip.MustParseAddr("192.168.1.9")}},
					Lease:  10 * time.Minute, Router: netip.MustParseAddr("192.168.1.1"),
					Faults: []lab.Fault{"router=192.168.1.254"}, Policy: lab.Policy{NoProbe: true},
				},
			}, {Name: "dark"}}},
			Files: files, NetNS: c.servers.Path(), Wire: quietWire{}, Guests: noGuests{},
			Log: slog.New(slog.DiscardHandler), Ready: func(err error) error { ready <- err; return nil },
		})
	}()
	if err := nstest.Receive(c, ready); err != nil {
		c.Fatal(err)
	}
	c.client = supervisor.NewClient(files.SupervisorSocket())
	c.stop = func() {
		c.client.Close()
		cancel()
		if err := nstest.Receive(c, done); err != nil {
			c.Errorf("supervisor: %v", err)
		}
		c.stop = func() {}
	}
	c.Cleanup(func() { c.stop() })
}

// discover sends a DISCOVER, as often as tries says, and returns the OFFER, or nil when none came.
func (c *classroom) discover(mac byte, tries int) *dhcpv4.DHCPv4 {
	c.Helper()
	var nc *nclient4.Client
	c.clients.Must(c, func() (err error) {
		nc, err = nclient4.New("eth0", nclient4.WithHWAddr(net.HardwareAddr{2, 0, 0x5e, 0, 0x53, mac}),
			nclient4.WithTimeout(500*time.Millisecond), nclient4.WithRetry(tries))
		return err
	})
	defer nc.Close()
	offer, err := nc.DiscoverOffer(nstest.Limit(c))
	if err != nil && !errors.Is(err, nclient4.ErrNoResponse) {
		c.Fatal(err)
	}
	return offer
}

// once and often are how often to try where silence and where an answer is expected.
const (
	once  = 1
	often = 20
)

func (c *classroom) order(o supervisor.DHCPOrder) supervisor.BridgeStatus {
	c.Helper()
	st, err := c.client.OrderDHCP(nstest.Limit(c), o)
	if err != nil {
		c.Fatal(err)
	}
	status, err := c.client.Status(nstest.Limit(c))
	if err != nil || len(status.Bridges) != 1 {
		c.Fatalf("status %+v, %v", status, err)
	}
	if d := cmp.Diff(st, status.Bridges[0]); d != "" {
		c.Errorf("the order's answer and the status differ:\n%s", d)
	}
	return st
}

// awaitEvent waits for an event that fits.
func (c *classroom) awaitEvent(fits func(lab.Event) bool) {
	c.Helper()
	ctx, cancel := context.WithTimeout(nstest.Limit(c), 10*time.Second)
	defer cancel()
	if err := c.client.Events(ctx, 0, func(ev lab.Event) bool { return !fits(ev) }); err != nil {
		c.Errorf("the event did not come: %v", err)
	}
}

// TestHandover: off is silence at once and across a restart of the supervisor, on is service again; both are events.
func TestHandover(t *testing.T) {
	c := newClassroom(t)
	if c.discover(1, often) == nil {
		t.Fatal("no OFFER before the handover")
	}
	off, on := false, true
	st := c.order(supervisor.DHCPOrder{Bridge: "br1", Serve: &off})
	if st.Serving || !st.Off || st.Silence == "" {
		t.Errorf("after off: %+v", st)
	}
	if offer := c.discover(2, once); offer != nil {
		t.Errorf("an OFFER after off: %v", offer.Summary())
	}
	c.awaitEvent(func(ev lab.Event) bool { return ev.Kind == lab.EventService && ev.Message == lab.ServiceSilent })

	c.stop()
	c.start()
	if offer := c.discover(2, once); offer != nil {
		t.Errorf("an OFFER from a supervisor that was started anew: %v", offer.Summary())
	}
	if st := c.order(supervisor.DHCPOrder{Bridge: "br1", Serve: &on}); !st.Serving || st.Off || st.Silence != "" {
		t.Errorf("after on: %+v", st)
	}
	c.awaitEvent(func(ev lab.Event) bool { return ev.Kind == lab.EventService && ev.Message == lab.ServiceServing })
	if c.discover(2, often) == nil {
		t.Error("no OFFER after on")
	}
}

// TestFaults: the lab file's are there from the start, orders add to them and replace their like, clear takes all away;
// what they do is on the wire and among the events.
func TestFaults(t *testing.T) {
	c := newClassroom(t)
	router := func(offer *dhcpv4.DHCPv4) string {
		t.Helper()
		if offer == nil || len(offer.Router()) != 1 {
			t.Fatalf("OFFER without a router: %v", offer)
		}
		return offer.Router()[0].String()
	}
	if got := router(c.discover(1, often)); got != "192.168.1.254" {
		t.Errorf("the lab file's fault: router %s", got)
	}
	st := c.order(supervisor.DHCPOrder{Bridge: "br1", Faults: []lab.Fault{"router=192.168.1.77", "drop=DISCOVER#1"}})
	if d := cmp.Diff([]lab.Fault{"router=192.168.1.77", "drop=DISCOVER#1"}, st.Faults); d != "" {
		t.Errorf("faults (-want +got):\n%s", d)
	}
	if offer := c.discover(2, once); offer != nil {
		t.Errorf("the first DISCOVER was not lost: %v", offer.Summary())
	}
	c.awaitEvent(func(ev lab.Event) bool { return ev.Reason == "fault" && ev.Message == "DISCOVER" })
	if got := router(c.discover(2, often)); got != "192.168.1.77" {
		t.Errorf("router %s", got)
	}
	c.stop()
	c.start()
	if got := router(c.discover(3, often)); got != "192.168.1.77" {
		// The first DISCOVER of the new supervisor is lost too; the client of the test repeats it.
		t.Errorf("after a restart: router %s", got)
	}
	if st := c.order(supervisor.DHCPOrder{Bridge: "br1", Clear: true}); len(st.Faults) != 0 {
		t.Errorf("after clear: %+v", st)
	}
	if got := router(c.discover(4, often)); got != "192.168.1.1" {
		t.Errorf("after clear: router %s", got)
	}
	for name, order := range map[string]struct {
		order  supervisor.DHCPOrder
		status int
	}{
		"no such bridge":      {supervisor.DHCPOrder{Bridge: "br9", Clear: true}, http.StatusNotFound},
		"a bridge not served": {supervisor.DHCPOrder{Bridge: "dark", Clear: true}, http.StatusNotFound},
		"no fault":            {supervisor.DHCPOrder{Bridge: "br1", Faults: []lab.Fault{"slow"}}, http.StatusBadRequest},
	} {
		_, err := c.client.OrderDHCP(nstest.Limit(t), order.order)
		refused := new(supervisor.RefusedError)
		if !errors.As(err, &refused) || refused.Status != order.status {
			t.Errorf("%s: %v", name, err)
		}
	}
}
