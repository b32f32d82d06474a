package vm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// lastPacket is a connection that is over for its reader with the packet that ends a stream. libvirtd may send more: the end
// and then an error, or an answer to our own farewell. go-libvirt has nobody left who takes such a packet, hands it over
// under the lock that the stream needs in order to end, and so waits for ever. Calls that return no stream are not touched.
type lastPacket struct {
	net.Conn

	packets *bufio.Reader
	packet  []byte // what the reader has not had yet of the present packet
	ended   bool
}

func newLastPacket(conn net.Conn) *lastPacket {
	return &lastPacket{Conn: conn, packets: bufio.NewReader(conn)}
}

// The head of a packet is seven big-endian words: the length of the whole, program, version, procedure, type, serial and
// status (virNetMessageHeader in libvirt's virnetprotocol.x).
const (
	headBytes  = 28
	headType   = 16
	headStatus = 24

	typeStream     = 3
	statusContinue = 2

	// largestPacket is libvirt's own limit (VIR_NET_MESSAGE_MAX).
	largestPacket = 32 << 20
)

// errPacket means that what the daemon sends is no packet.
var errPacket = errors.New("libvirt's packet has an impossible length")

// Read gives whole packets, piece by piece, and io.EOF after the stream's last one. One goroutine reads.
func (c *lastPacket) Read(p []byte) (int, error) {
	if len(c.packet) == 0 {
		if c.ended {
			return 0, io.EOF
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.packet)
	c.packet = c.packet[n:]
	return n, nil
}

// next reads a packet, and looks whether more can follow. Data that is empty is the end, as one of its ends.
func (c *lastPacket) next() error {
	head, err := c.packets.Peek(headBytes)
	if err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head)
	if length < headBytes || length > largestPacket {
		return errPacket
	}
	if binary.BigEndian.Uint32(head[headType:]) == typeStream {
		c.ended = binary.BigEndian.Uint32(head[headStatus:]) != statusContinue || length == headBytes
	}
	packet := make([]byte, length)
	if _, err := io.ReadFull(c.packets, packet); err != nil {
		return err
	}
	c.packet = packet
	return nil
}
