package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ErrDrained is returned by Source.Next once after Source.Wake, when every frame that had arrived has been returned.
var ErrDrained = errors.New("no frame is waiting")

// defaultBuffer is how many octets of frames the kernel keeps for a reader that is busy: a second of several thousand
// DHCP exchanges.
const defaultBuffer = 16 << 20

// maxFrame is the largest frame that a link can hand over: segmentation offload makes up to 64 KiB of one.
const maxFrame = 64<<10 + 256

// SourceOptions say what a Source reads.
type SourceOptions struct {
	Interface string  // a bridge shows what passes between its ports, too
	NetNS     string  // path of the network namespace of the link; "" is the calling thread's own
	Filter    *Filter // nil: every frame
	Buffer    int     // octets that the kernel keeps; 0: 16 MiB
}

// Source reads frames from a link, promiscuously, through an AF_PACKET socket (packet(7)). Next is for one goroutine;
// Wake, Counts and Close may be called from others.
type Source struct {
	name string
	mac  HardwareAddr
	file *os.File
	raw  syscall.RawConn

	buffer   []byte
	control  []byte
	wakes    atomic.Uint64 // how often Wake was called
	drained  atomic.Uint64 // that number, when the queue was last seen empty
	draining bool
	target   uint64
	waiting  uint64 // frames that are still to be returned before the drain is done
	taken    uint64 // frames that were returned

	closed atomic.Bool

	mu     sync.Mutex // guards counts
	counts Counts
}

// OpenSource opens the socket. From its return on nothing is missed that Next is quick enough for.
func OpenSource(opts SourceOptions) (s *Source, err error) {
	if opts.NetNS == "" {
		return openSource(opts)
	}
	done := make(chan struct{})
	go func() { // the thread is thrown away because it stays locked
		defer close(done)
		runtime.LockOSThread()
		if err = enterNamespace(opts.NetNS); err == nil {
			s, err = openSource(opts)
		}
	}()
	<-done
	return s, err
}

func enterNamespace(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return nil
}

func openSource(opts SourceOptions) (*Source, error) {
	link, err := net.InterfaceByName(opts.Interface)
	if err != nil {
		return nil, fmt.Errorf("find interface %q: %w", opts.Interface, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", opts.Interface, os.NewSyscallError("socket", err))
	}
	if err := setUp(fd, link.Index, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %q: %w", opts.Interface, err), unix.Close(fd))
	}
	s := &Source{
		name: opts.Interface, mac: HardwareAddr(link.HardwareAddr), file: os.NewFile(uintptr(fd), "packet:"+opts.Interface),
		buffer: make([]byte, maxFrame), control: make([]byte, 256),
	}
	if s.raw, err = s.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %q: %w", opts.Interface, err), s.file.Close())
	}
	return s, nil
}

// setUp prepares the socket. It is bound last, so that nothing unfiltered is ever queued.
func setUp(fd, index int, opts SourceOptions) error {
	if opts.Filter != nil {
		if err := attachFilter(fd, opts.Filter.raw); err != nil {
			return err
		}
	}
	size := opts.Buffer
	if size == 0 {
		size = defaultBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size) // without root what the system allows must do
	}
	membership := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	return errors.Join(
		os.NewSyscallError("setsockopt SO_TIMESTAMPNS", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)),
		os.NewSyscallError("setsockopt PACKET_AUXDATA", unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)),
		os.NewSyscallError("setsockopt PACKET_ADD_MEMBERSHIP",
			unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &membership)),
		os.NewSyscallError("bind",
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian16(unix.ETH_P_ALL), Ifindex: index})),
	)
}

func bigEndian16(v uint16) uint16 { return v<<8 | v>>8 }

func attachFilter(fd int, program []bpf.RawInstruction) error {
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER",
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog))
}

// Next waits for the next frame. It returns ErrDrained as Wake promises, and os.ErrClosed after Close.
func (s *Source) Next() (Frame, error) {
	for {
		if s.draining {
			f, err := s.drain()
			if !again(err) {
				return f, err
			}
			continue
		}
		f, err := s.receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := s.beginDrain(); err != nil {
				return Frame{}, err
			}
		case !again(err):
			return f, err
		}
	}
}

// beginDrain notes how many frames are in the queue. To go on until it is empty would not do: in a flood it never is.
func (s *Source) beginDrain() error {
	// First the deadline, then the look into the queue: a Wake in between wakes once more.
	s.target = s.wakes.Load()
	if err := s.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("read from %q: %w", s.name, err)
	}
	counts, err := s.Counts()
	if err != nil {
		return err
	}
	s.draining, s.waiting = true, counts.Received-counts.Dropped-s.taken
	return nil
}

// drain takes a frame that is there already, and ends the drain when those that were in the queue have been taken.
func (s *Source) drain() (Frame, error) {
	if s.waiting > 0 {
		f, err := s.receiveNow()
		if err == nil {
			s.waiting--
		}
		if !errors.Is(err, unix.EAGAIN) {
			return f, err
		}
	}
	s.draining = false
	s.drained.Store(s.target)
	return Frame{}, ErrDrained
}

