package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// guest is where an attack runs, and what it is aimed at.
type guest struct {
	values map[string]string // KEY=VALUE of the command line
	out    io.Writer

	nic  *net.Interface
	self mac
	addr netip.Addr // its own, or 0.0.0.0

	host         netip.Addr // the bridge's address
	hostMAC      mac
	neighbour    netip.Addr // another guest of the same lab
	neighbourMAC mac

	last  time.Duration // how long a flood of no number goes on
	times int           // what the numbers of floods are multiplied by
	wire  int           // an AF_PACKET socket; -1 before the first frame
	sent  int
}

// The defaults are those of the class's lab. What is not on the command line is not needed by every attack.
func newGuest(args []string, out io.Writer) (*guest, error) {
	g := &guest{
		values: map[string]string{"nic": "eth0", "for": "3s", "times": "1"},
		out:    out,
		wire:   -1,
		addr:   netip.IPv4Unspecified(),
	}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, errUsage
		}
		g.values[key] = value
	}
	var errs [6]error
	g.last, errs[0] = time.ParseDuration(g.values["for"])
	g.host, errs[1] = parseAddr(g.values["host"])
	g.neighbour, errs[2] = parseAddr(g.values["neighbour"])
	g.hostMAC, errs[3] = parseMAC(g.values["hostmac"])
	g.neighbourMAC, errs[4] = parseMAC(g.values["neighbourmac"])
	g.times, errs[5] = strconv.Atoi(g.values["times"])
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return g, nil
}

func parseAddr(text string) (netip.Addr, error) {
	if text == "" {
		return netip.IPv4Unspecified(), nil
	}
	return netip.ParseAddr(text)
}

// parseMAC gives the broadcast address for nothing: what is meant for somebody then reaches everybody.
func parseMAC(text string) (m mac, err error) {
	if text == "" {
		return broadcast, nil
	}
	hw, err := net.ParseMAC(text)
	if err != nil || len(hw) != len(m) {
		return m, fmt.Errorf("not a MAC address: %q", text)
	}
	copy(m[:], hw)
	return m, nil
}

// open makes the socket that frames leave by.
func (g *guest) open() (err error) {
	if g.wire >= 0 {
		return nil
	}
	if g.nic, err = net.InterfaceByName(g.values["nic"]); err != nil {
		return err
	}
	copy(g.self[:], g.nic.HardwareAddr)
	addrs, err := g.nic.Addrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			g.addr = p.Addr()
		}
	}
	// Protocol 0: it sends and does not receive.
	if g.wire, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open a packet socket: %w", err)
	}
	// Past the queue of the card, which would drop a flood in the guest itself.
	_ = unix.SetsockoptInt(g.wire, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	return nil
}

// send puts frames on the wire as they are, short ones too.
func (g *guest) send(ctx context.Context, frames ...[]byte) error {
	if err := g.open(); err != nil {
		return err
	}
	for _, frame := range frames {
		to := &unix.SockaddrLinklayer{Ifindex: g.nic.Index, Halen: 6}
		copy(to.Addr[:], frame[:min(6, len(frame))])
		for {
			err := unix.Sendto(g.wire, frame, 0, to)
			if err == nil {
				g.sent++
				break
			}
			// The card's ring is full: the host is slower than this loop. What is larger than the card takes, or is
			// refused for its form, cannot be sent by anybody.
			if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) {
				return fmt.Errorf("send a frame of %d octets: %w", len(frame), err)
			}
			if err := pause(ctx, time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

// many sends n frames, each made from its number.
func (g *guest) many(ctx context.Context, n int, frame func(i uint32) []byte) error {
	if err := g.open(); err != nil {
		return err
	}
	for i := range n {
		if err := g.send(ctx, frame(uint32(i))); err != nil {
			return err
		}
	}
	return g.report()
}

// during sends frames as fast as it can for as long as the flood is to last.
func (g *guest) during(ctx context.Context, frame func(i uint32) []byte) error {
	if err := g.open(); err != nil {
		return err
	}
	end := time.Now().Add(g.last)
	for i := uint32(0); time.Now().Before(end); i++ {
		if err := g.send(ctx, frame(i)); err != nil {
			return err
		}
	}
	return g.report()
}

func (g *guest) report() error {
	_, err := fmt.Fprintf(g.out, "sent %d frames\n", g.sent)
	return err
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// once is an attack of a few frames: three times, because one could be lost.
func once(frames func(g *guest) [][]byte) func(context.Context, *guest) error {
	return func(ctx context.Context, g *guest) error {
		if err := g.open(); err != nil {
			return err
		}
		for range 3 {
			if err := g.send(ctx, frames(g)...); err != nil {
				return err
			}
		}
		return g.report()
	}
}

// flood is an attack of n frames, or of a multiple of it; n of 0 means as many as go out in the time of the flood.
func flood(n int, frame func(g *guest, i uint32) []byte) func(context.Context, *guest) error {
	return func(ctx context.Context, g *guest) error {
		if n == 0 {
			return g.during(ctx, func(i uint32) []byte { return frame(g, i) })
		}
		return g.many(ctx, n*g.times, func(i uint32) []byte { return frame(g, i) })
	}
}

// numbered is a made-up locally administered MAC address, another one for each number.
func numbered(i uint32) mac {
	m := mac{0x02, 0xa7}
	binary.BigEndian.PutUint32(m[2:], i)
	return m
}

// stranger is an address of the benchmarking network 198.18.0.0/15, another one for each number up to 131072.
func stranger(i uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18 + byte(i>>16&1), byte(i >> 8), byte(i)})
}
