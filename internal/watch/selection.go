package watch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// Selection says which packets are wanted. The zero Selection wants all of them.
type Selection struct {
	stations []string
	kinds    []string
	filters  []*capture.Filter
}

// kindWords are the values of kind= beside the DHCP message types.
var kindWords = []string{"dhcp", "arp", "icmp", "other"}

// KindError is returned for a kind= that there is none of.
type KindError struct {
	Kind  string
	Known []string
}

// Error names the kind.
func (e *KindError) Error() string {
	return fmt.Sprintf("there is no kind %q of packets; the kinds are: %s", e.Kind, strings.Join(e.Known, ", "))
}

// ParseSelection reads the values of --filter: guest=NAME, kind=KIND (dhcp, arp, icmp, other, or a DHCP message type),
// several of these with commas between them, or a BPF expression. A packet must satisfy every value; of several guests,
// or of several kinds, one is enough. The error is a *KindError or a *capture.FilterError.
func ParseSelection(values []string) (Selection, error) {
	var s Selection
	for _, value := range values {
		if !strings.HasPrefix(value, "guest=") && !strings.HasPrefix(value, "kind=") {
			filter, err := capture.CompileFilter(strings.TrimPrefix(value, "bpf="))
			if err != nil {
				return Selection{}, err
			}
			s.filters = append(s.filters, filter)
			continue
		}
		for part := range strings.SplitSeq(value, ",") {
			if guest, ok := strings.CutPrefix(part, "guest="); ok {
				s.stations = append(s.stations, guest)
				continue
			}
			kind := strings.ToLower(strings.TrimPrefix(part, "kind="))
			if known := Kinds(); !slices.Contains(known, kind) {
				return Selection{}, &KindError{Kind: kind, Known: known}
			}
			s.kinds = append(s.kinds, kind)
		}
	}
	return s, nil
}

// Kinds are the values that kind= takes.
func Kinds() []string {
	kinds := slices.Clone(kindWords)
	for t := capture.Discover; t <= capture.ForceRenew; t++ {
		kinds = append(kinds, strings.ToLower(t.String()))
	}
	return kinds
}

// Wants reports whether a packet is selected.
func (s Selection) Wants(r *Record) bool {
	if len(s.stations) > 0 && !slices.ContainsFunc(s.stations, r.Involves) {
		return false
	}
	if len(s.kinds) > 0 && !slices.ContainsFunc(s.kinds, r.is) {
		return false
	}
	for _, filter := range s.filters {
		if !filter.MatchPacket(r.Packet) {
			return false
		}
	}
	return true
}

// is reports whether the packet is of a kind.
func (r *Record) is(kind string) bool {
	return r.Kind() == kind || (r.DHCP != nil && strings.EqualFold(r.DHCP.Type.String(), kind))
}
