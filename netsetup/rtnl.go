package netsetup

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// conn is a rtnetlink socket that puts several requests into one send. The kernel works through them
// one after the other inside sendto(2), which no signal interrupts: after SIGKILL either all of them
// have been looked at or none. It does not stop at one that fails, so no request may do harm when the
// one before it failed.
type conn struct {
	mu  sync.Mutex
	fd  int
	seq uint32
	buf [64 << 10]byte // Twice what the kernel puts into one part of a dump.
}

// answer is what came back for one request.
type answer struct {
	messages [][]byte // Bodies, without the netlink header.
	err      error
}

// dial opens a socket in the network namespace of the calling thread.
func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a rtnetlink socket: %w", err)
	}
	c := &conn{fd: fd}
	// The kernel answers before sendto returns; the time limit only guards against a kernel that does not.
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up a rtnetlink socket: %w", err), c.close())
	}
	return c, nil
}

func (c *conn) close() error { return unix.Close(c.fd) }

// exchange sends the requests in one message and returns one answer for each. At most one of them may
// be a dump.
func (c *conn) exchange(requests ...*nl.NetlinkRequest) ([]answer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.seq + 1
	var packet []byte
	for _, request := range requests {
		c.seq++
		request.Seq = c.seq
		request.Flags |= unix.NLM_F_ACK
		packet = append(packet, request.Serialize()...) // A multiple of 4 bytes, as every attribute is padded.
	}
	if err := unix.Sendto(c.fd, packet, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send to rtnetlink: %w", err)
	}
	answers := make([]answer, len(requests))
	for open := len(requests); open > 0; {
		messages, err := c.receive()
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			i := m.Header.Seq - first
			if i < uint32(len(answers)) && answers[i].take(m) { // Else left over from an exchange that broke off.
				open--
			}
		}
	}
	return answers, nil
}

func (c *conn) receive() ([]syscall.NetlinkMessage, error) {
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buf[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receive from rtnetlink: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(c.buf[:n])
		if err != nil {
			return nil, fmt.Errorf("read a rtnetlink message: %w", err)
		}
		return messages, nil
	}
}

// take adds a message to the answer and reports whether it was the last.
func (a *answer) take(m syscall.NetlinkMessage) (last bool) {
	if m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 {
		a.err = netlink.ErrDumpInterrupted
	}
	if m.Header.Type != unix.NLMSG_ERROR && m.Header.Type != unix.NLMSG_DONE {
		a.messages = append(a.messages, bytes.Clone(m.Data)) // The buffer is used again.
		return false
	}
	// Both carry an int: zero, or a negative error number.
	if len(m.Data) >= 4 {
		if status := int32(nl.NativeEndian().Uint32(m.Data)); status < 0 {
			a.err = syscall.Errno(-status)
		}
	}
	return true
}

// do is exchange for requests that all have to succeed. It returns the answers to each and the first
// error.
func (c *conn) do(requests ...*nl.NetlinkRequest) ([]answer, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	answers, err := c.exchange(requests...)
	for i := 0; err == nil && i < len(answers); i++ {
		err = answers[i].err
	}
	return answers, classify(err)
}

// dump performs a dump and repeats it when a change in the meantime made it inconsistent.
func (c *conn) dump(request *nl.NetlinkRequest) ([][]byte, error) {
	return retryDump(func() ([][]byte, error) {
		answers, err := c.do(request)
		if err != nil {
			return nil, err
		}
		return answers[0].messages, nil
	})
}

// retryDump repeats an interrupted dump. Large namespaces that change all the time could need a few
// attempts; after this many the error goes to the caller.
func retryDump[T any](dump func() ([]T, error)) (list []T, err error) {
	const attempts = 32
	for range attempts {
		if list, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return nil, err
}
