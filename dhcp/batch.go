package dhcp

import (
	"encoding/binary"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize  = 64
	packetSize = 2048 // larger than any frame of a 1500-octet link
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// inbox receives many packets with one system call. Its memory is used again.
type inbox struct {
	hdrs    [batchSize]mmsghdr
	iovs    [batchSize]unix.Iovec
	from    [batchSize]unix.RawSockaddrLinklayer
	control [batchSize][64]byte
	data    [batchSize][packetSize]byte
}

// auxdata is struct tpacket_auxdata of packet(7), as far as it is needed.
type auxdata struct {
	status  uint32
	vlanTCI uint16
}

func newInbox() *inbox {
	in := &inbox{}
	for i := range in.hdrs {
		in.iovs[i].Base = &in.data[i][0]
		in.iovs[i].SetLen(packetSize)
		h := &in.hdrs[i].hdr
		h.Iov, h.Iovlen = &in.iovs[i], 1
	}
	return in
}

// receive waits for packets and returns how many came.
func (in *inbox) receive(c syscall.RawConn) (n int, err error) {
	in.clear()
	var errno syscall.Errno
	err = c.Read(func(fd uintptr) bool {
		n, errno = in.recvmmsg(fd)
		return errno != unix.EAGAIN && errno != unix.EINTR
	})
	if err == nil && errno != 0 {
		return 0, os.NewSyscallError("recvmmsg", errno)
	}
	return n, err
}

// poll returns how many packets are there, without waiting. Somebody else may be waiting for them.
func (in *inbox) poll(c syscall.RawConn) (n int) {
	in.clear()
	err := c.Control(func(fd uintptr) {
		var errno syscall.Errno
		if n, errno = in.recvmmsg(fd); errno != 0 {
			n = 0
		}
	})
	if err != nil {
		return 0
	}
	return n
}

func (in *inbox) recvmmsg(fd uintptr) (int, syscall.Errno) {
	r, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.hdrs[0])), batchSize,
		unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

// clear makes the headers ready to be filled in.
func (in *inbox) clear() {
	for i := range in.hdrs {
		h := &in.hdrs[i].hdr
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&in.from[i])), uint32(unsafe.Sizeof(in.from[i]))
		h.Control = &in.control[i][0]
		h.SetControllen(len(in.control[i]))
		h.Flags = 0
	}
}

// packet is the i-th packet of the last batch. whole is false when it was larger than the memory for it.
func (in *inbox) packet(i int) (b []byte, whole bool) {
	return in.data[i][:min(in.hdrs[i].len, packetSize)], in.hdrs[i].hdr.Flags&unix.MSG_TRUNC == 0
}

// sender is the link-layer source of the i-th packet, and the interface it came in on.
func (in *inbox) sender(i int) (HWAddr, int) {
	sa := &in.from[i]
	if sa.Halen > 8 {
		return HWAddr{}, int(sa.Ifindex)
	}
	return newHWAddr(uint8(sa.Hatype), sa.Addr[:sa.Halen]), int(sa.Ifindex)
}

// aux is what the kernel says beside the i-th packet.
func (in *inbox) aux(i int) (a auxdata) {
	b := in.control[i][:min(int(in.hdrs[i].hdr.Controllen), len(in.control[i]))]
	const head = unix.SizeofCmsghdr
	if len(b) < head+20 {
		return a
	}
	level, kind := binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
	if level == unix.SOL_PACKET && kind == unix.PACKET_AUXDATA {
		a.status = binary.NativeEndian.Uint32(b[head:])
		a.vlanTCI = binary.NativeEndian.Uint16(b[head+16:])
	}
	return a
}

// outbox sends many packets with one system call.
type outbox struct {
	hdrs   [batchSize]mmsghdr
	iovs   [batchSize]unix.Iovec
	links  [batchSize]unix.RawSockaddrLinklayer
	routed [batchSize]unix.RawSockaddrInet4
	n      int
}

func (out *outbox) full() bool { return out.n == batchSize }

// add queues an IP packet that is to leave by a port: to a link-layer destination, or where the kernel's routes lead. What
// is flushed together goes by one kind of way. The memory of b must stay as it is until flush.
func (out *outbox) add(p *port, to Destination, b []byte) {
	i := out.n
	out.n++
	out.iovs[i].Base = &b[0]
	out.iovs[i].SetLen(len(b))
	h := &out.hdrs[i].hdr
	h.Iov, h.Iovlen = &out.iovs[i], 1
	if to.Link.IsZero() {
		sa := &out.routed[i]
		*sa = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.IP.As4()}
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(sa)), uint32(unsafe.Sizeof(*sa))
		return
	}
	sa := &out.links[i]
	*sa = unix.RawSockaddrLinklayer{
		Family: unix.AF_PACKET, Protocol: htons(unix.ETH_P_IP), Ifindex: int32(p.index), Halen: 6,
	}
	copy(sa.Addr[:], to.Link.bytes[:6])
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(sa)), uint32(unsafe.Sizeof(*sa))
}

// flush sends what was added, and calls failed for each packet that the kernel refused.
func (out *outbox) flush(c syscall.RawConn, failed func(i int, err error)) {
	for sent := 0; sent < out.n; {
		n, err := sendmmsg(c, out.hdrs[sent:out.n])
		if err != nil {
			failed(sent, err) // the first of them is the one that was refused (sendmmsg(2))
			n = 1
		}
		sent += n
	}
	out.n = 0
}

// sendmmsg sends on a socket that blocks.
func sendmmsg(c syscall.RawConn, hdrs []mmsghdr) (n int, err error) {
	var errno syscall.Errno
	err = c.Control(func(fd uintptr) {
		var r uintptr
		for errno = unix.EINTR; errno == unix.EINTR; {
			r, _, errno = syscall.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&hdrs[0])), uintptr(len(hdrs)),
				0, 0, 0)
		}
		n = int(r)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("sendmmsg", errno)
	}
	return n, err
}
