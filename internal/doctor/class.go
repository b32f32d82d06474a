package doctor

import (
	"math"
	"time"
)

// Resource is something that labs use up. The zero value is invalid.
type Resource uint8

// The resources.
const (
	_ Resource = iota
	Memory
	Processor
	Disk
)

// String is the word of the JSON form.
func (r Resource) String() string {
	return [...]string{"invalid", "memory", "processor", "disk"}[min(int(r), 3)]
}

// MarshalText writes the word.
func (r Resource) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// ClassNeeds is what one lab was measured to use, and what the host has for all of them.
type ClassNeeds struct {
	Memory float64       // MiB of one lab: its guests' processes and its supervisor
	Boot   time.Duration // processor time of one lab until all its guests have their leases
	Idle   float64       // processors that one lab keeps busy afterwards
	Disk   float64       // MiB of one lab's disks

	FreeMemory float64 // MiB
	FreeDisk   float64 // MiB
	Cores      int
}

// spare is the part of memory and disk that labs may use: a host that is full to the brim swaps, and its own programs
// need something as well.
const spare = 0.9

// busy is the part of the processors that idle labs may keep busy: students have to be able to work.
const busy = 0.5

// Fits says how many labs each resource allows; a lab that uses none of it is no limit, and left out.
func (n ClassNeeds) Fits() map[Resource]int {
	fits := map[Resource]int{}
	for resource, amount := range map[Resource][2]float64{
		Memory: {n.FreeMemory * spare, n.Memory}, Disk: {n.FreeDisk * spare, n.Disk}, Processor: {float64(n.Cores) * busy, n.Idle},
	} {
		if have, each := amount[0], amount[1]; each > 0 {
			fits[resource] = int(math.Floor(have / each))
		}
	}
	return fits
}

// Limit is the number of labs that fit, and what runs out first.
func (n ClassNeeds) Limit() (labs int, first Resource) {
	labs = math.MaxInt
	for _, resource := range []Resource{Memory, Processor, Disk} {
		if fit, limited := n.Fits()[resource]; limited && fit < labs {
			labs, first = fit, resource
		}
	}
	return labs, first
}

// Ready estimates how long so many labs need until all guests have their leases, when they share the processors.
func (n ClassNeeds) Ready(labs int) time.Duration {
	return time.Duration(labs) * n.Boot / time.Duration(max(n.Cores, 1))
}
