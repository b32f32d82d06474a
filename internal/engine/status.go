package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/netsetup"
	"github.com/kvmlab/kvmlab/vm"
)

// Condition is how a lab is as a whole.
type Condition uint8

// The conditions. The zero value is invalid.
const (
	_        Condition = iota
	Up                 // everything is there and as it should be
	Degraded           // something is missing or different
	Down               // nothing is there but state
)

var conditionNames = [...]string{Up: "up", Degraded: "degraded", Down: "down"}

// String returns the word that status carries.
func (c Condition) String() string {
	if c == 0 || int(c) >= len(conditionNames) {
		return fmt.Sprintf("Condition(%d)", uint8(c))
	}
	return conditionNames[c]
}

// MarshalText writes the condition by its word.
func (c Condition) MarshalText() ([]byte, error) {
	if c == 0 || int(c) >= len(conditionNames) {
		return nil, fmt.Errorf("marshal condition %d: unknown", uint8(c))
	}
	return []byte(conditionNames[c]), nil
}

// Drift is one difference between a lab and what exists.
type Drift struct {
	Address Address `json:"address"`
	Problem string  `json:"problem"` // in a few English words
}

// Status is how a lab is now.
type Status struct {
	Name       string
	Lab        *lab.Lab // as it was brought up; nil when its state was lost
	Condition  Condition
	Netns      string          // the name of its network namespace; empty for a lab in the host's
	Links      []netsetup.Link // the lab's own
	Domains    []vm.State      // the lab's own
	Supervisor SupervisorState
	Drift      []Drift // by address; never nil
	Restarted  bool    // the host has been restarted since the lab was brought up
}

// Labs returns the names of all labs on the host, sorted: those that have state, and those of which there are only
// objects with their mark. What could not be read is in the error.
func (e *Engine) Labs(ctx context.Context) ([]string, error) {
	names, stateErr := e.cfg.Dirs.Labs()
	links, linksErr := e.cfg.Network.Links(ctx)
	for _, l := range links {
		if ours(l, l.Owner.Lab) {
			names = append(names, l.Owner.Lab)
		}
	}
	isolated, namespacesErr := e.cfg.Namespaces.Labs(ctx)
	names = append(names, isolated...)
	walled, firewallsErr := e.cfg.Network.FirewallLabs(ctx)
	names = append(names, walled...)
	domains, domainsErr := e.cfg.Hypervisor.Domains(ctx)
	for _, d := range domains {
		if d.Owned {
			names = append(names, d.Owner.Lab)
		}
	}
	slices.Sort(names)
	if linksErr = errors.Join(linksErr, namespacesErr, firewallsErr); linksErr != nil {
		linksErr = explainNetwork("read the network links", linksErr)
	}
	if domainsErr != nil {
		domainsErr = explainHypervisor(domainsErr)
	}
	return slices.Compact(names), errors.Join(stateErr, linksErr, domainsErr)
}

// Status compares a lab with what exists.
func (e *Engine) Status(ctx context.Context, name string) (*Status, error) {
	files, err := e.cfg.Dirs.Lab(name)
	if err != nil {
		return nil, err
	}
	seen, err := e.observeAll(ctx, files)
	if err != nil {
		return nil, err
	}
	want, _, err := storedLab(files)
	if err != nil {
		return nil, err
	}
	if want != nil {
		if err := e.lookFirewall(ctx, want, seen); err != nil {
			return nil, err
		}
	}
	s := &Status{Name: name, Lab: want, Supervisor: seen.Supervisor, Drift: []Drift{}}
	if seen.isolated() {
		s.Netns = netsetup.NamespaceName(name)
	}
	for _, l := range slices.Concat(seen.Links, seen.Inside) {
		if ours(l, name) {
			s.Links = append(s.Links, l)
		}
	}
	for _, d := range seen.Domains {
		if d.Owned && d.Owner.Lab == name {
			s.Domains = append(s.Domains, d)
		}
	}
	s.Drift = driftOf(name, want, seen)
	if s.Restarted, err = files.Restarted(); err != nil {
		return nil, explainState(files.BootFile(), err)
	}
	switch {
	case seen.empty(name):
		s.Condition = Down
	case len(s.Drift) > 0:
		s.Condition = Degraded
	default:
		s.Condition = Up
	}
	return s, nil
}

// driftOf is what Up would have to mend, and what would keep it from doing so.
func driftOf(name string, want *lab.Lab, seen *Observed) []Drift {
	drift := []Drift{}
	if want == nil {
		for _, c := range NewDownPlan(name, seen).Changes {
			drift = append(drift, Drift{Address: c.Address, Problem: "is there, but the lab's state is lost"})
		}
		sortDrift(drift)
		return drift
	}
	plan := NewPlan(want, seen, TapOwner{})
	for _, c := range plan.Changes {
		drift = append(drift, Drift{Address: c.Address, Problem: c.Reason})
	}
	for _, c := range plan.Conflicts {
		problem := c.Err.Error()
		if d, ok := errors.AsType[*diag.Diagnostic](c.Err); ok {
			problem = d.Summary
		}
		drift = append(drift, Drift{Address: c.Address, Problem: problem})
	}
	sortDrift(drift)
	return drift
}

func sortDrift(drift []Drift) {
	slices.SortStableFunc(drift, func(a, b Drift) int {
		return cmp.Or(cmp.Compare(a.Address.Kind, b.Address.Kind), cmp.Compare(a.Address.Name, b.Address.Name))
	})
}
