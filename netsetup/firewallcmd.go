package netsetup

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FirewallCommands returns the commands that make the firewall by hand, without its marks and without what only Linux
// before 6.8 needs.
func FirewallCommands(f Firewall) []string {
	f.LimitMACs = false
	commands := tableCommands(f.Lab, f.labTables())
	if !f.Isolated {
		return commands
	}
	inside := "ip netns exec " + NamespaceName(f.Lab) + " "
	for i, command := range commands {
		commands[i] = inside + command
	}
	if !f.out() {
		return commands
	}
	transfer := firstTransfer(f.Lab)
	commands = append(commands, cableCommands(f.Lab, transfer)...)
	commands = append(commands, tableCommands(f.Lab, f.cableTables(transfer))...)
	return append(commands, inside+"sysctl -w net.ipv4.ip_forward=1")
}

// RemoveFirewallCommands returns the commands that remove the tables of a lab whose bridges are in the host's namespace.
func RemoveFirewallCommands(lab string) []string {
	return []string{"nft delete table inet " + NamespaceName(lab), "nft delete table arp " + NamespaceName(lab)}
}

// tableCommands are the commands that make tables, without their marks.
func tableCommands(lab string, tables []table) []string {
	var commands []string
	add := func(format string, args ...any) {
		commands = append(commands, "nft 'add "+fmt.Sprintf(format, args...)+"'")
	}
	for _, t := range tables {
		name := familyWord(t.family) + " " + NamespaceName(lab)
		add("table %s", name)
		for _, s := range t.sets {
			add("set %s %s { type %s; size %d; flags dynamic,timeout; timeout %ds; }",
				name, s.name, s.key.Name, s.size, int(s.timeout.Seconds()))
		}
		for _, c := range t.chains {
			if c.hook == nil {
				add("chain %s %s", name, c.name)
				continue
			}
			add("chain %s %s { type %s hook %s priority %d; policy accept; }", name, c.name, c.kind, c.name, *c.priority)
		}
		for _, m := range t.maps {
			add("map %s %s { type ifname : verdict; }", name, m.name)
			var elements []string
			for _, link := range slices.Sorted(maps.Keys(m.verdicts)) {
				elements = append(elements, fmt.Sprintf(`"%s" : %s`, link, m.verdicts[link].text))
			}
			add("element %s %s { %s }", name, m.name, strings.Join(elements, ", "))
		}
		for _, c := range t.chains {
			for _, r := range c.rules {
				add("rule %s %s %s", name, c.name, r.text)
			}
		}
	}
	return commands
}
