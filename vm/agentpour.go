package vm

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const (
	// pourLeast is from which size on a copy goes over the port of its own, in bytes: to set it up takes as long as
	// the agent needs for that much.
	pourLeast = 512 << 10
	// pourReady is how long the guest may take to be ready for it. Longer means that another copy has the port.
	pourReady = 10 * time.Second
)

//go:embed agentpour.sh
var pourScript []byte

// pour is fill for a file of known size, over a port of its own. It returns false before anything was read from src when
// that way cannot be had: the image has no such port, another copy uses it, or this user may not open it.
func (a *Agent) pour(ctx context.Context, src io.Reader, size int64, name string, progress func(int64)) (c Copied, ok bool, err error) {
	if size < pourLeast {
		return Copied{}, false, nil
	}
	state, err := a.conn.Domain(ctx, a.domain)
	if err != nil || state.Data == "" {
		return Copied{}, false, nil //nolint:nilerr // the agent's way tells
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", state.Data)
	if err != nil {
		return Copied{}, false, nil //nolint:nilerr // there is another way
	}
	defer conn.Close() //nolint:errcheck // all that was written is counted at the other end
	// Closing is what ends a read or a write that waits for the guest.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	word := rand.Text()
	pid, err := a.spawn(ctx, false, pourScript, "/bin/sh", "-s", DataPort, word, fmt.Sprint(size), name)
	if err != nil {
		return Copied{}, false, err
	}
	if !awaitWord(conn, word) {
		return Copied{}, false, nil // the script ends by itself: it has the port for a moment, or none
	}
	ended := make(chan error, 1)
	go func() {
		err := a.awaitScript(ctx, pid)
		if err != nil {
			cancel(err)
		}
		ended <- err
	}()
	sum := sha256.New()
	counted := &progressWriter{to: io.MultiWriter(conn, sum), tell: progress}
	n, err := io.CopyN(counted, src, size)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Copied{}, true, err
	}
	return Copied{Bytes: n, SHA256: hexOf(sum)}, true, <-ended
}

// awaitWord waits until the guest is ready for this very copy.
func awaitWord(conn net.Conn, word string) bool {
	if err := conn.SetReadDeadline(time.Now().Add(pourReady)); err != nil {
		return false
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "ready "+word {
			return true
		}
	}
	return false
}

// awaitScript waits for the end of the script that receives a copy.
func (a *Agent) awaitScript(ctx context.Context, pid int) error {
	for {
		if err := pause(ctx, pollLast); err != nil {
			return err
		}
		s, err := a.status(ctx, pid)
		switch {
		case err != nil:
			return err
		case s.Exited && s.Code != 0:
			return &AgentError{Command: "guest-exec", Message: "the file cannot be written, most often for want of room", Err: errPour}
		case s.Exited:
			return nil
		}
	}
}

// errPour is a copy that the guest did not take.
var errPour = errors.New("the guest stopped to take the copy")

// progressWriter counts what passes.
type progressWriter struct {
	to   io.Writer
	tell func(int64)
	n    int64
}

// Write passes on.
func (w *progressWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.n += int64(n)
	tell(w.tell, w.n)
	return n, err
}
