package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Offsets in the frames of the load generator: Ethernet, an IP header without options, UDP, DHCP.
const (
	ipAt      = 14
	udpAt     = ipAt + 20
	dhcpAt    = udpAt + 8
	xidAt     = dhcpAt + 4
	flagsAt   = dhcpAt + 10
	yiaddrAt  = dhcpAt + 16
	chaddrAt  = dhcpAt + 28
	optionsAt = dhcpAt + 240
	frameSize = dhcpAt + 300 // as BOOTP had it, and most clients have it
)

const (
	typeOffer = 2
	typeAck   = 5
)

// askFor is the parameter request list of the clients: mask, router, DNS, domain, broadcast address, lease time.
var askFor = []byte{55, 6, 1, 3, 6, 15, 28, 51}

// clientFrame makes a broadcast from a client without an address, with the broadcast flag. The options stand in fixed
// places, so that a copy needs only its client, its xid and, in a REQUEST, the address and the server filled in.
func clientFrame(options ...byte) []byte {
	f := make([]byte, frameSize)
	copy(f, []byte{255, 255, 255, 255, 255, 255})
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IP)
	h := f[ipAt:]
	h[0], h[8], h[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)))
	copy(h[16:20], []byte{255, 255, 255, 255})
	binary.BigEndian.PutUint16(h[10:], headerSum(h[:20]))
	binary.BigEndian.PutUint16(f[udpAt:], 68)
	binary.BigEndian.PutUint16(f[udpAt+2:], 67)
	binary.BigEndian.PutUint16(f[udpAt+4:], uint16(len(f)-udpAt))
	// A checksum of zero means none (RFC 768).
	d := f[dhcpAt:]
	d[0], d[1], d[2] = 1, 1, 6
	binary.BigEndian.PutUint16(f[flagsAt:], 0x8000)
	binary.BigEndian.PutUint32(d[236:], 0x63825363)
	copy(f[optionsAt:], append(options, 255))
	return f
}

func headerSum(h []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Where the parts of a REQUEST's options are that depend on the OFFER.
const (
	requestAddressAt = optionsAt + 3 + 2
	requestServerAt  = optionsAt + 3 + 6 + 2
)

func discoverFrame() []byte { return clientFrame(append([]byte{53, 1, 1}, askFor...)...) }

func requestFrame() []byte {
	return clientFrame(append([]byte{53, 1, 3, 50, 4, 0, 0, 0, 0, 54, 4, 0, 0, 0, 0}, askFor...)...)
}

// address puts a client into a frame.
func address(f []byte, client, xid uint32) {
	f[6], f[7] = 0x02, 0xbe
	binary.BigEndian.PutUint32(f[8:], client)
	copy(f[chaddrAt:], f[6:12])
	binary.BigEndian.PutUint32(f[xidAt:], xid)
}

// answer is what the generator needs of a reply.
type answer struct {
	xid, kind      uint32
	yiaddr, server [4]byte
}

// parseAnswer reads a frame; ok is false when it is no OFFER or ACK.
func parseAnswer(f []byte) (a answer, ok bool) {
	if len(f) < optionsAt || f[ipAt+9] != 17 || f[ipAt] != 0x45 || binary.BigEndian.Uint16(f[udpAt+2:]) != 68 || f[dhcpAt] != 2 {
		return a, false
	}
	a.xid = binary.BigEndian.Uint32(f[xidAt:])
	copy(a.yiaddr[:], f[yiaddrAt:])
	for o := f[optionsAt:]; len(o) > 2 && o[0] != 255; {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		n := int(o[1])
		if len(o) < 2+n {
			return a, false
		}
		switch {
		case o[0] == 53 && n == 1:
			a.kind = uint32(o[2])
		case o[0] == 54 && n == 4:
			copy(a.server[:], o[2:6])
		}
		o = o[2+n:]
	}
	return a, a.kind == typeOffer || a.kind == typeAck
}

// openWire opens a packet socket on an interface of a named network namespace; empty is this process's own.
func openWire(namespace, iface string) (fd int, err error) {
	if namespace == "" {
		return packetSocket(iface)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread is in another namespace, and ends with this goroutine
		var ns *os.File
		if ns, err = os.Open("/run/netns/" + namespace); err != nil {
			return
		}
		defer ns.Close() //nolint:errcheck // it was only read
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			fd, err = packetSocket(iface)
		}
	}()
	<-done
	return fd, err
}

func packetSocket(iface string) (int, error) {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return 0, fmt.Errorf("find %s: %w", iface, err)
	}
	const ipv4 = unix.ETH_P_IP<<8 | unix.ETH_P_IP>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, ipv4&0xffff)
	if err != nil {
		return 0, fmt.Errorf("open packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
		// Frames that this machine sends come back to packet sockets; they are of no use here.
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4 & 0xffff, Ifindex: link.Index}),
	)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("set up packet socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}
