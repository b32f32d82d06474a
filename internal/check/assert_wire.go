package check

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// answerTime is how long after a DISCOVER an OFFER may still come: dnsmasq, the slowest, looks for the address for
// three seconds.
const answerTime = 5 * time.Second

func tryExchange(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	x, err := e.discovered(ctx, e.nic(a))
	switch {
	case err != nil:
		return Verdict{}, err
	case x == nil:
		return failed("no-discover", "guest", e.who(a))
	case len(x.of(capture.Offer)) == 0:
		return failed("no-offer", "guest", e.who(a))
	case len(x.offering()) > 1:
		return failed("many-servers", "servers", strings.Join(x.offering(), ", "))
	case a.Server.Set && x.offering()[0] != a.Server.Value:
		return failed("other-server", "server", x.offering()[0], "want", a.Server.Value)
	case len(x.of(capture.Nak)) > 0:
		return failed("nak", "guest", e.who(a))
	case len(x.of(capture.Request)) == 0:
		return failed("no-request", "guest", e.who(a))
	case len(x.of(capture.Ack)) == 0:
		return failed("no-ack", "guest", e.who(a))
	}
	return passed(x.last())
}

// tryServer asks who answers. For "none" the DISCOVER itself is the positive control: it must have been on the wire
// for as long as an answer may take.
func tryServer(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	if a.Server.Value == Nobody {
		return trySilence(ctx, a, e)
	}
	x, err := e.discovered(ctx, e.nic(a))
	if err != nil {
		return Verdict{}, err
	}
	if x == nil {
		return failed("no-discover", "guest", e.who(a))
	}
	servers := x.offering()
	switch {
	case len(servers) == 0:
		return failed("no-offer", "guest", e.who(a))
	case !slices.Contains(servers, a.Server.Value):
		return failed("other-server", "server", strings.Join(servers, ", "), "want", a.Server.Value)
	case len(servers) > 1:
		return failed("many-servers", "servers", strings.Join(servers, ", "))
	case e.now.Sub(x.records[0].Time) < answerTime:
		return failed("second-may-come")
	}
	return passed(x.last())
}

func trySilence(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	x, err := e.discovered(ctx, e.nic(a))
	if err != nil {
		return Verdict{}, err
	}
	if x == nil {
		return failed("no-discover", "guest", e.who(a)) // nothing was asked: that nobody answered says nothing
	}
	servers := x.offering()
	anyone := a.Server.Value == Nobody || a.Server.Value == Anyone
	if len(servers) > 0 && (anyone || slices.Contains(servers, a.Server.Value)) {
		return failed("not-silent", "server", strings.Join(servers, ", "))
	}
	if e.now.Sub(x.records[0].Time) < answerTime {
		return failed("answer-may-come")
	}
	return passed(x.records[0].Number)
}

func tryOffer(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	kind := a.Type.Or("OFFER")
	records, err := e.wireSince(ctx, e.since)
	if err != nil {
		return Verdict{}, err
	}
	nic := e.nic(a)
	for _, r := range slices.Backward(dhcpOf(records, nic)) {
		if r.DHCP.Type != messageType(kind) {
			continue
		}
		if why, wrong := differs(a, r); wrong {
			return Verdict{Why: why, Packet: r.Number}, nil
		}
		return passed(r.Number)
	}
	return failed("no-message", "type", kind, "guest", e.who(a))
}

