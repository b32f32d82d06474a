package station

import (
	"fmt"
	"iter"

	"github.com/kvmlab/kvmlab/macgen"
)

// Most is how many stations of one role a bridge can have, numbered from 1.
const Most = 15

// MAC is the station's address: 02, "kvm" in ASCII, the bridge's place in the lab, the role and the number. It is the same
// every time, so that everybody can tell a station by it.
func (p Part) MAC() macgen.MAC {
	return macgen.MAC{0x02, 'k', 'v', 'm', byte(p.Segment), byte(p.Role)<<4 | byte(p.Number)}
}

// Is reports whether a MAC address is that of a station.
func Is(mac []byte) bool {
	return len(mac) == 6 && string(mac[:4]) == "\x02kvm" && Role(mac[5]>>4) <= Squatter && mac[5]>>4 > 0
}

// Name is what the station is called on the wire: station, station-2, station-rogue; on bridges but the first one with the
// bridge's name, station:br2.
func (p Part) Name() string {
	name := "station"
	if p.Role != Client {
		name += "-" + p.Role.String()
	}
	if p.Number > 1 {
		name += fmt.Sprintf("-%d", p.Number)
	}
	if p.Segment > 0 {
		name += ":" + p.Bridge
	}
	return name
}

// Names gives the addresses of all stations that there can be on the bridges of a lab, with their names.
func Names(bridges []string) iter.Seq2[macgen.MAC, string] {
	return func(yield func(macgen.MAC, string) bool) {
		for segment, bridge := range bridges {
			for role := Client; role <= Squatter; role++ {
				for number := 1; number <= Most; number++ {
					p := Part{Role: role, Number: number, Bridge: bridge, Segment: segment}
					if !yield(p.MAC(), p.Name()) {
						return
					}
				}
			}
		}
	}
}
