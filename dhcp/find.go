package dhcp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// FindOptions say where FindServers asks.
type FindOptions struct {
	Interface string        // the link to ask on
	NetNS     string        // as in Options
	Wait      time.Duration // how long OFFERs are listened for
	// MAC is the client's hardware address in the DISCOVER; zero is a random one that begins with 02.
	MAC HWAddr
	// Each, when not nil, is called with every OFFER as soon as it has come.
	Each func(Found)
}

// Found is an OFFER that FindServers heard.
type Found struct {
	Server     netip.Addr    // option 54; the packet's source when the server sent none
	ServerMAC  HWAddr        // who sent the frame: the server, or a relay
	Address    netip.Addr    // what it offers (yiaddr)
	Lease      time.Duration // option 51; zero when absent
	NextServer netip.Addr    // siaddr, not valid when zero
	BootFile   string        // file, when it holds no options
	Options    []Option      // in the order of the message, without 53 and 54
	After      time.Duration // since the DISCOVER left
}

// FindServers asks who serves DHCP on a link: it sends one DISCOVER and returns every OFFER that comes until
// Options.Wait is over or ctx is done. It sends no REQUEST, so no address is taken; a server holds what it offers for
// a while. The broadcast flag is set, because nobody owns the address that a unicast OFFER would go to.
func FindServers(ctx context.Context, opts FindOptions) (found []Found, err error) {
	f := finder{opts: opts}
	if f.opts.MAC.IsZero() {
		mac := [6]byte{0x02}
		rand.Read(mac[1:]) // never fails since Go 1.24
		f.opts.MAC = Ethernet(mac)
	}
	var xid [4]byte
	rand.Read(xid[:])
	f.xid = binary.BigEndian.Uint32(xid[:])
	if err := f.open(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.file.Close()) }()
	stop := context.AfterFunc(ctx, func() { _ = f.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	sent := time.Now()
	if ctx.Err() == nil {
		if err := f.file.SetReadDeadline(sent.Add(opts.Wait)); err != nil {
			return nil, fmt.Errorf("listen for OFFERs on %q: %w", opts.Interface, err)
		}
	}
	if err := f.send(); err != nil {
		return nil, fmt.Errorf("send DISCOVER on %q: %w", opts.Interface, err)
	}
	return f.receive(sent)
}

// finder is one run of FindServers.
type finder struct {
	opts  FindOptions
	xid   uint32
	index int
	file  *os.File
	io    syscall.RawConn
}

// open opens the socket, in the network namespace if its path is given (see openPorts).
func (f *finder) open() (err error) {
	if f.opts.NetNS == "" {
		return f.openHere()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = enterNamespace(f.opts.NetNS); err == nil {
			err = f.openHere()
		}
	}()
	<-done
	return err
}

func (f *finder) openHere() error {
	link, err := net.InterfaceByName(f.opts.Interface)
	if err != nil {
		return fmt.Errorf("find interface %q: %w", f.opts.Interface, err)
	}
	f.index = link.Index
	if f.file, f.io, err = openPacket(link.Index, unix.ETH_P_IP, replyFilter()); err != nil {
		return fmt.Errorf("listen for OFFERs on %q: %w", f.opts.Interface, err)
	}
	// Some servers (Kea, even with the broadcast flag set) send to the client's hardware address, which is not the
	// interface's own.
	var memberErr error
	err = f.io.Control(func(fd uintptr) {
		memberErr = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(f.index), Type: unix.PACKET_MR_PROMISC})
	})
	if err := errors.Join(err, os.NewSyscallError("setsockopt PACKET_ADD_MEMBERSHIP", memberErr)); err != nil {
		return errors.Join(fmt.Errorf("listen for OFFERs on %q: %w", f.opts.Interface, err), f.file.Close())
	}
	return nil
}

// askedFor is the parameter request list of the DISCOVER: what is worth showing.
var askedFor = []byte{
	OptSubnetMask, OptClasslessRoutes, OptRouter, OptDNS, OptHostname, OptDomainName, 26, 28, OptStaticRoutes, 42,
	OptRenewalTime, OptRebindingTime, 66, 67, 100, 101, OptIPv6OnlyPref, 114, 119, 150, 252,
}

func (f *finder) send() error {
	discover := Draft{
		Type: Discover, XID: f.xid, Broadcast: true, CHAddr: f.opts.MAC,
		Options: []Option{{OptMaxMessageSize, binary.BigEndian.AppendUint16(nil, 1500)}, {OptParameterList, askedFor}},
	}
	frame := discover.AppendPacket(nil, netip.AddrPortFrom(netip.IPv4Unspecified(), ClientPort), ToServers())
	to := unix.SockaddrLinklayer{
		Protocol: htons(unix.ETH_P_IP), Ifindex: f.index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255},
	}
	var sendErr error
	err := f.io.Write(func(fd uintptr) bool {
		sendErr = unix.Sendto(int(fd), frame, 0, &to)
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	return errors.Join(err, os.NewSyscallError("sendto", sendErr))
}

func (f *finder) receive(sent time.Time) (found []Found, err error) {
	in := newInbox()
	var m Message
	for {
		n, err := in.receive(f.io)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return found, nil
		case err != nil:
			return found, fmt.Errorf("listen for OFFERs on %q: %w", f.opts.Interface, err)
		}
		for i := range n {
			b, _ := in.packet(i)
			d, err := parseDatagram(b, in.aux(i).status&unix.TP_STATUS_CSUMNOTREADY != 0, ClientPort)
			if err != nil || m.Parse(d.payload) != nil || m.Op != opReply || m.XID != f.xid || m.Type != Offer {
				continue
			}
			one := offerOf(&m, d.src)
			one.ServerMAC, _ = in.sender(i)
			one.After = time.Since(sent)
			found = append(found, one)
			if f.opts.Each != nil {
				f.opts.Each(one)
			}
		}
	}
}

// offerOf copies what an OFFER says.
func offerOf(m *Message, src netip.Addr) Found {
	f := Found{Server: m.Address(OptServerID), Address: m.YIAddr}
	if !f.Server.IsValid() {
		f.Server = src
	}
	if toIP4(m.SIAddr) != 0 {
		f.NextServer = m.SIAddr
	}
	if s, ok := m.seconds(OptLeaseTime); ok {
		f.Lease = time.Duration(s) * time.Second
	}
	if file, _, _ := bytes.Cut(m.File, []byte{0}); len(file) > 0 {
		f.BootFile = cleanText(file)
	}
	for _, code := range m.Codes(nil) {
		if code == OptMessageType || code == OptServerID || code == OptOverload {
			continue
		}
		f.Options = append(f.Options, Option{code, append([]byte{}, m.Option(code)...)})
	}
	return f
}

// replyFilter passes UDP datagrams to port 68, except those that this machine sends.
func replyFilter() []bpf.Instruction {
	return datagramFilter(ClientPort, bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING})
}
