package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digitalocean/go-libvirt"
)

// Console opens the guest's serial console. Reading gives what the guest
// prints from now on, writing is typing; bytes pass unchanged. The stream ends
// with io.EOF when the guest stops, with ErrConsoleTaken when somebody else
// takes it over, with ErrConsoleStalled when what the guest prints is not read
// for a minute, with ErrUnreachable or ErrNoAnswer when libvirt is gone, and
// with Close; ctx bounds only the opening. Errors: ErrNotFound, ErrForeign,
// ErrNotRunning, ErrConsoleBusy.
func (c *Conn) Console(ctx context.Context, name string) (io.ReadWriteCloser, error) {
	return c.console(ctx, name, 0)
}

// TakeConsole is Console, but whoever has the console open loses it.
func (c *Conn) TakeConsole(ctx context.Context, name string) (io.ReadWriteCloser, error) {
	return c.console(ctx, name, libvirt.DomainConsoleForce)
}

// errConsoleEnded means a stream that was over, without an error, as soon as it was open.
var errConsoleEnded = errors.New("the console's stream ended at once")

const (
	// How often a stream that ends at once is opened, and how much longer each time waits for it.
	consoleTries = 5
	consoleRetry = 50 * time.Millisecond
	// stallLimit is how long what the guest has printed may wait to be read.
	stallLimit = time.Minute
)

// console opens the stream on a connection of its own: go-libvirt hands
// incoming data to the reader from the loop that serves the whole connection,
// so a slow reader holds up every other call on it.
func (c *Conn) console(ctx context.Context, name string, flags libvirt.DomainConsoleFlags) (io.ReadWriteCloser, error) {
	s, err := c.openConsole(ctx, name, flags)
	// libvirt may still be busy ending the stream of whoever has just left, and then ends the new one along with it.
	for tries := 1; errors.Is(err, errConsoleEnded) && tries < consoleTries; tries++ {
		select {
		case <-time.After(time.Duration(tries) * consoleRetry):
			s, err = c.openConsole(ctx, name, flags)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open console of %q: %w", name, mapped(err))
	}
	return s, nil
}

func (c *Conn) openConsole(ctx context.Context, name string, flags libvirt.DomainConsoleFlags) (*console, error) {
	opening, cancel := context.WithTimeoutCause(ctx, callLimit, noAnswerError{callLimit})
	defer cancel()
	l, err := c.dial(opening)
	if err != nil {
		return nil, err
	}
	var seat seat
	err = l.do(opening, func(rpc *libvirt.Libvirt) error {
		seat, err = seatAt(rpc, name, flags)
		return err
	})
	if err != nil {
		l.drop()
		return nil, err
	}
	s := newConsole(l, c.stall)
	// The stream outlives the opening: Close ends it.
	life, leave := context.WithCancel(context.WithoutCancel(ctx))
	s.leave = leave
	s.running.Go(func() { s.serve(life, c, seat, flags) })
	s.running.Go(func() { s.watch(life, c, seat) })
	select {
	case <-s.opened:
		return s, nil
	case <-s.ended:
		if err = s.err; err == nil {
			err = errConsoleEnded
		}
		if hasCode(err, libvirt.ErrOperationFailed) {
			// The one thing that fails here under this number, for a domain that runs.
			err = fmt.Errorf("%w (%w)", ErrConsoleBusy, err)
		}
	case <-opening.Done():
		err = context.Cause(opening)
	}
	return nil, errors.Join(err, s.Close())
}

// console is an open console: two pipes between the caller and go-libvirt's
// stream, which wants a reader and a writer to itself.
type console struct {
	link  *link
	stall time.Duration // see Conn
	// out carries what the guest prints, in what is typed.
	outR *io.PipeReader
	outW *io.PipeWriter
	inR  *io.PipeReader
	inW  *io.PipeWriter

	opened   chan struct{} // closed when libvirt has accepted the stream
	openOnce sync.Once
	ended    chan struct{} // closed when libvirt's stream is over; err is set before
	err      error

	// unanswered tells that something was typed and nothing has been printed since, printing that what was printed waits
	// for its reader.
	unanswered, printing atomic.Bool

	leave   context.CancelFunc // ends everything that runs for the console
	running sync.WaitGroup
}

func newConsole(l *link, stall time.Duration) *console {
	s := &console{link: l, stall: stall, opened: make(chan struct{}), ended: make(chan struct{})}
	s.outR, s.outW = io.Pipe()
	s.inR, s.inW = io.Pipe()
	return s
}

// serve runs the stream to its end.
func (s *console) serve(ctx context.Context, c *Conn, at seat, flags libvirt.DomainConsoleFlags) {
	s.err = s.link.rpc.DomainOpenConsoleBidirectional(at.domain, nil, keyboard{s}, screen{s}, uint32(flags))
	close(s.ended)
	s.end(endOf(ctx, c, at, s.err))
}

// end lets the console's user read and write no more, and tells him why: io.EOF is the guest's end. The first reason counts.
func (s *console) end(why error) {
	_ = s.outW.CloseWithError(why)
	if errors.Is(why, io.EOF) {
		why = io.ErrClosedPipe
	}
	_ = s.inR.CloseWithError(why)
	s.leave()
	s.link.drop()
}

// Read gives the guest's output.
func (s *console) Read(p []byte) (int, error) { return s.outR.Read(p) }

// Write types.
func (s *console) Write(p []byte) (int, error) { return s.inW.Write(p) }

// Close ends the stream and returns when its goroutines are done with it.
func (s *console) Close() error {
	s.leave()
	_ = s.outR.Close()
	_ = s.inW.Close()
	s.link.drop()
	s.running.Wait()
	return nil
}

// keyboard is the stream's source. go-libvirt first reads from it when the
// daemon has accepted the stream, which is the only sign of that.
type keyboard struct{ s *console }

// Read waits for something to be typed.
func (k keyboard) Read(p []byte) (int, error) {
	k.s.openOnce.Do(func() { close(k.s.opened) })
	// go-libvirt offers 4 MiB; one packet of the daemon holds 256 KiB.
	n, err := k.s.inR.Read(p[:min(len(p), maxPacket)])
	if n > 0 {
		k.s.unanswered.Store(true)
	}
	return n, err
}

// maxPacket is well below libvirt's limit for stream packets
// (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX, 256 KiB).
const maxPacket = 64 << 10

// screen is the stream's sink. It never fails: go-libvirt would stop reading
// its packets, and the goroutine that delivers them would block for ever.
type screen struct{ s *console }

// Write hands output to the caller, or discards it once the console is over. libvirt and the guest are held up meanwhile,
// so a caller who takes nothing loses the console.
func (w screen) Write(p []byte) (int, error) {
	w.s.unanswered.Store(false)
	w.s.printing.Store(true)
	defer w.s.printing.Store(false)
	stalled := time.AfterFunc(w.s.stall, func() { w.s.end(ErrConsoleStalled) })
	defer stalled.Stop()
	_, _ = w.s.outW.Write(p)
	return len(p), nil
}
