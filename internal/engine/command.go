package engine

import (
	"fmt"

	"github.com/kvmlab/kvmlab/internal/lab"
)

// The commands below are what somebody would type to do a change by hand. They are told and never run; those that
// make and remove links are netsetup's.

func renameCommands(from, to string) []string {
	return []string{
		fmt.Sprintf("ip link set %s down", from),
		fmt.Sprintf("ip link set %s name %s", from, to),
		fmt.Sprintf("ip link set %s up", to),
	}
}

func upCommands(name string) []string { return []string{fmt.Sprintf("ip link set %s up", name)} }

func addressCommands(b lab.Bridge) []string {
	return []string{fmt.Sprintf("ip addr add %s brd + dev %s", b.Address, b.Name)}
}

func plugCommands(nic lab.NIC) []string {
	return []string{fmt.Sprintf("ip link set %s master %s", nic.Tap, nic.Bridge)}
}

func serveCommands(l *lab.Lab) []string {
	var commands []string
	for _, b := range l.Bridges {
		if b.DHCP != nil {
			commands = append(commands, "kvmlab dhcp serve --interface "+b.Name)
		}
	}
	return commands
}

func startDomainCommands(name string) []string {
	return []string{fmt.Sprintf("virsh define %s.xml", name), "virsh start " + name}
}

func removeDomainCommands(name string) []string {
	return []string{"virsh destroy " + name, "virsh undefine " + name}
}
