package netsetup

import (
	"cmp"
	"fmt"
	"strconv"
)

// The commands below are what a student types to get, by hand, what the Ensure functions make. They
// are for reading and for learning; netsetup runs none of them.

// BridgeCommands returns the commands that make the bridge, without its marks.
func BridgeCommands(b Bridge) []string {
	list := []string{
		fmt.Sprintf("ip link add name %s type bridge stp_state 0 forward_delay 0 mcast_snooping 0", b.Name),
	}
	list = append(list, SealCommands(b.Name)...)
	if b.Address.IsValid() {
		list = append(list, fmt.Sprintf("ip addr add %s brd + dev %s", b.Address, b.Name))
	}
	return append(list, fmt.Sprintf("ip link set %s up", b.Name))
}

// TapCommands returns the commands that make the tap and put it on its bridge, without its marks.
func TapCommands(tap Tap) []string {
	list := []string{
		fmt.Sprintf("ip tuntap add mode tap name %s user %s group %s", tap.Name,
			cmp.Or(tap.User, strconv.Itoa(tap.UID)), cmp.Or(tap.Group, strconv.Itoa(tap.GID))),
	}
	list = append(list, SealCommands(tap.Name)...)
	if tap.Bridge != "" {
		list = append(list, fmt.Sprintf("ip link set %s master %s", tap.Name, tap.Bridge))
	}
	if tap.Staged {
		return list
	}
	return append(list, fmt.Sprintf("ip link set %s up", tap.Name))
}

// MarkCommands returns the commands that mark a link as its owner's.
func MarkCommands(name string, owner Owner) []string {
	return []string{
		fmt.Sprintf("ip link property add dev %s altname %s", name, owner.Altname()),
		fmt.Sprintf("ip link set %s alias %s", name, owner.Alias()),
	}
}

// RemoveCommands returns the commands that remove a link.
func RemoveCommands(name string, kind Kind) []string {
	if kind == KindTap {
		return []string{fmt.Sprintf("ip tuntap del mode tap name %s", name)}
	}
	return []string{fmt.Sprintf("ip link del %s", name)}
}
