package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/dhcp"
	"github.com/kvmlab/kvmlab/internal/check"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/state"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/netsetup/capture"
	"github.com/kvmlab/kvmlab/vm"
)

// How long evidence may take: a guest's agent to answer, when it may still boot and when it should be up (a micro guest
// unpacks it at the first word, which takes seconds on a busy host without KVM), or once more when it has not; and a script
// to end.
const (
	bootPatience   = 5 * time.Minute
	agentPatience  = 20 * time.Second
	scriptPatience = 3 * time.Minute
	silentPatience = time.Second
	// guestAllowance is for all that one run of the checks asks a guest, and labAllowance for all guests: one that takes
	// its time over everything costs its own checks, and not a lesson.
	guestAllowance = 10 * time.Minute
	labAllowance   = 20 * time.Minute
	// beginAllowance is for the steps that an exercise begins with, in guests that are not a student's yet.
	beginAllowance = time.Hour
)

// labEvidence is the evidence of a lab that is up: check.Evidence on its supervisor's capture, its stores, the kernel and
// the agents of its guests.
type labEvidence struct {
	app    *app
	host   *host
	lab    *lab.Lab
	files  state.Lab
	agents map[string]*vm.Agent
	wait   time.Duration            // for an agent to answer
	silent map[string]bool          // guests for which that time was over once: they are not waited for again
	lying  map[string]error         // guests whose agent is none: they are not asked again
	took   map[string]time.Duration // what scripts took in each guest, and under "" in all
	each   time.Duration            // what they may take in a guest
	all    time.Duration            // and in all guests
}

func newLabEvidence(a *app, h *host, l *lab.Lab, files state.Lab) *labEvidence {
	return &labEvidence{
		app: a, host: h, lab: l, files: files, agents: map[string]*vm.Agent{}, wait: agentPatience, silent: map[string]bool{},
		lying: map[string]error{}, took: map[string]time.Duration{}, each: guestAllowance, all: labAllowance,
	}
}

// Wire reads what the lab's supervisor has kept for checks, up to what is on the wire now.
func (e *labEvidence) Wire(ctx context.Context) (_ []*watch.Record, err error) {
	wire, err := openKeptWire(ctx, e.app, e.lab.Name, "check")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, wire.Close()) }()
	follower := watch.NewFollower(wire.names)
	var records []*watch.Record
	for {
		frame, err := wire.stream.Next()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		records = append(records, follower.Next(capture.Decode(frame)))
	}
}

// Leases reads the embedded server's store.
func (e *labEvidence) Leases(context.Context) ([]dhcp.Lease, error) {
	return dhcp.ReadLeases(e.files.LeaseDir())
}

// Links reads the links of the namespace that the lab is in.
func (e *labEvidence) Links(ctx context.Context) (_ []netsetup.Link, err error) {
	if e.lab.Isolation != lab.Netns {
		return e.host.net.Links(ctx)
	}
	inside, err := netsetup.OpenNamespace(e.lab.Name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, inside.Close()) }()
	return inside.Links(ctx)
}

// Guest runs a script through the guest's agent.
func (e *labEvidence) Guest(ctx context.Context, guest, script string) (check.Output, error) {
	if err := e.lying[guest]; err != nil {
		return check.Output{}, err
	}
	left := e.left(guest)
	if left <= 0 {
		return check.Output{}, &check.SilentError{Guest: guest, Late: true, Err: vm.ErrSlow}
	}
	agent, err := e.agent(ctx, guest)
	if err != nil {
		return check.Output{}, err
	}
	limited, cancel := context.WithTimeout(ctx, min(scriptPatience, left))
	defer cancel()
	begun := e.app.now()
	text, err := agent.Output(limited, "exec 2>&1\n"+script)
	took := e.app.now().Sub(begun)
	e.took[guest] += took
	e.took[""] += took
	return e.output(ctx, guest, text, err)
}

// left is how long a guest may still take for scripts.
func (e *labEvidence) left(guest string) time.Duration {
	return min(e.each-e.took[guest], e.all-e.took[""])
}

// output sorts out how a script in a guest has ended. What goes wrong in a guest is that guest's affair.
func (e *labEvidence) output(ctx context.Context, guest, text string, err error) (check.Output, error) {
	var (
		ended   *vm.ScriptError
		refused *vm.AgentError
	)
	switch {
	case err == nil:
		return check.Output{Text: text}, nil
	case errors.As(err, &ended):
		return check.Output{Text: text, Status: ended.Status}, nil
	case ctx.Err() != nil:
		return check.Output{}, ctx.Err()
	case errors.Is(err, vm.ErrNonsense):
		e.lying[guest] = &check.SilentError{Guest: guest, Nonsense: true, Err: err}
		return check.Output{}, e.lying[guest]
	case errors.As(err, &refused):
		return check.Output{}, &check.SilentError{Guest: guest, Refused: refused.Message, Err: err}
	}
	delete(e.agents, guest)
	return check.Output{}, fmt.Errorf("run script in %s: %w: %w", guest, check.ErrNoAnswer, err)
}

func (e *labEvidence) agent(ctx context.Context, guest string) (*vm.Agent, error) {
	if agent := e.agents[guest]; agent != nil {
		return agent, nil
	}
	wait := e.wait
	if e.silent[guest] {
		wait = silentPatience
	}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	agent, err := e.host.virt.Agent(limited, e.lab.DomainName(guest))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e.silent[guest] = true
		return nil, e.silence(guest, err)
	}
	e.agents[guest], e.silent[guest] = agent, false
	return agent, nil
}

// silence says why a guest's agent does not answer, as far as the host knows.
func (e *labEvidence) silence(guest string, err error) error {
	silent := &check.SilentError{Guest: guest, Err: err}
	if !errors.Is(err, vm.ErrNoAgent) && (errors.Is(err, vm.ErrNotRunning) || errors.Is(err, vm.ErrNotFound)) {
		silent.Off = true
	} else if text, tailErr := tail(e.files.ConsoleLog(guest), bootWords); tailErr == nil {
		silent.Words = bootFailure(text)
	}
	return silent
}

// bootWords is how many lines of a console may come after the one that says that the machine does not boot: the kernel
// prints where it was, systemd asks for a password.
const bootWords = 60

// notBooting is what the kernel, Debian's initramfs and that of kvmlab, systemd and firmware say when nothing more will come.
var notBooting = regexp.MustCompile(`Kernel panic - not syncing.*|You are in (emergency|rescue) mode|` +
	`kvmlab-debian: the disk cannot be mounted|No bootable device|Dropping to a shell!|ALERT! .* does not exist`)

// bootFailure finds what the end of a console says about a machine that does not boot; empty when it says nothing of the kind.
// What was before the last start does not count.
func bootFailure(console string) string {
	if i := strings.LastIndex(console, ": user space"); i >= 0 {
		console = console[i:]
	}
	return notBooting.FindString(console)
}

// Host runs a script where `kvmlab shell` would. The script can say kvmlab, and means this one: it need not be installed.
func (e *labEvidence) Host(ctx context.Context, script string) (check.Output, error) {
	self, err := os.Executable()
	if err != nil {
		return check.Output{}, fmt.Errorf("run script on the host: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, scriptPatience)
	defer cancel()
	cmd := exec.CommandContext(limited, "/proc/self/exe", "shell", e.lab.Name, "--", "/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(self)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return check.Output{}, fmt.Errorf("run script on the host: %w", err)
	}
	result := check.Output{Text: string(out)}
	if ended != nil {
		result.Status = ended.ExitCode()
	}
	return result, nil
}
