package lab

import (
	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/yamlfile"
	"github.com/kvmlab/kvmlab/macgen"
)

// DefaultImage is what a guest boots when the lab file does not say.
const DefaultImage = "micro"

// maxMemory is where an amount of memory becomes a slip of the unit.
const maxMemory = 64 * GiB

// memoryNeeds gives the least memory that an image boots with, and what it gets
// when the lab file does not say.
func memoryNeeds(image string) (least, usual Size) {
	if image == DefaultImage {
		return 96 * MiB, 128 * MiB
	}
	return 128 * MiB, 512 * MiB
}

// checkGuests checks names, memory and the bridges and MAC addresses of cards.
func checkGuests(d *yamlfile.Decoder, spec *Spec) {
	names := make(map[string]int)
	macs := make(map[macgen.MAC]macOwner)
	for _, g := range spec.Guests {
		if g.Name.Set {
			if line, ok := names[g.Name.Value]; ok {
				d.Add(g.Name.Pos, diag.DuplicateName, diag.Args{"kind": "guest", "name": g.Name.Value, "line": line})
			} else {
				names[g.Name.Value] = g.Name.Pos.Line
			}
		}
		checkMemory(d, g)
		checkFiles(d, g)
		checkNICs(d, spec, g, macs)
	}
}

func checkMemory(d *yamlfile.Decoder, g GuestSpec) {
	image := g.Image.Or(DefaultImage)
	least, _ := memoryNeeds(image)
	switch memory := g.Memory; {
	case !memory.Set:
	case memory.Value > maxMemory:
		d.Add(memory.Pos, diag.MemoryLarge, diag.Args{"memory": memory.Value, "maximum": maxMemory})
	case memory.Value < least:
		d.Add(memory.Pos, diag.MemorySmall, diag.Args{
			"guest": g.Name.Value, "memory": memory.Value, "minimum": least, "image": image,
		})
	}
}

// macOwner is the card that a MAC address was given to.
type macOwner struct {
	who  string
	line int
}

func checkNICs(d *yamlfile.Decoder, spec *Spec, g GuestSpec, macs map[macgen.MAC]macOwner) {
	name := g.Name.Or("a guest without a name")
	if len(g.NICs) == 0 {
		d.Add(nameOr(g), diag.GuestNoNIC, diag.Args{"guest": name})
	}
	if len(g.NICs) > maxNICs {
		d.Add(g.NICs[maxNICs].Pos, diag.TooManyNICs, diag.Args{"guest": name, "count": len(g.NICs), "maximum": maxNICs})
	}
	plugged := make(map[string]bool)
	for i, nic := range g.NICs {
		checkPlug(d, spec, name, nic, plugged)
		if !nic.MAC.Set {
			continue
		}
		mac, who := nic.MAC.Value, nicOf(g, i)
		if first, ok := macs[mac]; ok {
			d.Add(nic.MAC.Pos, diag.DuplicateMAC, diag.Args{"mac": mac, "guest": who, "other": first.who, "line": first.line})
			continue
		}
		macs[mac] = macOwner{who, nic.MAC.Pos.Line}
		if !mac.IsLocal() {
			d.Add(nic.MAC.Pos, diag.UniversalMAC, diag.Args{"mac": mac, "suggestion": stationLike(mac)})
		}
	}
}

// checkPlug checks that a card's bridge is there, and the guest on it only once.
func checkPlug(d *yamlfile.Decoder, spec *Spec, guest string, nic NICSpec, plugged map[string]bool) {
	if !nic.Bridge.Set {
		return
	}
	bridge := nic.Bridge.Value
	known := make([]string, 0, len(spec.Bridges))
	for _, b := range spec.Bridges {
		if !b.Name.Set {
			return // The name that is missing there may be this one.
		}
		known = append(known, b.Name.Value)
		if b.Name.Value == bridge {
			if plugged[bridge] {
				d.Add(nic.Bridge.Pos, diag.SharedSegment, diag.Args{"guest": guest, "bridge": bridge})
			}
			plugged[bridge] = true
			return
		}
	}
	d.Add(nic.Bridge.Pos, diag.UnknownBridge, diag.Args{
		"bridge": bridge, "suggestion": yamlfile.Suggest(bridge, known), "known": known,
	})
}

// nameOr is the place of a guest's name, or of the guest where it has none.
func nameOr(g GuestSpec) diag.Pos {
	if g.Name.Set {
		return g.Name.Pos
	}
	return g.Pos
}
