package dhcp

import (
	"encoding/binary"
	"net/netip"
)

// ip4 is an IPv4 address as a number, which makes ranges and maps cheap. Zero is "no address".
type ip4 uint32

// toIP4 returns 0 for anything that is not an IPv4 address.
func toIP4(a netip.Addr) ip4 {
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return ip4(binary.BigEndian.Uint32(b[:]))
}

// addr returns the zero netip.Addr for "no address".
func (a ip4) addr() netip.Addr {
	if a == 0 {
		return netip.Addr{}
	}
	return netip.AddrFrom4(a.bytes())
}

func (a ip4) bytes() (b [4]byte) {
	binary.BigEndian.PutUint32(b[:], uint32(a))
	return b
}

const broadcastIP ip4 = 0xffff_ffff
