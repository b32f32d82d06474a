package vm

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// windowWrite bounds the passing on of a size: QEMU takes it at once, whether the guest listens or not.
const windowWrite = time.Second

// Window is the way by which a guest learns how large the terminal is that shows
// its console. A serial line has no such thing, so the size goes over a port of
// its own, where a small program in the guest reads it and sets it on the
// console: what is typed and printed there is not touched.
type Window struct {
	mu   sync.Mutex
	conn net.Conn
}

// Window opens that way. A guest whose image does not know of it takes no notice
// of sizes. Errors: ErrNotFound, ErrForeign; ErrNotRunning also for a guest
// without the port.
func (c *Conn) Window(ctx context.Context, name string) (*Window, error) {
	s, err := c.Domain(ctx, name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("open the window of %q: %w", name, err)
	case !s.Owned:
		return nil, fmt.Errorf("open the window of %q: %w", name, &ForeignError{Domain: name})
	case !s.Run.Active() || s.Window == "":
		return nil, fmt.Errorf("open the window of %q: %w", name, ErrNotRunning)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", s.Window)
	if err != nil {
		return nil, fmt.Errorf("open the window of %q: %w", name, err)
	}
	return &Window{conn: conn}, nil
}

// Resize tells the guest a size in cells. It does not wait for the guest.
func (w *Window) Resize(rows, columns int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.conn.SetWriteDeadline(time.Now().Add(windowWrite)); err != nil {
		return fmt.Errorf("pass on the window's size: %w", err)
	}
	if _, err := fmt.Fprintf(w.conn, "%d %d\n", rows, columns); err != nil {
		return fmt.Errorf("pass on the window's size: %w", err)
	}
	return nil
}

// Close ends it; the guest keeps the size that it has.
func (w *Window) Close() error { return w.conn.Close() }
