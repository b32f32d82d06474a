package lab

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/macgen"
)

// Stream is an endless sequence of bytes that is the same for the same key and words, and tells nothing about those for
// others: HMAC-SHA-256 (RFC 2104) of a counter.
func Stream(key string, words ...string) io.Reader {
	inner := hmac.New(sha256.New, []byte(key))
	for _, word := range words {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(word)))
		inner.Write(length[:])
		inner.Write([]byte(word))
	}
	return &stream{key: inner.Sum(nil)}
}

type stream struct {
	key     []byte
	counter uint64
	rest    []byte
}

// Read fills p; it never fails.
func (s *stream) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if len(s.rest) == 0 {
			block := hmac.New(sha256.New, s.key)
			var count [8]byte
			binary.BigEndian.PutUint64(count[:], s.counter)
			s.counter++
			block.Write(count[:])
			s.rest = block.Sum(nil)
		}
		copied := copy(p[n:], s.rest)
		n, s.rest = n+copied, s.rest[copied:]
	}
	return len(p), nil
}

// below draws a number from 0 to n-1. The bias of the remainder is below n / 2^64.
func below(random io.Reader, n uint64) uint64 {
	var b [8]byte
	_, _ = io.ReadFull(random, b[:]) // a stream never fails
	return binary.BigEndian.Uint64(b[:]) % n
}

// Individualise gives a lab numbers of its own: the subnet of every bridge, the place of its pools in it, the lease time
// and the MAC addresses. They come from random, a [Stream], and so are the same every time for the same student. All
// else is as in the lab file: each subnet keeps its length, each pool its size, each address its meaning.
//
// A lab whose MAC addresses are kept from before gets its own all the same: they are the same ones.
func Individualise(l *Lab, random io.Reader) {
	used := map[netip.Prefix]bool{}
	for i := range l.Bridges {
		b := &l.Bridges[i]
		if b.Address.IsValid() && b.Address.Bits() >= 16 {
			individualBridge(b, random, used)
		}
	}
	for g := range l.Guests {
		for i := range l.Guests[g].NICs {
			nic := &l.Guests[g].NICs[i]
			was := nic.MAC
			var mac macgen.MAC
			_, _ = io.ReadFull(random, mac[:]) // a stream never fails
			mac[0] = 0x02                      // a station's, given locally
			nic.MAC = mac
			for j := range l.Bridges {
				moveReservation(l.Bridges[j].DHCP, was, mac)
			}
		}
	}
}

func moveReservation(d *DHCP, was, mac macgen.MAC) {
	if d == nil {
		return
	}
	for i := range d.Reservations {
		if d.Reservations[i].MAC == was {
			d.Reservations[i].MAC = mac
		}
	}
}

// individualBridge moves a bridge to another subnet of 10.0.0.0/8.
func individualBridge(b *Bridge, random io.Reader, used map[netip.Prefix]bool) {
	old := b.Address.Masked()
	subnet := old
	for used[subnet] || subnet == old {
		base := addrNumber(netip.AddrFrom4([4]byte{10}))
		host := 32 - old.Bits()
		subnet = netip.PrefixFrom(addrFrom(base+uint32(below(random, 1<<(24-host)))<<host), old.Bits())
	}
	used[subnet] = true
	move := func(a netip.Addr) netip.Addr {
		if !a.IsValid() || !old.Contains(a) {
			return a
		}
		return addrFrom(addrNumber(a) - addrNumber(old.Addr()) + addrNumber(subnet.Addr()))
	}
	b.Address = netip.PrefixFrom(move(b.Address.Addr()), old.Bits())
	d := b.DHCP
	if d == nil {
		return
	}
	d.Router = move(d.Router)
	for i := range d.DNS {
		d.DNS[i] = move(d.DNS[i])
	}
	for i := range d.Reservations {
		d.Reservations[i].Address = move(d.Reservations[i].Address)
	}
	for i, r := range d.Ranges {
		d.Ranges[i] = Range{First: move(r.First), Last: move(r.Last)}
	}
	if len(d.Ranges) == 1 && len(d.Reservations) == 0 {
		d.Ranges[0] = shifted(d.Ranges[0], b.Address, random)
	}
	d.Lease = max(minLease, d.Lease/2+d.Lease*time.Duration(below(random, 11))/10).Truncate(time.Second)
}

// shifted puts a pool somewhere in the second half of its subnet, if it fits there: away from the addresses that
// people give by hand.
func shifted(r Range, address netip.Prefix, random io.Reader) Range {
	size := uint32(1) << (32 - address.Bits())
	count, half := uint32(r.Count()), size/2
	if count+1 >= half {
		return r
	}
	start := addrNumber(address.Masked().Addr()) + half + uint32(below(random, uint64(half-count-1)))
	moved := Range{First: addrFrom(start), Last: addrFrom(start + count - 1)}
	if moved.Contains(address.Addr()) {
		return r
	}
	return moved
}
