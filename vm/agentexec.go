package vm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kvmlab/kvmlab/untrusted"
)

const (
	// pollFirst and pollLast are how long to wait before the agent, which tells nothing by itself, is asked for
	// news again: the first time, and after a long silence.
	pollFirst = 10 * time.Millisecond
	pollLast  = 200 * time.Millisecond
	// cleanLimit bounds what has to be done after a context has ended.
	cleanLimit = 10 * time.Second
)

// execStatus is the agent's answer to guest-exec-status.
type execStatus struct {
	Exited bool   `json:"exited"`
	Code   int    `json:"exitcode"`
	Signal int    `json:"signal"`
	Out    []byte `json:"out-data"`
	Err    []byte `json:"err-data"`
}

// spawn starts a program in the guest, with input on its standard input, and
// returns the agent's number for it.
func (a *Agent) spawn(ctx context.Context, capture bool, input []byte, program string, args ...string) (int, error) {
	var started struct {
		PID int `json:"pid"`
	}
	err := a.call(ctx, "guest-exec", struct {
		Path    string   `json:"path"`
		Args    []string `json:"arg"`
		Input   []byte   `json:"input-data,omitempty"`
		Capture bool     `json:"capture-output"`
	}{program, args, input, capture}, &started)
	return started.PID, err
}

// status asks how a program that was spawned is doing. The agent forgets it
// once it has said that it exited.
func (a *Agent) status(ctx context.Context, pid int) (execStatus, error) {
	var s execStatus
	err := a.call(ctx, "guest-exec-status", struct {
		PID int `json:"pid"`
	}{pid}, &s)
	return s, err
}

// ScriptError is a script of Output that ended with a status other than 0.
type ScriptError struct {
	Status int
	Stderr string // its words, made visible
}

// Error gives the status and what the script complained of.
func (e *ScriptError) Error() string { return fmt.Sprintf("exit status %d: %s", e.Status, e.Stderr) }

// Output runs a short shell script in the guest, with its arguments as $1, $2 …
// and gives what it prints: at most a few MiB, for the agent keeps all of it
// until the end. Errors: *ScriptError.
func (a *Agent) Output(ctx context.Context, script string, args ...string) (string, error) {
	pid, err := a.spawn(ctx, true, nil, "/bin/sh", append([]string{"-c", script, "sh"}, args...)...)
	if err != nil {
		return "", err
	}
	for wait := pollFirst; ; wait = min(2*wait, pollLast) {
		s, err := a.status(ctx, pid)
		switch {
		case err != nil:
			return "", err
		case s.Exited && s.Code == 0 && s.Signal == 0:
			return string(s.Out), nil
		case s.Exited:
			words := untrusted.VisibleLines(string(s.Err[:min(len(s.Err), maxWords)]))
			return string(s.Out), &ScriptError{Status: s.Code + s.Signal, Stderr: words}
		}
		if err := pause(ctx, wait); err != nil {
			return "", err
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// isRefused reports whether the agent itself refused a command, such as opening
// a file that is not there.
func isRefused(err error) bool {
	var refused *AgentError
	return errors.As(err, &refused)
}
