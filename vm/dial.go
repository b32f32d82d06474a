package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/digitalocean/go-libvirt"
)

const (
	// dialLimit bounds a socket's answer to the opening calls. A daemon that systemd starts on
	// demand needs up to two seconds, because it probes QEMU first.
	dialLimit = 10 * time.Second
	// callLimit bounds every other call. The longest that is not an error was seen where QEMU's user
	// cannot open /dev/kvm: libvirt then probes QEMU anew for each guest, for up to a minute.
	callLimit = 2 * time.Minute
	// idleLinks is how many unused connections are kept for the next calls.
	idleLinks = 4
)

// Conn speaks to one libvirt daemon. It is safe for use by several goroutines:
// each call in flight has a connection of its own, so that a call that hangs
// holds up no other, and dropping it takes no other with it.
type Conn struct {
	uri     libvirt.ConnectURI
	name    string // the URI as the caller gave it
	sockets []string

	// stall is how long a console's reader may let the guest wait, and deaf how long libvirt may take to answer on a
	// console's connection.
	stall, deaf time.Duration

	mu     sync.Mutex
	idle   []*link
	closed bool
}

// link is one connection to the daemon.
type link struct {
	rpc *libvirt.Libvirt
	raw net.Conn
	// abandoned means that a call was given up: its answer may still be under way.
	abandoned bool
}

// Dial finds the daemon behind a libvirt connection URI and opens a first
// connection. Empty is qemu:///system; qemu:///session and a socket parameter
// (qemu:///system?socket=/path) are understood; other hosts are ErrURI. The
// modular daemon's socket is tried first, then the monolithic one's, as libvirt's
// own clients do. Errors: ErrURI, ErrUnreachable (*UnreachableError), ErrDenied.
func Dial(ctx context.Context, uri string) (*Conn, error) {
	c, err := parseURI(uri, os.Getuid())
	if err != nil {
		return nil, err
	}
	l, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.release(l)
	return c, nil
}

// parseURI works out where the daemon listens for a user.
func parseURI(uri string, uid int) (*Conn, error) {
	if uri == "" {
		uri = string(libvirt.QEMUSystem)
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("connection URI %q: %w", uri, ErrURI)
	}
	local := u.Host == "" && (u.Scheme == "qemu" || u.Scheme == "qemu+unix")
	dir := ""
	switch {
	case local && u.Path == "/system":
		dir = "/run/libvirt"
	case local && u.Path == "/session":
		dir = filepath.Join("/run/user", strconv.Itoa(uid), "libvirt")
	default:
		return nil, fmt.Errorf("connection URI %q: %w", uri, ErrURI)
	}
	c := &Conn{
		uri:     libvirt.ConnectURI("qemu://" + u.Path),
		name:    uri,
		stall:   stallLimit,
		deaf:    deafLimit,
		sockets: []string{filepath.Join(dir, "virtqemud-sock"), filepath.Join(dir, "libvirt-sock")},
	}
	if socket := u.Query().Get("socket"); socket != "" {
		c.sockets = []string{socket}
	}
	return c, nil
}

// Close drops every unused connection; calls in flight end with theirs.
func (c *Conn) Close() error {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.closed = nil, true
	c.mu.Unlock()
	for _, l := range idle {
		l.drop()
	}
	return nil
}

// acquire gives a live connection to the caller alone.
func (c *Conn) acquire(ctx context.Context) (*link, error) {
	c.mu.Lock()
	closed := c.closed
	var live *link
	for live == nil && len(c.idle) > 0 {
		last := len(c.idle) - 1
		l := c.idle[last]
		c.idle = c.idle[:last]
		// A daemon that was restarted has closed its end: go-libvirt has noticed.
		if l.rpc.IsConnected() {
			live = l
		} else {
			l.drop()
		}
	}
	c.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if live != nil {
		return live, nil
	}
	return c.dial(ctx)
}

// release keeps a connection whose last call was answered.
func (c *Conn) release(l *link) {
	c.mu.Lock()
	keep := !c.closed && len(c.idle) < idleLinks
	if keep {
		c.idle = append(c.idle, l)
	}
	c.mu.Unlock()
	if !keep {
		l.drop()
	}
}

// dial tries the daemon's sockets in turn.
func (c *Conn) dial(ctx context.Context) (*link, error) {
	failure := &UnreachableError{URI: c.name}
	for _, socket := range c.sockets {
		l, err := dialSocket(ctx, socket, c.uri)
		if err == nil {
			return l, nil
		}
		if err = mapped(err); isAnswer(err) {
			return nil, fmt.Errorf("connect to %s at %s: %w", c.name, socket, err)
		}
		failure.Tried = append(failure.Tried, Try{Socket: socket, Err: err})
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failure
}

// dialSocket connects to one socket and opens the hypervisor on it.
func dialSocket(ctx context.Context, socket string, uri libvirt.ConnectURI) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialLimit, noAnswerError{dialLimit})
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	l := &link{rpc: libvirt.NewWithDialer(connected{newLastPacket(raw)}), raw: raw}
	if err := l.do(ctx, func(rpc *libvirt.Libvirt) error { return rpc.ConnectToURI(uri) }); err != nil {
		l.drop()
		return nil, err
	}
	return l, nil
}

// connected is a go-libvirt dialer for a connection that already exists.
type connected struct{ conn net.Conn }

// Dial returns the connection.
func (d connected) Dial() (net.Conn, error) { return d.conn, nil }

// do runs one libvirt call. When ctx ends first, the connection is dropped:
// that alone ends the call's goroutine, and what the daemon makes of the call
// is unknown.
func (l *link) do(ctx context.Context, call func(*libvirt.Libvirt) error) error {
	done := make(chan error, 1)
	go func() { done <- call(l.rpc) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		l.abandoned = true
		l.drop()
		return context.Cause(ctx)
	}
}

// drop closes the connection without the farewell that Disconnect would wait
// for. Closing twice is harmless, and a closed socket has nothing else to tell.
func (l *link) drop() { _ = l.raw.Close() }

// isAnswer reports whether an error is what a daemon said, as opposed to
// having found none.
func isAnswer(err error) bool {
	var said libvirt.Error
	return errors.As(err, &said)
}

// call runs fn with a connection to itself, under the caller's context and
// callLimit. Afterwards the connection serves the next call, unless it broke.
func (c *Conn) call(ctx context.Context, fn func(rpc *libvirt.Libvirt) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, callLimit, noAnswerError{callLimit})
	defer cancel()
	l, err := c.acquire(ctx)
	if err != nil {
		return err
	}
	err = l.do(ctx, fn)
	if l.abandoned {
		l.drop()
	} else {
		c.release(l)
	}
	return mapped(err)
}
