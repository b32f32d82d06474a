package vm

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/untrusted"
)

const (
	// lingerAfterExit is how long output is waited for after the command itself has ended, when something that it
	// has started keeps its output open.
	lingerAfterExit = time.Second
	// pieceChunks is how many chunks of input make a piece at most.
	pieceChunks = 32
	// statusSize is how long an exit status is, with its line break.
	statusSize = 4
	// signalLimit bounds the passing on of a signal. The guest's shell tries for two seconds.
	signalLimit = 30 * time.Second
	// killAfter is how long a command that was told to end may go on.
	killAfter = 3 * time.Second
)

//go:embed agentrun.sh
var execScript []byte

// Command is a program to run in a guest.
type Command struct {
	// Args are the program, looked up in the guest's PATH, and its arguments.
	Args []string
	// Stdin is what it reads; nil is /dev/null. Reading it is given up, not ended, when the program ends.
	Stdin io.Reader
	// Stdout and Stderr get what it prints, as it comes. Both must be set.
	Stdout, Stderr io.Writer
	// Signals are names such as "INT", for the program and all that it has started. May be nil.
	Signals <-chan string
}

// Exec runs a command in the guest and returns its exit status, as a shell
// does: 128 and the signal's number for one that was killed, 127 for a program
// that is not there. Output of any size passes, at the reader's pace. When ctx
// ends, the command gets SIGTERM and, 3 s later, SIGKILL, and the error is the
// context's. Errors: *AgentSilentError for an agent that vanishes; those of the
// writers.
func (a *Agent) Exec(ctx context.Context, c Command) (status int, err error) {
	id := make([]byte, 8)
	rand.Read(id) // never fails since Go 1.24
	x := &execution{agent: a, command: c, dir: "/run/kvmlab-exec-" + hex.EncodeToString(id)}
	input := "0"
	if c.Stdin != nil {
		input = "1"
	}
	x.pid, err = a.spawn(ctx, false, execScript, "/bin/sh", append([]string{"-s", x.dir, input}, c.Args...)...)
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	defer x.clean(ctx)
	x.out = &spool{agent: a, name: x.dir + "/out", to: c.Stdout}
	x.err = &spool{agent: a, name: x.dir + "/err", to: c.Stderr}
	if status, err = x.follow(ctx); err != nil {
		x.kill(ctx)
		return 0, fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	return status, nil
}

// execution is one command under way.
type execution struct {
	agent    *Agent
	command  Command
	dir      string // in the guest
	pid      int    // of the script, as the agent knows it
	out, err *spool
}

// follow passes everything on until the command has ended.
func (x *execution) follow(ctx context.Context) (int, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	x.feed(ctx, stop)
	wait := pollFirst
	for {
		moved, err := x.pump(ctx)
		if err != nil {
			return 0, err
		}
		if moved {
			wait = pollFirst
			continue
		}
		if status, ended, err := x.ended(ctx); ended || err != nil {
			return status, err
		}
		if err := x.listen(ctx, wait); err != nil {
			return 0, err
		}
		wait = min(2*wait, pollLast)
	}
}

// listen waits for a moment, and passes on the signals that come meanwhile.
func (x *execution) listen(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case name := <-x.command.Signals:
			if err := x.signal(ctx, name); err != nil {
				return err
			}
		case <-timer.C:
			return nil
		}
	}
}

// pump copies what both outputs have now.
func (x *execution) pump(ctx context.Context) (moved bool, err error) {
	outMoved, outErr := x.out.copy(ctx)
	errMoved, errErr := x.err.copy(ctx)
	return outMoved || errMoved, errors.Join(outErr, errErr)
}

// ended finds out whether the command is over, and then passes on the rest of
// its output.
func (x *execution) ended(ctx context.Context) (status int, ended bool, err error) {
	script, err := x.agent.status(ctx, x.pid)
	if err != nil {
		return 0, false, err
	}
	text, err := x.agent.slurp(ctx, x.dir+"/status", statusSize)
	if isRefused(err) && !script.Exited {
		return 0, false, nil // not written yet
	}
	if errors.Is(err, untrusted.ErrTooMuch) {
		return 0, false, fmt.Errorf("%w: an exit status of %w", ErrNonsense, err)
	}
	if err != nil {
		return 0, false, fmt.Errorf("the guest lost track of the command, as without room in its /run: %w", err)
	}
	if status, err = strconv.Atoi(strings.TrimSpace(text)); err != nil {
		return 0, false, fmt.Errorf("%w: no exit status", ErrNonsense)
	}
	if script.Exited {
		return status, true, x.drain(ctx)
	}
	return status, true, x.finish(ctx)
}

