package dhcp

import "time"

// faultSet is the faults of one interface, in the form in which they are looked up.
type faultSet struct {
	poolFull bool
	silent   bool
	lease    time.Duration
	mask     ip4
	options  []Option
	altered  string // names the faults that change what an OFFER or ACK says
	naks     []countedFault
	messages []countedFault // drop, delay, duplicate
}

// countedFault is a fault that concerns the n-th message.
type countedFault struct {
	Fault
	seen int // how many messages it has seen
}

// due counts a message, and tells whether the fault strikes it.
func (f *countedFault) due() bool {
	f.seen++
	return f.Nth == 0 || f.Nth == f.seen
}

// setFaults puts new faults in the place of the old ones; all are sound.
func (t *Table) setFaults(faults []Fault) {
	t.faults = faults
	for i := range t.links {
		t.links[i].faults = newFaultSet(faults, t.links[i].name)
	}
}

func newFaultSet(faults []Fault, iface string) (s faultSet) {
	for _, f := range faults {
		if f.Interface != "" && f.Interface != iface {
			continue
		}
		switch f.Kind {
		case FaultDrop, FaultDelay, FaultDuplicate:
			s.messages = append(s.messages, countedFault{Fault: f})
		case FaultNak:
			s.naks = append(s.naks, countedFault{Fault: f})
		case FaultRouter:
			s.options = append(s.options, AddressesOption(OptRouter, f.Address))
			s.alter(f)
		case FaultMask:
			s.mask = toIP4(f.Address)
			s.alter(f)
		case FaultDNS:
			s.options = append(s.options, AddressesOption(OptDNS, f.Address))
			s.alter(f)
		case FaultPoolFull:
			s.poolFull = true
		case FaultLease:
			s.lease = f.Lease
			s.alter(f)
		case FaultSilent:
			s.silent = true
		}
	}
	return s
}

// alter notes that a fault changes what replies say.
func (s *faultSet) alter(f Fault) {
	if s.altered != "" {
		s.altered += " "
	}
	s.altered += f.String()
}

// nak tells whether a REQUEST that deserves an ACK is to be refused.
func (s *faultSet) nak() bool {
	due := false
	for i := range s.naks {
		due = s.naks[i].due() || due // every one counts
	}
	return due
}

// strike counts a message and returns the faults that strike it: lost, late by some time, twice.
func (s *faultSet) strike(kind MessageType) (drop, twice *Fault, late *Fault) {
	for i := range s.messages {
		f := &s.messages[i]
		if f.Message != kind || !f.due() {
			continue
		}
		switch f.Kind {
		case FaultDrop:
			drop = &f.Fault
		case FaultDuplicate:
			twice = &f.Fault
		default:
			late = &f.Fault
		}
	}
	return drop, twice, late
}
