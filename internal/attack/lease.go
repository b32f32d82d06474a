package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	leaseWait  = 3 * time.Second // for a reply; a server may look for the address by ARP first
	leaseTries = 3
)

var errNoLease = errors.New("the server has not answered")

// lease takes a lease as the client that m describes: its chaddr, xid and options.
func (g *guest) lease(ctx context.Context, m message) error {
	fd, err := g.receiver(typeIPv4, leaseWait)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing is kept
	m.flags = 0x8000     // the reply is for everybody: the card would not take one for another address
	options := m.options
	for range leaseTries {
		m.options = slices.Concat(kind(discover), options)
		if err := g.send(ctx, asClient(m)); err != nil {
			return err
		}
		offered, ok := reply(fd, m.xid)
		if !ok {
			continue
		}
		m.options = slices.Concat(kind(request), address(50, offered), address(54, g.host), options)
		if err := g.send(ctx, asClient(m)); err != nil {
			return err
		}
		if _, ok := reply(fd, m.xid); ok {
			return nil
		}
	}
	return errNoLease
}

// reply waits for a server's message and gives the address in it.
func reply(fd int, xid uint32) (netip.Addr, bool) {
	for b, end := make([]byte, 1500), time.Now().Add(leaseWait); time.Now().Before(end); {
		n, err := unix.Read(fd, b)
		if err != nil {
			return netip.Addr{}, false
		}
		const bootp = 14 + 20 + 8
		if n > bootp+240 && b[14] == 0x45 && binary.BigEndian.Uint16(b[36:]) == 68 && b[bootp] == 2 &&
			binary.BigEndian.Uint32(b[bootp+4:]) == xid {
			return netip.AddrFrom4([4]byte(b[bootp+16 : bootp+20])), true
		}
	}
	return netip.Addr{}, false
}
