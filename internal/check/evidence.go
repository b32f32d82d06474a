package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/station"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/untrusted"
)

// ErrNoAnswer is wrapped by an [Evidence] that cannot look into a guest: it is off, or its agent does not answer.
var ErrNoAnswer = errors.New("the guest cannot be asked")

// SilentError is an [ErrNoAnswer] that knows why the guest does not answer.
type SilentError struct {
	Guest string
	// Off: it is switched off, or there is no such machine.
	Off bool
	// Words are what it has printed on its console to say that it does not boot; empty when it may still boot.
	Words string
	// Nonsense: something answers, and not as an agent does.
	Nonsense bool
	// Refused is why the agent could not do what it was asked; empty when that is not it.
	Refused string
	// Late: it has taken all the time that it has for one run of the checks.
	Late bool
	Err  error
}

// Error names the guest and what stands in the way.
func (e *SilentError) Error() string {
	return fmt.Sprintf("ask %s: %v: %v", e.Guest, ErrNoAnswer, e.Err)
}

// Is makes it ErrNoAnswer.
func (*SilentError) Is(target error) bool { return target == ErrNoAnswer }

// Unwrap gives what stands in the way.
func (e *SilentError) Unwrap() error { return e.Err }

// silence says why a check could not ask a guest.
func silence(err error, asked, labName string) (Verdict, error) {
	silent, ok := errors.AsType[*SilentError](err)
	switch {
	case !ok:
		return failed("no-agent", "guest", asked, "lab", labName)
	case silent.Off:
		return failed("guest-off", "guest", silent.Guest, "lab", labName)
	case silent.Nonsense:
		return failed("nonsense", "guest", silent.Guest, "lab", labName)
	case silent.Refused != "":
		return failed("refused", "guest", silent.Guest, "words", silent.Refused, "lab", labName)
	case silent.Late:
		return failed("late", "guest", silent.Guest, "lab", labName)
	case silent.Words != "":
		return failed("no-boot", "guest", silent.Guest, "words", silent.Words, "lab", labName)
	}
	return failed("no-agent", "guest", silent.Guest, "lab", labName)
}

// ErrNoBridge is wrapped by an [Evidence] that cannot plug a station in: the lab's bridge is not there, or not the lab's.
var ErrNoBridge = errors.New("the bridge is not there")

// Evidence is where assertions look.
type Evidence interface {
	// Wire gives every packet that is known from the lab's bridges, oldest first, up to now.
	Wire(ctx context.Context) ([]*watch.Record, error)
	// Leases are those of the embedded DHCP server.
	Leases(ctx context.Context) ([]dhcp.Lease, error)
	// Links are those of the lab's network namespace.
	Links(ctx context.Context) ([]netsetup.Link, error)
	// Guest runs a script for /bin/sh in a guest, as root. Errors: [ErrNoAnswer].
	Guest(ctx context.Context, guest, script string) (Output, error)
	// Host runs a script for /bin/sh in the lab's network namespace, as root.
	Host(ctx context.Context, script string) (Output, error)
	// Station has kvmlab itself play a part on a bridge of the lab, until stop is called. Errors: [ErrNoBridge].
	Station(ctx context.Context, part station.Part) (stop func() error, err error)
}

// Output is what a script printed on both outputs, and its exit status.
type Output struct {
	Text   string
	Status int
}

// Reason is a sentence for people: the id of a message in the catalogues of package cliui, and its values.
type Reason struct {
	ID   string
	Args []any // names and values in turn
}

// because is where what guests say becomes part of a sentence: their texts are made visible here, for every kind of
// assertion and for whatever shows the sentence, and are no longer than anybody reads.
func because(id string, args ...any) Reason {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = untrusted.VisibleBytes([]byte(text), maxWords)
		}
	}
	return Reason{ID: "check.why." + id, Args: args}
}

// maxWords is how much of a text a reason repeats, in octets.
const maxWords = 500

// Verdict is what one look at the evidence says.
type Verdict struct {
	Passed bool
	// Why says what was found instead, when it has not passed.
	Why Reason
	// Packet is the number of the packet that tells, as `kvmlab watch --since up` counts; 0 for none.
	Packet int
	// Final says that to wait longer would change nothing.
	Final bool
}

func passed(packet int) (Verdict, error) { return Verdict{Passed: true, Packet: packet}, nil }

func failed(id string, args ...any) (Verdict, error) { return Verdict{Why: because(id, args...)}, nil }

// scene is what one attempt at a check sees. Evidence is fetched once per scene.
type scene struct {
	Evidence
	lab     *lab.Lab
	since   time.Time // when guests were asked to begin anew; what was before is not what is so now
	begun   time.Time // when the exercise began; what was before is not the student's doing
	now     time.Time
	answers map[string]string
	check   *Check

	records []*watch.Record
	fetched bool
}

// wire gives all packets.
func (e *scene) wire(ctx context.Context) ([]*watch.Record, error) {
	if !e.fetched {
		var err error
		if e.records, err = e.Wire(ctx); err != nil {
			return nil, err
		}
		e.fetched = true
	}
	return e.records, nil
}

// wireSince gives the packets from a time on.
func (e *scene) wireSince(ctx context.Context, since time.Time) ([]*watch.Record, error) {
	records, err := e.wire(ctx)
	for i, r := range records {
		if !r.Time.Before(since) {
			return records[i:], err
		}
	}
	return nil, err
}

// ofStation reports whether an assertion is about the check's station, and not about a guest.
func (e *scene) ofStation(a *Assertion) bool { return !a.Guest.Set && e.check.Station.asks() }

// who names the guest, or station, that an assertion is about.
func (e *scene) who(a *Assertion) string {
	if e.ofStation(a) {
		return e.check.Station.Part().Name()
	}
	return a.Guest.Value
}

// nic finds the card that an assertion is about.
func (e *scene) nic(a *Assertion) lab.NIC {
	if e.ofStation(a) {
		part := e.check.Station.Part()
		return lab.NIC{Bridge: part.Bridge, MAC: part.MAC()}
	}
	guest, _ := e.lab.Guest(a.Guest.Value) // Parse has checked it
	name := a.NIC.Or("eth0")
	for _, nic := range guest.NICs {
		if nic.Name == name {
			return nic
		}
	}
	return lab.NIC{}
}

// guestOf is the guest behind a station's name: "srv" for "srv:eth1", "kvmlab" for the embedded server.
func guestOf(station string) string {
	if station == "server" {
		return Kvmlab
	}
	guest, _, _ := strings.Cut(station, ":")
	return guest
}

// The words that may stand for a server in place of a guest.
const (
	Kvmlab = "kvmlab" // the embedded server
	Nobody = "none"
	Anyone = "any"
)
