package vm

import (
	"context"
	"time"
)

// What the tests in package vm_test need of the inside.
var (
	HostOf      = parseHost
	AvailableIn = availableKiB
	EventOf     = eventOf
	Mapped      = mapped
	Complaint   = complaint
	MeasureTSC  = measureTSC

	LeaveZerosOut = leaveZerosOut
	ErrStream     = errStream
)

// Sockets tells where Dial would look.
func Sockets(uri string, uid int) ([]string, error) {
	c, err := parseURI(uri, uid)
	if err != nil {
		return nil, err
	}
	return c.sockets, nil
}

// NoAnswer is the error of a call that this package gave up.
func NoAnswer(limit time.Duration) error { return noAnswerError{limit} }

// Deliver gives a guest lines, and waits for its "ok".
func Deliver(ctx context.Context, path string, text []byte) error {
	return deliver(ctx, path, text, identified)
}

// Lines is what goes to the guest.
func (id Identity) Lines() ([]byte, error) { return id.lines() }

// SetLimits is how long the readers of a connection's consoles may take nothing, and how long libvirt may take to answer
// on their connections.
func SetLimits(c *Conn, stall, deaf time.Duration) { c.stall, c.deaf = stall, deaf }

// AgentThat is an agent that answers as ask does.
func AgentThat(ask func(ctx context.Context, seconds int32, command string) (string, error)) *Agent {
	return &Agent{ask: ask}
}

// ReadIdentity is what the host reads of a guest that is given its identity.
var ReadIdentity = exchange
