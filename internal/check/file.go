package check

import (
	"net/netip"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Version is the edition of the language of checks.yaml.
const Version = 1

// File is a checks.yaml, free of errors when it comes from [Parse].
type File struct {
	Version yamlfile.Field[int]
	// Solve is false when a teacher forbids `kvmlab scenario solve`.
	Solve yamlfile.Field[bool]
	// Task is set when a guest is to become a DHCP server: then the causes of what fails are looked for in it.
	Task   *Task
	Checks []*Check
	// Start is done once, when the exercise begins: it sets a server up, or breaks something.
	Start    []Step
	Solution []Step
	Mistakes []Mistake
	// Draw has the exercise begin solved, but for one of the mistakes.
	Draw yamlfile.Field[bool]
}

// Points is what all checks together are worth.
func (f *File) Points() int {
	sum := 0
	for _, c := range f.Checks {
		sum += c.Worth()
	}
	return sum
}

// Check gives a check by its id.
func (f *File) Check(id string) *Check {
	for _, c := range f.Checks {
		if c.ID.Value == id {
			return c
		}
	}
	return nil
}

// Check is one thing that must be so.
type Check struct {
	Pos    diag.Pos
	ID     yamlfile.Field[string]
	Points yamlfile.Field[int]
	// Needs are the ids of the checks without which this one makes no sense: it is only tried when they have passed.
	Needs []yamlfile.Field[string]
	// Within is how long to try again before it counts as failed.
	Within yamlfile.Field[time.Duration]
	// Message says what must be so.
	Message Texts
	// Hints help, each more openly than the one before.
	Hints  []Texts
	Assert *Assertion
	// Station is set when kvmlab itself is to play somebody while the check is tried.
	Station *Station
}

// Worth is the check's points: 1 unless it says otherwise.
func (c *Check) Worth() int { return c.Points.Or(1) }

// Task is what a guest is to do as a DHCP server, in the terms of the lab.
type Task struct {
	Pos           diag.Pos
	Guest         yamlfile.Field[string]
	NIC           yamlfile.Field[string]
	Address       yamlfile.Field[netip.Prefix]
	Relay         yamlfile.Field[netip.Addr] // the server that the guest is to relay to, in place of being one
	Range         yamlfile.Field[lab.Range]
	Lease         yamlfile.Field[time.Duration]
	Authoritative yamlfile.Field[bool]
	Programs      []yamlfile.Field[string]
	Options       map[string]string // values by the names of dhcpd.conf
	Reservations  []Reservation
}

// Reservation is an address that the student's server is to keep for a card of a guest.
type Reservation struct {
	Guest, NIC yamlfile.Field[string]
	Address    yamlfile.Field[netip.Addr]
}

// Step is something that a solution or a mistake does: a script in a guest, a script in the lab's network namespace
// on the host, or an answer to a question.
type Step struct {
	Pos    diag.Pos
	Guest  yamlfile.Field[string]
	Host   yamlfile.Field[bool]
	Run    yamlfile.Field[string]
	Answer yamlfile.Field[string] // the id of a check of kind answer
	Value  yamlfile.Field[string] // what is typed; left out, the truth
}

// Mistake is something that students get wrong, and that the checks must catch.
type Mistake struct {
	Pos   diag.Pos
	Name  yamlfile.Field[string]
	Steps []Step
	// Fails is the id of the first check that must fail.
	Fails yamlfile.Field[string]
	// Finds is the code of the cause that must be named first, such as KL703; it may be left out.
	Finds yamlfile.Field[string]
}
