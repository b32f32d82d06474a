package vm

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/macgen"
)

// ErrIdentity means an identity that cannot be written as lines of text.
var ErrIdentity = errors.New("not a usable identity")

// Identity is who a guest is to be. Micro guests learn it after the boot, over
// a virtio-serial port, so that the same booted image serves for any guest.
type Identity struct {
	// Hostname is the guest's name, which it also sends in DHCP option 12.
	Hostname string
	// Seed is fresh randomness for the guest's generator.
	Seed []byte
	// Time is now; zero leaves the guest's clock alone.
	Time time.Time
	// MACs of the guest's cards, in order. The guest sets them itself.
	MACs []macgen.MAC
	// Files are put into the guest: at every boot of a guest that lives in memory,
	// at the first one of a guest with a disk.
	Files []File
}

// File is a file that a guest gets with its identity.
type File struct {
	Path    string // absolute, without control characters and colons
	Mode    uint32 // permission bits
	Content []byte
}

// lines is the identity on the wire: key=value lines, then "end".
func (id Identity) lines() ([]byte, error) {
	if id.Hostname == "" || strings.ContainsFunc(id.Hostname, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("hostname %q: %w", id.Hostname, ErrIdentity)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "hostname=%s\nseed=%s\n", id.Hostname, hex.EncodeToString(id.Seed))
	if !id.Time.IsZero() {
		fmt.Fprintf(&b, "time=%d\n", id.Time.Round(time.Second).Unix())
	}
	for i, mac := range id.MACs {
		fmt.Fprintf(&b, "mac%d=%s\n", i, mac)
	}
	for _, f := range id.Files {
		if !strings.HasPrefix(f.Path, "/") || strings.ContainsFunc(f.Path, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }) {
			return nil, fmt.Errorf("file %q: %w", f.Path, ErrIdentity)
		}
		// The colon at the end keeps the guest's shell from eating the last "=".
		fmt.Fprintf(&b, "file=%04o:%s:%s:\n", f.Mode, f.Path, base64.StdEncoding.EncodeToString(f.Content))
	}
	b.WriteString("end\n")
	return []byte(b.String()), nil
}

// Identify hands a running guest its identity and waits for the guest's "ok".
// The guest may ask before or after: QEMU holds the lines back until it opens
// the port. The connection stays open until then, because a guest that reads
// the port while nobody is connected sees end of file. Before it is called
// again for the guest's next boot, see AwaitClosed. Errors: ErrNotFound, ErrForeign,
// ErrNotRunning, ErrIdentity; io.ErrUnexpectedEOF when the guest stops meanwhile.
func (c *Conn) Identify(ctx context.Context, name string, id Identity) error {
	text, err := id.lines()
	if err != nil {
		return fmt.Errorf("identify %q: %w", name, err)
	}
	s, err := c.Domain(ctx, name)
	switch {
	case err != nil:
		return fmt.Errorf("identify %q: %w", name, err)
	case !s.Owned:
		return fmt.Errorf("identify %q: %w", name, &ForeignError{Domain: name})
	case !s.Run.Active() || s.Channel == "":
		return fmt.Errorf("identify %q: %w", name, ErrNotRunning)
	}
	if err := deliver(ctx, s.Channel, text, identified); err != nil {
		return fmt.Errorf("identify %q: %w", name, err)
	}
	return nil
}

// How long, and how often, AwaitClosed looks. QEMU tells of a port at most once a second (VSERPORT_CHANGE in
// monitor/monitor.c), so that is when the guest's closing it is known at the earliest.
const (
	closeLimit = 10 * time.Second
	closePoll  = time.Second
)

// AwaitClosed returns when a guest that has its identity has closed the port, or does not run any more. What is sent
// before that would go to the program that has just read its identity, and be lost for the guest's next boot.
func (c *Conn) AwaitClosed(ctx context.Context, name string) {
	for deadline := time.Now().Add(closeLimit); time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(closePoll):
		}
		s, err := c.Domain(ctx, name)
		if err != nil || !s.Run.Active() || !s.ChannelOpen {
			return // whoever calls Identify again is told what is wrong
		}
	}
}

// What a guest answers to its identity, and to being told to be a template.
const (
	identified = "ok"
	parked     = "parked"
)

// errAnswer means a guest that has taken one for the other: it comes from an image that knows nothing of templates.
var errAnswer = errors.New("the image was built by an earlier kvmlab: kvmlab image build micro")

// deliver writes text to the UNIX socket at path and waits for the answer.
func deliver(ctx context.Context, path string, text []byte, answer string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	// Closing is what ends a read or a write that waits for the guest.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	err = exchange(conn, text, answer)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// exchange is one delivery on a connected socket.
func exchange(conn io.ReadWriter, text []byte, answer string) error {
	if _, err := conn.Write(text); err != nil {
		return err
	}
	replies := bufio.NewScanner(conn)
	for replies.Scan() {
		switch strings.TrimSpace(replies.Text()) {
		case answer:
			return nil
		case identified:
			return errAnswer
		}
		// Anything else is noise from an earlier boot.
	}
	if err := replies.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
