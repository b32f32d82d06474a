package check

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// target is the address of a guest's first card with one, as it has it now, or a literal address.
func (e *scene) target(ctx context.Context, to string) (string, Verdict, error) {
	if _, err := netip.ParseAddr(to); err == nil {
		return to, Verdict{}, nil
	}
	out, err := e.Guest(ctx, to, "ip -o -4 addr show scope global")
	if err != nil {
		return "", Verdict{}, err
	}
	fields := strings.Fields(out.Text)
	if i := slices.Index(fields, "inet"); i >= 0 && i+1 < len(fields) {
		// It becomes part of a command in another guest, so it must be an address and nothing else.
		text, _, _ := strings.Cut(fields[i+1], "/")
		if address, err := netip.ParseAddr(text); err == nil && address.Is4() {
			return address.String(), Verdict{}, nil
		}
	}
	v, err := failed("no-address", "guest", to)
	return "", v, err
}

func tryPing(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	address, v, err := e.target(ctx, a.To.Value)
	if address == "" {
		return v, err
	}
	out, err := e.Guest(ctx, a.From.Value, "ping -c 1 -W 2 "+address)
	if err != nil {
		return Verdict{}, err
	}
	if out.Status != 0 {
		return failed("no-ping", "from", a.From.Value, "to", a.To.Value, "address", address)
	}
	return passed(0)
}

// tryARP has the guest forget what it knows of the address, which may be of yesterday, and then sends a packet, for the
// kernel asks for a neighbour only when there is something to send. Whether it is answered does not matter.
func tryARP(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	address, v, err := e.target(ctx, a.To.Value)
	if address == "" {
		return v, err
	}
	out, err := e.Guest(ctx, a.From.Value, fmt.Sprintf(
		"{ ip neigh flush to %[1]s; ping -c 1 -W 1 %[1]s; } >/dev/null 2>&1; cat /proc/net/arp", address))
	if err != nil {
		return Verdict{}, err
	}
	for line := range strings.Lines(out.Text) {
		f := strings.Fields(line)
		if len(f) >= 4 && f[0] == address && f[3] != "00:00:00:00:00:00" {
			return passed(0)
		}
	}
	return failed("no-neighbour", "from", a.From.Value, "to", a.To.Value, "address", address)
}

// tryPort reads the kernel's own table, which is there without ss. A socket of 0.0.0.0 listens on every card.
func tryPort(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	script := "cat /proc/net/udp"
	if a.Process.Set {
		script = fmt.Sprintf("ss -Hlnup 'sport = :%d' | grep -F '((\"%s\"'", a.Port.Value, a.Process.Value)
	}
	out, err := e.Guest(ctx, a.Guest.Value, script)
	if err != nil {
		return Verdict{}, err
	}
	open := a.Process.Set && out.Status == 0
	for line := range strings.Lines(out.Text) {
		f := strings.Fields(line)
		if len(f) > 1 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", a.Port.Value)) {
			open = true
		}
	}
	switch {
	case open:
		return passed(0)
	case a.Process.Set:
		return failed("no-port-process", "guest", a.Guest.Value, "port", a.Port.Value, "process", a.Process.Value)
	}
	return failed("no-port", "guest", a.Guest.Value, "port", a.Port.Value)
}

// tryService never trusts the unit's state alone: a unit of the SysV kind can be active without a process, and have
// failed while the server runs.
func tryService(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	out, err := e.Guest(ctx, a.Guest.Value, "systemctl is-active "+quoted(a.Unit.Value))
	if err != nil {
		return Verdict{}, err
	}
	state := strings.TrimSpace(out.Text)
	want := a.Active.Or(true)
	if (state == "active") != want {
		return failed("service", "guest", a.Guest.Value, "unit", a.Unit.Value, "state", state)
	}
	if !a.Process.Set {
		return passed(0)
	}
	if out, err = e.Guest(ctx, a.Guest.Value, "pidof "+quoted(a.Process.Value)); err != nil {
		return Verdict{}, err
	}
	if (out.Status == 0) != want {
		return failed("process", "guest", a.Guest.Value, "unit", a.Unit.Value, "process", a.Process.Value)
	}
	return passed(0)
}

func tryCommand(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	run := func() (Output, error) { return e.Guest(ctx, a.Guest.Value, a.Run.Value) }
	if !a.Guest.Set {
		run = func() (Output, error) { return e.Host(ctx, a.Run.Value) }
	}
	out, err := run()
	switch {
	case err != nil:
		return Verdict{}, err
	case out.Status != a.Status.Or(0):
		if output := excerpt(out.Text); output != "" {
			return failed("status-output", "status", out.Status, "want", a.Status.Or(0), "output", output)
		}
		return failed("status", "status", out.Status, "want", a.Status.Or(0))
	case a.Match.Set && !regexp.MustCompile(a.Match.Value).MatchString(out.Text):
		if output := excerpt(out.Text); output != "" {
			return failed("no-match", "output", output)
		}
		return failed("no-output")
	}
	return passed(0)
}

// tryApplied compares what a guest has with the last ACK it got: address and prefix, default route, resolver.
func tryApplied(ctx context.Context, a *Assertion, e *scene) (Verdict, error) {
	nic := e.nic(a)
	ack, err := e.lastAck(ctx, nic)
	if err != nil {
		return Verdict{}, err
	}
	if ack == nil {
		return failed("no-message", "type", "ACK", "guest", a.Guest.Value)
	}
	out, err := e.Guest(ctx, a.Guest.Value, fmt.Sprintf(
		"ip -o -4 addr show dev %s; ip route show default; sed -n 's/^nameserver/resolver/p' /etc/resolv.conf", nic.Name))
	if err != nil {
		return Verdict{}, err
	}
	words := strings.Fields(out.Text)
	prefix := ack.DHCP.YIAddr.String()
	if mask, ok := ack.DHCP.Addr(1); ok {
		prefix += "/" + strconv.Itoa(maskBits(mask))
	}
	if !slices.ContainsFunc(words, func(w string) bool { return w == prefix || strings.HasPrefix(w, prefix+"/") }) {
		return failed("not-applied-address", "guest", a.Guest.Value, "value", prefix)
	}
	if router, ok := ack.DHCP.Addr(3); ok && !strings.Contains(out.Text, "default via "+router.String()) {
		return failed("not-applied-router", "guest", a.Guest.Value, "value", router)
	}
	if dns, ok := ack.DHCP.Addr(6); ok && !strings.Contains(out.Text, "resolver "+dns.String()) {
		return failed("not-applied-resolver", "guest", a.Guest.Value, "value", dns)
	}
	return passed(ack.Number)
}

func maskBits(mask netip.Addr) int {
	bits := 0
	for _, b := range mask.As4() {
		for ; b != 0; b <<= 1 {
			bits++
		}
	}
	return bits
}

// quoted makes one word of a text for the guest's shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// excerpt is the first line of an output, and no more than fits on one.
func excerpt(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if runes := []rune(line); len(runes) > 60 {
		line = string(runes[:60]) + "…"
	}
	return line
}

func parseExpression(s yamlfile.Scalar) (string, *diag.Diagnostic) {
	if _, err := regexp.Compile(s.Value); err != nil {
		return "", diag.New(diag.BadExpression, diag.Args{"value": s.Value, "message": err})
	}
	return s.Value, nil
}