// finish passes on what is still to come of the output after the command has ended: all of it, unless something that
// the command has started keeps it open, or goes on to print.
func (x *execution) finish(ctx context.Context) error {
	x.out.end()
	x.err.end()
	for deadline := time.Now().Add(lingerAfterExit); ; {
		// In this order: what the script has laid down before it ended is there to be read.
		script, err := x.agent.status(ctx, x.pid)
		if err != nil {
			return err
		}
		moved, err := x.pump(ctx)
		switch {
		case err != nil:
			return err
		case script.Exited:
			return x.drain(ctx)
		case x.out.over() || x.err.over():
			return nil
		case moved:
		case time.Now().After(deadline):
			return nil
		default:
			if err := pause(ctx, pollFirst); err != nil {
				return err
			}
		}
	}
}

// drain passes on all that is left. The script has ended, and the agent knows it no longer. Errors: ErrNonsense when it
// does not come to an end.
func (x *execution) drain(ctx context.Context) error {
	x.out.end()
	x.err.end()
	for {
		moved, err := x.pump(ctx)
		switch {
		case err != nil || !moved:
			return err
		case x.out.over() || x.err.over():
			return fmt.Errorf("%w: output of a command that has ended", ErrNonsense)
		}
	}
}

// slurp reads a file of the guest of at most limit bytes. Errors: untrusted.ErrTooMuch.
func (a *Agent) slurp(ctx context.Context, name string, limit int64) (string, error) {
	var text bytes.Buffer
	_, err := a.drain(ctx, name, &text, limit, nil)
	return text.String(), err
}

// feed sends the input in pieces, in the background, until it or ctx ends. What comes while a piece is on its way is
// the next one: each costs the guest several programs to start.
func (x *execution) feed(ctx context.Context, fail context.CancelCauseFunc) {
	if x.command.Stdin == nil {
		return
	}
	chunks := make(chan []byte, pieceChunks)
	go func() {
		defer close(chunks)
		readChunks(ctx, x.command.Stdin, chunks)
	}()
	go func() {
		for n, more := 0, true; more; n++ {
			var first []byte // empty at the end, and so is the last piece
			if first, more = <-chunks; ctx.Err() != nil {
				return
			}
			name := fmt.Sprintf("%s/in.%d", x.dir, n)
			if err := errors.Join(x.put(ctx, name, first, chunks), x.put(ctx, name+".ok", nil, nil)); err != nil {
				fail(fmt.Errorf("send input: %w", err))
				return
			}
		}
	}()
}

// readChunks reads src until it ends, however it does, or ctx.
func readChunks(ctx context.Context, src io.Reader, chunks chan<- []byte) {
	for {
		buffer := make([]byte, writeChunk)
		size, err := src.Read(buffer)
		if size > 0 {
			select {
			case chunks <- buffer[:size]:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// put writes a small file in the guest: first, and up to a piece of what more has ready. The directory appears a moment
// after the script was started.
func (x *execution) put(ctx context.Context, name string, first []byte, more <-chan []byte) error {
	h, err := x.agent.open(ctx, name, "w")
	for tries := 0; isRefused(err) && tries < 100; tries++ {
		if err := pause(ctx, pollFirst); err != nil {
			return err
		}
		h, err = x.agent.open(ctx, name, "w")
	}
	if err != nil {
		return err
	}
	for n, chunk := 1, first; len(chunk) > 0; n++ {
		if err = h.write(ctx, chunk); err != nil || n == pieceChunks {
			break
		}
		chunk = nil
		select {
		case chunk = <-more:
		default:
		}
	}
	return errors.Join(err, h.close(ctx))
}

// signal sends a signal to the command's session. One that has not begun yet gets it when it has.
func (x *execution) signal(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, signalLimit, ErrSlow)
	defer cancel()
	_, err := x.agent.Output(ctx, `n=0; until read -r pid <"$1/pid" || [ $n -ge 20 ]; do n=$((n+1)); sleep 0.1; done 2>/dev/null
		kill -s "$2" -- "-$pid" 2>/dev/null || kill -s "$2" "$pid"`, x.dir, name)
	if _, failed := errors.AsType[*ScriptError](err); failed {
		return nil // it has ended just now
	}
	return err
}

// kill ends a command that nobody follows any more: politely, then not.
func (x *execution) kill(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	_ = x.signal(ctx, "TERM") // an agent that is gone has taken its commands along
	for deadline := time.Now().Add(killAfter); time.Now().Before(deadline); {
		_, _ = x.pump(ctx) // it may wait for its output to be read
		s, err := x.agent.status(ctx, x.pid)
		if err != nil || s.Exited || pause(ctx, pollLast) != nil {
			return
		}
	}
	_ = x.signal(ctx, "KILL")
}

// clean removes what the script has left, and the script if it still waits for output that nobody will write.
func (x *execution) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
	defer cancel()
	_, _ = x.out.finish(ctx), x.err.finish(ctx)
	// That it cannot be removed is no error of the command: /run is gone at the guest's next start.
	_, _ = x.agent.spawn(ctx, false, nil, "/bin/rm", "-rf", x.dir)
}
