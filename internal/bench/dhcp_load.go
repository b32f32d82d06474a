package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// giveUp is how long a client waits for an answer before the generator goes on with another.
const giveUp = time.Second

// load is a closed loop of clients: each slot takes a client through DISCOVER, OFFER, REQUEST, ACK and then goes on with
// the next client, so that always as many exchanges are under way as there are slots.
type load struct {
	fd       int
	clients  uint32 // how many there are; they take turns
	next     uint32
	seq      uint32
	slots    []exchange
	discover []byte
	request  []byte
	result   loadResult
}

// exchange is one slot.
type exchange struct {
	client  uint32
	xid     uint32
	began   time.Time
	waiting uint32 // for typeOffer or typeAck
}

// loadResult is what a run has seen.
type loadResult struct {
	done    int
	lost    int
	elapsed time.Duration
	times   samples // of whole exchanges, in seconds
}

// rate is exchanges per second.
func (r loadResult) rate() float64 { return float64(r.done) / r.elapsed.Seconds() }

// runLoad runs the loop for a time, or until each of the clients has been through once when all is true.
func runLoad(ctx context.Context, fd int, clients, outstanding int, limit time.Duration, all bool) (loadResult, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := &load{
		fd: fd, clients: uint32(clients), slots: make([]exchange, outstanding),
		discover: discoverFrame(), request: requestFrame(), seq: uint32(time.Now().UnixNano()) >> 8,
	}
	began := time.Now()
	for i := range l.slots {
		if err := l.begin(i); err != nil {
			return l.result, err
		}
	}
	buf := make([]byte, 2048)
	for check := began; ; {
		now, err := l.step(buf)
		if err != nil {
			return l.result, err
		}
		if now.Sub(check) > 100*time.Millisecond {
			check = now
			if err := errors.Join(l.expire(now), ctx.Err()); err != nil {
				return l.result, err
			}
		}
		if now.Sub(began) > limit || all && l.result.done >= clients {
			l.result.elapsed = now.Sub(began)
			return l.result, nil
		}
	}
}

// step takes the next frame, if one comes within the socket's timeout.
func (l *load) step(buf []byte) (now time.Time, err error) {
	n, err := unix.Read(l.fd, buf)
	now = time.Now()
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return now, nil
	case err != nil:
		return now, fmt.Errorf("receive: %w", err)
	}
	return now, l.take(buf[:n], now)
}

// begin sends the next client's DISCOVER from a slot. The slot is the low octet of the xid.
func (l *load) begin(slot int) error {
	e := &l.slots[slot]
	l.seq++
	e.client, e.xid, e.waiting = l.next%l.clients, l.seq<<8|uint32(slot), typeOffer
	l.next++
	address(l.discover, e.client, e.xid)
	e.began = time.Now()
	return l.send(l.discover)
}

func (l *load) send(frame []byte) error {
	for {
		_, err := unix.Write(l.fd, frame)
		if err == nil || errors.Is(err, unix.ENOBUFS) {
			return nil // a full queue is a lost packet
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("send: %w", err)
		}
	}
}

// take goes on with the exchange that a frame belongs to.
func (l *load) take(frame []byte, now time.Time) error {
	a, ok := parseAnswer(frame)
	slot := int(a.xid & 0xff)
	if !ok || slot >= len(l.slots) || l.slots[slot].xid != a.xid || l.slots[slot].waiting != a.kind {
		return nil
	}
	e := &l.slots[slot]
	if a.kind == typeOffer {
		e.waiting = typeAck
		address(l.request, e.client, e.xid)
		copy(l.request[requestAddressAt:], a.yiaddr[:])
		copy(l.request[requestServerAt:], a.server[:])
		return l.send(l.request)
	}
	l.result.done++
	l.result.times.add(now.Sub(e.began).Seconds())
	return l.begin(slot)
}

// expire gives up on exchanges that take too long.
func (l *load) expire(now time.Time) error {
	for i := range l.slots {
		if now.Sub(l.slots[i].began) > giveUp {
			l.result.lost++
			if err := l.begin(i); err != nil {
				return err
			}
		}
	}
	return nil
}

const echoCommand = "echo-server"

// echoServer answers every DISCOVER and REQUEST at once, from nothing but the message itself: the most that this
// machine, its veth and the generator can do.
func echoServer(args []string) error {
	if len(args) != 1 {
		return errors.New("echo-server INTERFACE")
	}
	fd, err := openWire("", args[0])
	if err != nil {
		return err
	}
	buf := make([]byte, 2048)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		f := buf[:n]
		if n < frameSize || binary.BigEndian.Uint16(f[udpAt+2:]) != 67 {
			continue
		}
		echo(f)
		if _, err := unix.Write(fd, f); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("send: %w", err)
		}
	}
}

// echo turns a request into its answer. The address is the client's number in 10.64.0.0/15.
func echo(f []byte) {
	request := f[optionsAt+2] == 3
	copy(f[0:6], []byte{255, 255, 255, 255, 255, 255})
	binary.BigEndian.PutUint16(f[udpAt:], 67)
	binary.BigEndian.PutUint16(f[udpAt+2:], 68)
	f[dhcpAt] = 2
	binary.BigEndian.PutUint32(f[yiaddrAt:], 10<<24|64<<16|(10+binary.BigEndian.Uint32(f[chaddrAt+2:]))&0x1ffff)
	kind := byte(typeOffer)
	if request {
		kind = typeAck
	}
	copy(f[optionsAt:], []byte{53, 1, kind, 54, 4, 10, 64, 0, 1, 255})
}