// differs tells what in a message is not as asserted.
func differs(a *Assertion, r *watch.Record) (Reason, bool) {
	kind, address := r.DHCP.Type.String(), r.DHCP.YIAddr
	switch {
	case a.Range.Set && (address.Less(a.Range.Value.First) || a.Range.Value.Last.Less(address)):
		return because("outside", "address", address, "range", a.Range.Value.First.String()+"-"+a.Range.Value.Last.String()), true
	case a.Address.Set && address != a.Address.Value:
		return because("other-address", "address", address, "want", a.Address.Value), true
	case a.L2.Set && r.Ethernet.Destination.Broadcast() != (a.L2.Value == "broadcast"):
		return because("other-l2", "type", kind, "destination", r.Ethernet.Destination), true
	case a.L3.Set && (r.IP.Destination == everybody) != (a.L3.Value == "broadcast"):
		return because("other-l3", "type", kind, "destination", r.IP.Destination), true
	}
	for code, want := range a.Options {
		number, _ := strconv.Atoi(code) // Parse has checked it
		option := r.DHCP.Option(number)
		if option == nil {
			return because("no-option", "type", kind, "option", code), true
		}
		if got := optionText(option); got != want {
			return because("other-option", "type", kind, "option", fmt.Sprintf("%s (%s)", code, option.Name), "value", got, "want", want), true
		}
	}
	return Reason{}, false
}

var everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// optionText is an option's value as it is written in checks.yaml: lists with commas.
func optionText(o *capture.Option) string {
	switch v := o.Value.(type) {
	case []netip.Addr:
		texts := make([]string, len(v))
		for i, address := range v {
			texts[i] = address.String()
		}
		return strings.Join(texts, ",")
	case nil:
		return o.Raw.String()
	default:
		return fmt.Sprint(v)
	}
}

func tryRenewal(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	found, leased, err := e.moment(ctx, a)
	switch {
	case err != nil:
		return Verdict{}, err
	case found != nil:
		return passed(found.Number)
	case !leased:
		return failed("no-lease", "guest", e.who(a))
	}
	return failed("no-renewal-"+strings.ToLower(a.At.Value), "guest", e.who(a))
}

// moment finds the first packet that shows a moment in the life of a guest's lease: the REQUEST of the renewing kind, or
// after the end of the lease the DISCOVER with which the guest asks anew, since the exercise began. leased says whether there was a lease at all.
// It goes by time and not by exchange, for dhclient keeps one xid from its DISCOVER on through all renewals.
func (e *scene) moment(ctx context.Context, a *Assertion) (found *watch.Record, leased bool, err error) {
	records, err := e.wire(ctx)
	if err != nil {
		return nil, false, err
	}
	var acked, asked *watch.Record // the newest ACK, and the unicast REQUEST that waits for one
	for _, r := range dhcpOf(records, e.nic(a)) {
		switch {
		case r.DHCP.Type == capture.Ack && a.At.Value == "T1" && asked != nil && asked.DHCP.XID == r.DHCP.XID:
			return asked, true, nil
		case r.DHCP.Type == capture.Ack:
			acked = r
		case acked == nil, r.Time.Before(e.begun):
		case r.DHCP.Type == capture.Discover && a.At.Value == "expiry" && ranOut(acked, r):
			return r, true, nil
		case r.DHCP.Type != capture.Request || r.DHCP.CIAddr.IsUnspecified():
			asked = nil
		case r.IP.Destination != everybody:
			asked = r
		case a.At.Value == "T2":
			return r, true, nil
		default:
			asked = nil
		}
	}
	return nil, acked != nil, nil
}

// ranOut reports whether the lease of an ACK was over when another packet was sent. Clients count in whole seconds.
func ranOut(ack, later *watch.Record) bool {
	seconds, ok := ack.DHCP.Seconds(51)
	return ok && later.Time.Sub(ack.Time) > time.Duration(seconds)*time.Second-2*time.Second
}

func tryMessage(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	since := e.begun
	if e.check.Station != nil {
		since = e.since
	}
	records, err := e.wireSince(ctx, since)
	if err != nil {
		return Verdict{}, err
	}
	for _, r := range slices.Backward(dhcpOf(records, e.nic(a))) {
		if r.DHCP.Type == messageType(a.Type.Value) && a.by(r) {
			return passed(r.Number)
		}
	}
	return failed("no-message", "type", a.Type.Value, "guest", e.who(a))
}

// by reports whether a message is from the server that is asserted, when one is.
func (a *Assertion) by(r *watch.Record) bool {
	return !a.Server.Set || guestOf(r.Stations.Source) == a.Server.Value
}
