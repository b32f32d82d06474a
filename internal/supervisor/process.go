package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopGrace is how long a supervisor may take to end by itself: it has only sockets and files to close.
const stopGrace = 5 * time.Second

// readyLine is what a supervisor writes on its ready pipe once its servers listen.
const readyLine = "ready"

// Process is a lab's supervisor as a process of its own, seen from the commands that start, watch and stop it.
type Process struct {
	Lock    string                              // path of the supervisor's lock
	Log     string                              // path of the file that gets its standard error
	Command func(ctx context.Context) *exec.Cmd // the program to start; the ready pipe becomes its file 3
}

// Observe reports whether the supervisor runs, and as which process.
func (p *Process) Observe(context.Context) (running bool, pid int, err error) {
	pid, err = holder(p.Lock)
	return pid != 0, pid, err
}

// Start starts the supervisor unless it runs, and returns when it is ready to serve. A supervisor that ends or says
// something else first is an error that carries its words.
func (p *Process) Start(ctx context.Context) error {
	if running, _, err := p.Observe(ctx); err != nil || running {
		return err
	}
	started := make(chan error, 1)
	go func() {
		// The child asks to be killed when its parent's *thread* ends (prctl(2), PR_SET_PDEATHSIG), until it holds its
		// lock: without that, a kill -9 of this process in between would leave a supervisor that nobody can find.
		// So this goroutine keeps its thread until the child is ready.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- p.spawn(ctx)
	}()
	return <-started
}

func (p *Process) spawn(ctx context.Context) (err error) {
	logFile, err := os.OpenFile(p.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open supervisor log: %w", err)
	}
	defer func() { err = errors.Join(err, logFile.Close()) }()
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make ready pipe: %w", err)
	}
	defer func() { err = errors.Join(err, readyRead.Close()) }()

	// The supervisor outlives the command that starts it, so its life must not hang on ctx.
	cmd := p.Command(context.WithoutCancel(ctx))
	cmd.Stderr = logFile
	cmd.ExtraFiles = []*os.File{readyWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	startErr := cmd.Start()
	if err := errors.Join(startErr, readyWrite.Close()); err != nil {
		return fmt.Errorf("start supervisor: %w", err)
	}
	if err := awaitReady(ctx, readyRead); err != nil {
		return errors.Join(fmt.Errorf("start supervisor: %w", err), cmd.Process.Kill(), ignoreExit(cmd.Wait()))
	}
	if err := cmd.Process.Release(); err != nil {
		return fmt.Errorf("release supervisor: %w", err)
	}
	return nil
}

// awaitReady waits for the ready line. Anything else is the supervisor's reason for not starting.
func awaitReady(ctx context.Context, pipe *os.File) error {
	stop := context.AfterFunc(ctx, func() {
		_ = pipe.SetReadDeadline(time.Unix(1, 0)) // wakes the read below; ctx's own error is returned
	})
	defer stop()
	line, err := bufio.NewReader(pipe).ReadString('\n')
	line = strings.TrimSpace(line)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case line == readyLine:
		return nil
	case line != "":
		return errors.New(line)
	default:
		return fmt.Errorf("it ended before it was ready: %w", err)
	}
}

// ignoreExit drops the exit status of a process that was killed on purpose.
func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// Stop ends the supervisor and returns when it is gone: SIGTERM, then SIGKILL after a grace period. It is no error
// when none runs.
func (p *Process) Stop(ctx context.Context) error {
	_, pid, err := p.Observe(ctx)
	if err != nil || pid == 0 {
		return err
	}
	// A pidfd names one process for ever. The lock is read again after it is open: only a process that still holds
	// the lock is signalled, never a stranger that was given the same number meanwhile.
	pidfd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open supervisor process %d: %w", pid, err)
	}
	defer unix.Close(pidfd) //nolint:errcheck // closing a pidfd has no failure that matters
	if again, err := holder(p.Lock); err != nil || again != pid {
		return err
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(pidfd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal supervisor process %d: %w", pid, err)
		}
		gone, err := awaitExit(ctx, pidfd, stopGrace)
		if err != nil || gone {
			return err
		}
	}
	return fmt.Errorf("stop supervisor process %d: it does not end", pid)
}

// awaitExit waits until the process behind pidfd has ended; a pidfd becomes readable then.
func awaitExit(ctx context.Context, pidfd int, limit time.Duration) (bool, error) {
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		// Short rounds only so that a cancelled ctx is noticed.
		n, err := unix.Poll(poll, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, fmt.Errorf("wait for supervisor: %w", err)
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Ready is the supervisor's side of Start: it tells the waiting parent that the servers listen, or why they do not.
type Ready struct{ pipe *os.File }

// InheritedReady returns the ready pipe that Process.Start hands to its child as file 3.
func InheritedReady() *Ready {
	return &Ready{pipe: os.NewFile(3, "ready pipe")}
}

// detach stops the kernel from ending this process with its parent; called once the lock is held. The kernel keeps
// the wish by thread: it is the first one's, and this goroutine may run on any, so all of them take it back.
func detach() error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0, 0)
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP:
		return fmt.Errorf("outlive the parent: %w in a program that was built with cgo", errno)
	default:
		return fmt.Errorf("outlive the parent: %w", errno)
	}
}

// Tell reports the outcome of starting: nil is success. Later calls do nothing.
func (r *Ready) Tell(err error) error {
	if r == nil || r.pipe == nil {
		return nil
	}
	line := readyLine
	if err != nil {
		line = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	_, writeErr := fmt.Fprintln(r.pipe, line)
	closeErr := r.pipe.Close()
	r.pipe = nil
	return errors.Join(writeErr, closeErr)
}