// again tells the errors after which reading goes on: a signal, and a link that went down and may come up again.
func again(err error) bool { return errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) }

// receive waits for a frame.
func (s *Source) receive() (f Frame, err error) {
	var failed error
	err = s.raw.Read(func(fd uintptr) bool {
		f, failed = s.receiveFrom(int(fd))
		return !errors.Is(failed, unix.EAGAIN)
	})
	if err == nil {
		err = failed
	}
	return f, s.wrap(err)
}

// receiveNow takes a frame that is there already.
func (s *Source) receiveNow() (f Frame, err error) {
	var failed error
	err = s.raw.Control(func(fd uintptr) { f, failed = s.receiveFrom(int(fd)) })
	if err == nil {
		err = failed
	}
	return f, s.wrap(err)
}

func (s *Source) wrap(err error) error {
	if err == nil {
		return nil
	}
	if s.closed.Load() {
		err = os.ErrClosed
	}
	return fmt.Errorf("read from %q: %w", s.name, err)
}

func (s *Source) receiveFrom(fd int) (Frame, error) {
	// MSG_TRUNC makes the kernel tell the whole length, even if the buffer were too small.
	n, controlLen, _, _, err := unix.Recvmsg(fd, s.buffer, s.control, unix.MSG_TRUNC)
	if err != nil {
		return Frame{}, err
	}
	s.taken++
	f := Frame{Interface: s.name, Length: n}
	about := readControl(s.control[:controlLen])
	f.Time, f.Unsummed = about.time, about.unsummed
	f.Data = make([]byte, 0, min(n, len(s.buffer))+vlanSize)
	f.Data = append(f.Data, s.buffer[:min(n, len(s.buffer))]...)
	if about.vlan && len(f.Data) >= ethernetSize {
		f.Data = retag(f.Data, about)
		f.Length += vlanSize
	}
	return f, nil
}

// ancillary is what the kernel says about a frame beside its octets.
type ancillary struct {
	time     time.Time
	unsummed bool
	vlan     bool
	tpid     uint16
	tci      uint16
}

// auxDataSize is the size of struct tpacket_auxdata (linux/if_packet.h): four numbers of 32 bits, four of 16.
const auxDataSize = 20 // status, len, snaplen, mac and net (16 bits each), vlan_tci, vlan_tpid

func readControl(b []byte) ancillary {
	var a ancillary
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		messages = nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16:
			spec := (*unix.Timespec)(unsafe.Pointer(&m.Data[0])) // the kernel aligns control messages
			a.time = time.Unix(spec.Unix())
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= auxDataSize:
			status := binary.NativeEndian.Uint32(m.Data)
			a.unsummed = status&unix.TP_STATUS_CSUMNOTREADY != 0
			a.vlan = status&unix.TP_STATUS_VLAN_VALID != 0
			a.tci = binary.NativeEndian.Uint16(m.Data[16:])
			a.tpid = uint16(TypeVLAN)
			if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
				a.tpid = binary.NativeEndian.Uint16(m.Data[18:])
			}
		}
	}
	if a.time.IsZero() {
		a.time = time.Now()
	}
	return a
}

// retag puts a VLAN tag back where it was: the kernel takes it out of the frame and tells it apart.
func retag(b []byte, a ancillary) []byte {
	b = append(b, 0, 0, 0, 0)
	copy(b[12+vlanSize:], b[12:len(b)-vlanSize])
	binary.BigEndian.PutUint16(b[12:], a.tpid)
	binary.BigEndian.PutUint16(b[14:], a.tci)
	return b
}

// Wake makes Next return ErrDrained after the frames that have arrived. When Drained is not less than what Wake
// returned, all frames from before the Wake have been returned.
func (s *Source) Wake() (uint64, error) {
	n := s.wakes.Add(1)
	if err := s.file.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return n, fmt.Errorf("wake reader of %q: %w", s.name, err)
	}
	return n, nil
}

// Drained tells the newest Wake that is done.
func (s *Source) Drained() uint64 { return s.drained.Load() }

// Counts tells how many frames passed the filter so far, and how many of them the kernel dropped because Next was too
// slow (packet(7), PACKET_STATISTICS).
func (s *Source) Counts() (Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var (
		stats  *unix.TpacketStats
		failed error
	)
	err := s.raw.Control(func(fd uintptr) {
		stats, failed = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err := errors.Join(err, failed); err != nil {
		return s.counts, fmt.Errorf("count frames of %q: %w", s.name, err)
	}
	s.counts.Received += uint64(stats.Packets) // the kernel begins anew after each look
	s.counts.Dropped += uint64(stats.Drops)
	return s.counts, nil
}

// HardwareAddr is the link's own address, as it was when the source was opened.
func (s *Source) HardwareAddr() HardwareAddr { return s.mac }

// Close ends the capture; Next returns.
func (s *Source) Close() error {
	s.closed.Store(true)
	return s.file.Close()
}
