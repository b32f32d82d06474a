package station

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/kvmlab/kvmlab/macgen"
)

// What frames are of: EtherTypes of IEEE 802, and the sizes and places of RFC 894, 826, 791 and 792.
const (
	typeIPv4   = 0x0800
	typeARP    = 0x0806
	headerSize = 14
	arpSize    = 28
	arpRequest = 1
	arpReply   = 2
	icmp       = 1
	echoReply  = 0
	echo       = 8
	maxFrame   = 64 << 10
)

var everybody = macgen.MAC{255, 255, 255, 255, 255, 255}

// frame is what came in.
type frame struct {
	from   macgen.MAC
	kind   uint16
	packet []byte
}

// stage is a station's place on the wire.
type stage struct {
	card io.ReadWriteCloser
	part Part
	mac  macgen.MAC
}

// listen passes on the frames that are for the station, until its card is closed, or nobody wants them any more.
func (s *stage) listen(frames chan<- frame, done <-chan struct{}) {
	buffer := make([]byte, maxFrame)
	for {
		n, err := s.card.Read(buffer)
		if err != nil {
			return
		}
		if n < headerSize {
			continue
		}
		to, from := macgen.MAC(buffer[:6]), macgen.MAC(buffer[6:12])
		if to != s.mac && to != everybody || from == s.mac {
			continue
		}
		f := frame{from, binary.BigEndian.Uint16(buffer[12:]), append([]byte{}, buffer[headerSize:n]...)}
		select {
		case frames <- f:
		case <-done:
			return
		}
	}
}

// send sends one frame.
func (s *stage) send(to macgen.MAC, kind uint16, packet []byte) error {
	out := append(make([]byte, 0, headerSize+len(packet)), to[:]...)
	out = append(out, s.mac[:]...)
	out = binary.BigEndian.AppendUint16(out, kind)
	_, err := s.card.Write(append(out, packet...))
	return err
}

// gone reports whether an error means that the tap is no more, or down: somebody took the lab down, or pulled the cable.
func gone(err error) bool {
	return errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADFD) || errors.Is(err, unix.EIO)
}

// answer does what every machine with an address does: it says that it has it (ARP), and answers an echo (ping).
func (s *stage) answer(f frame) error {
	address := s.part.Address.Addr()
	switch {
	case !address.IsValid():
	case f.kind == typeARP && len(f.packet) >= arpSize && asksFor(f.packet, address):
		return s.send(f.from, typeARP, s.arpReply(f.packet))
	case f.kind == typeIPv4 && isEcho(f.packet, address):
		return s.send(f.from, typeIPv4, echoed(f.packet))
	}
	return nil
}

// asksFor reports whether an ARP packet for IPv4 over Ethernet asks who has the address (RFC 826).
func asksFor(b []byte, address netip.Addr) bool {
	return [8]byte(b[:8]) == [8]byte{0, 1, 0x08, 0, 6, 4, 0, arpRequest} && netip.AddrFrom4([4]byte(b[24:28])) == address
}

// arpReply turns a request around.
func (s *stage) arpReply(request []byte) []byte {
	out := append([]byte{}, request[:7]...)
	out = append(out, arpReply)
	out = append(append(out, s.mac[:]...), request[24:28]...)
	return append(append(out, request[8:14]...), request[14:18]...)
}

// isEcho reports whether a whole IPv4 packet is an ICMP echo to the address.
func isEcho(b []byte, address netip.Addr) bool {
	if len(b) < 20 || b[0]>>4 != 4 || b[9] != icmp || netip.AddrFrom4([4]byte(b[16:20])) != address {
		return false
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	return head >= 20 && total >= head+8 && total <= len(b) && binary.BigEndian.Uint16(b[6:])&0x3fff == 0 && b[head] == echo
}

// echoed is the answer to an echo: the addresses change places, which leaves the IP checksum as it is, and the type falls
// from 8 to 0, by which the checksum of ICMP rises (RFC 1624).
func echoed(b []byte) []byte {
	out := append([]byte{}, b[:binary.BigEndian.Uint16(b[2:])]...)
	copy(out[12:16], b[16:20])
	copy(out[16:20], b[12:16])
	message := out[int(b[0]&15)*4:]
	message[0] = echoReply
	check := uint32(binary.BigEndian.Uint16(message[2:])) + echo<<8
	binary.BigEndian.PutUint16(message[2:], uint16(check+check>>16))
	return out
}
