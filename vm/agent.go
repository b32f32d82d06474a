package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/digitalocean/go-libvirt"

	"github.com/kvmlab/kvmlab/untrusted"
)

// ErrNoAgent means that the guest's agent does not answer; see AgentSilentError.
var ErrNoAgent = errors.New("the guest agent does not answer")

const (
	// agentRetry is how long to wait before an agent that is not there yet is asked again. libvirt says at once
	// that nobody has opened the port.
	agentRetry = 100 * time.Millisecond
	// agentPing bounds one attempt to reach the agent, in libvirt's whole seconds.
	agentPing = 5
	// agentCall bounds the agent's answer to a command, in seconds. The largest, a chunk of a file, takes half a
	// second on an idle machine without hardware virtualisation.
	agentCall = 60
)

// AgentSilentError is an agent that does not answer. It is ErrNoAgent.
type AgentSilentError struct {
	Domain string
	// Run is what the guest does meanwhile.
	Run RunState
	// Opened tells whether a program in the guest has the agent's port open.
	Opened bool
	Err    error // what libvirt said last
}

// Error says what the guest does and what libvirt said.
func (e *AgentSilentError) Error() string {
	return fmt.Sprintf("%v (%q is %v): %v", ErrNoAgent, e.Domain, e.Run, e.Err)
}

// Is makes it ErrNoAgent.
func (e *AgentSilentError) Is(target error) bool { return target == ErrNoAgent }

// Unwrap gives libvirt's error.
func (e *AgentSilentError) Unwrap() error { return e.Err }

// AgentError is what the agent itself answered to a command that it could not do.
type AgentError struct {
	Command string // "guest-file-open"
	Message string // the agent's words, made visible
	Err     error
}

// Error gives the command and the agent's words.
func (e *AgentError) Error() string { return e.Command + ": " + e.Message }

// Unwrap gives libvirt's error.
func (e *AgentError) Unwrap() error { return e.Err }

// Agent is the QEMU guest agent of one running guest, spoken to through
// libvirt (https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html). It
// needs no network.
type Agent struct {
	conn   *Conn
	domain string
	// ask sends a command in the protocol's form and returns the answer, which may be anything.
	ask func(ctx context.Context, seconds int32, command string) (string, error)
}

// Agent waits until the guest's agent answers, or ctx ends: a guest that boots
// has none yet. Errors: ErrNotFound, ErrForeign, ErrNotRunning;
// *AgentSilentError when the time is over.
func (c *Conn) Agent(ctx context.Context, domain string) (*Agent, error) {
	a := &Agent{conn: c, domain: domain}
	a.ask = a.askLibvirt
	var silent *AgentSilentError
	for {
		s, err := c.Domain(ctx, domain)
		switch {
		case err != nil && ctx.Err() != nil && silent != nil: // the time ended while libvirt was asked for the guest
			return nil, silent
		case err != nil:
			return nil, err
		case !s.Owned:
			return nil, &ForeignError{Domain: domain}
		case !s.Run.Active():
			return nil, fmt.Errorf("reach the agent of %q: %w", domain, ErrNotRunning)
		case s.Run == RunRunning:
			err = a.command(ctx, agentPing, "guest-ping", nil, nil)
		default:
			err = ErrNotRunning // paused: it cannot answer, and need not be asked
		}
		if err == nil {
			return a, nil
		}
		silent = &AgentSilentError{Domain: domain, Run: s.Run, Opened: s.AgentOpen, Err: err}
		if ctx.Err() != nil {
			return nil, silent
		}
		if !isAgentAbsent(err) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, silent
		case <-time.After(agentRetry):
		}
	}
}

// isAgentAbsent reports an error that can go away by itself: the agent has not
// started, is starting again, or was too slow.
func isAgentAbsent(err error) bool {
	return errors.Is(err, ErrNotRunning) || hasCode(err, libvirt.ErrAgentUnresponsive) ||
		hasCode(err, libvirt.ErrAgentCommandTimeout) || hasCode(err, libvirt.ErrAgentUnsynced) ||
		hasCode(err, libvirt.ErrOperationInvalid)
}

// call is command with the time that a command may take.
func (a *Agent) call(ctx context.Context, name string, arguments, answer any) error {
	return a.command(ctx, agentCall, name, arguments, answer)
}

// command sends one command and reads the answer's "return" into answer, unless
// that is nil. Errors: *AgentError for a command that the agent refuses.
func (a *Agent) command(ctx context.Context, seconds int32, name string, arguments, answer any) error {
	text, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{name, arguments})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	said, err := a.ask(ctx, seconds, string(text))
	switch {
	case hasCode(err, libvirt.ErrAgentCommandFailed), hasCode(err, libvirt.ErrInternalError):
		return &AgentError{Command: name, Message: agentWords(err), Err: err}
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case answer == nil:
		return nil
	}
	whole := struct {
		Return any `json:"return"`
	}{answer}
	if err := json.Unmarshal([]byte(said), &whole); err != nil {
		return fmt.Errorf("%s: %w: an answer of another form", name, ErrNonsense)
	}
	return nil
}

// askLibvirt asks by way of libvirt, which passes on answers of up to 4 MiB.
func (a *Agent) askLibvirt(ctx context.Context, seconds int32, command string) (string, error) {
	var said libvirt.OptString
	err := a.conn.call(ctx, func(rpc *libvirt.Libvirt) error {
		d, err := rpc.DomainLookupByName(a.domain)
		if err != nil {
			return err
		}
		said, err = rpc.QEMUDomainAgentCommand(d, command, seconds, 0)
		return err
	})
	if err == nil && len(said) == 0 {
		err = errors.New("no answer from libvirt")
	}
	return strings.Join(said, ""), err
}

// maxWords is how much of a guest's words an error repeats, in octets.
const maxWords = 1000

// agentWords is what the agent said, without libvirt's words in front.
func agentWords(err error) string {
	text := err.Error()
	if _, words, found := strings.Cut(text, "': "); found {
		text = words
	}
	return untrusted.VisibleBytes([]byte(text), maxWords)
}
