// Package doctor looks at what a lab needs from its host and says, for each thing, what it saw and what would mend it.
// Looking changes nothing: what has to be tried out is tried in a network namespace that is thrown away.
package doctor

import (
	"context"
	"fmt"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// Status is the outcome of a check.
type Status uint8

// The outcomes. The zero value is invalid.
const (
	_       Status = iota
	OK             // as it should be
	Warning        // labs work, but not as well as they could
	Failed         // labs do not come up
	Skipped        // could not be looked at, because of something that another finding tells
)

// String names the outcome as JSON carries it.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Warning:
		return "warning"
	case Failed:
		return "error"
	case Skipped:
		return "skipped"
	default:
		return fmt.Sprintf("Status(%d)", uint8(s))
	}
}

// MarshalText writes the outcome by its name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`         // stable name of the check, such as "libvirt"
	Status Status `json:"status"`        // how it stands
	Seen   string `json:"seen"`          // what was seen, for people
	Fix    string `json:"fix,omitempty"` // a command that mends it, when one does
	// Problem is the diagnostic behind a warning or an error.
	Problem *diag.Diagnostic `json:"problem,omitempty"`
}

// Translate says a message of the catalogues, with named values.
type Translate func(id string, pairs ...any) string

// Doctor looks at one host.
type Doctor struct {
	Host Host      // the host to look at
	Say  Translate // the language of Finding.Seen
	Lab  LabNeeds  // what the default lab will ask for
}

// check is one look. It may leave what it learned in the examination for the checks after it.
type check struct {
	name string
	look func(*examination, context.Context) Finding
}

// Examine makes every check, in the order in which the findings are best read, and stops early only when ctx ends.
// each, when not nil, sees every finding as soon as it is there: the check of KVM can take some seconds.
func (d *Doctor) Examine(ctx context.Context, each func(Finding)) ([]Finding, error) {
	e := &examination{Doctor: d}
	defer e.close()
	var findings []Finding
	for _, c := range checks() {
		if err := ctx.Err(); err != nil {
			return findings, err
		}
		f := c.look(e, ctx)
		f.Check = c.name
		findings = append(findings, f)
		if each != nil {
			each(f)
		}
	}
	return findings, ctx.Err()
}

// checks lists the checks: what others rest on comes first.
func checks() []check {
	return []check{
		{"root", (*examination).root},
		{"tun", (*examination).tun},
		{"bridge", (*examination).bridge},
		{"state", (*examination).state},
		{"libvirt", (*examination).libvirt},
		{"virtlogd", (*examination).virtlogd},
		{"qemu", (*examination).qemu},
		{"image", (*examination).image},
		{"kvm", (*examination).kvm},
		{"memory", (*examination).memory},
		{"disk", (*examination).disk},
		{"firewall", (*examination).firewall},
		{"reach", (*examination).reach},
		{"networkmanager", (*examination).networkManager},
		{"names", (*examination).names},
		{"subnet", (*examination).subnet},
	}
}

// Ready reports whether labs can come up, and how many findings stand in the way.
func Ready(findings []Finding) (ready bool, failed int) {
	for _, f := range findings {
		if f.Status == Failed {
			failed++
		}
	}
	return failed == 0, failed
}
