package netsetup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A lab's links carry what guests send, and a guest is anybody's. So the host does not speak IPv6 on them: one Router
// Advertisement would give it an address and a default route, and a Neighbour Advertisement or a redirect would change
// those that it has. IPv4 has no such messages but ARP, where the host speaks of nothing but the link's own addresses.

// Where the kernel keeps a link's settings in the arrays IFLA_INET6_CONF (enum of include/uapi/linux/ipv6.h, from 0) and
// IFLA_INET_CONF (of include/uapi/linux/ip.h, from 1), of 4 bytes each.
const (
	inet6AcceptRA    = 3
	inet6Autoconf    = 5
	inet6DisableIPv6 = 26
	inetARPIgnore    = 19
)

// ownAddressesOnly is the value of arp_ignore that answers for the addresses of the link itself, and not for all of the
// host's, as Linux does by default.
const ownAddressesOnly = 1

// ErrSealed means that IPv6 cannot be switched off on a link: /proc/sys is read-only, as in some containers.
var ErrSealed = errors.New("IPv6 cannot be switched off (net.ipv6.conf)")

// decodeInet6 reads what IPv6 keeps for the link. A kernel without IPv6 says nothing of it.
func (l *Link) decodeInet6(kind uint16, value []byte) {
	l.inet6 = true
	switch kind {
	case unix.IFLA_INET6_ADDR_GEN_MODE:
		l.linkLocal = number(value) != nl.IN6_ADDR_GEN_MODE_NONE
	case unix.IFLA_INET6_CONF:
		l.ipv6 = setting(value, inet6DisableIPv6) == 0 || setting(value, inet6AcceptRA) != 0 || setting(value, inet6Autoconf) != 0
	}
}

// decodeInet reads what IPv4 keeps for the link.
func (l *Link) decodeInet(kind uint16, value []byte) {
	if kind == unix.IFLA_INET_CONF {
		l.answersForAll = setting(value, inetARPIgnore-1) < ownAddressesOnly
	}
}

// setting is an element of an array of settings.
func setting(settings []byte, index int) uint32 {
	if len(settings) < 4*index+4 {
		return 0
	}
	return number(settings[4*index : 4*index+4])
}

// seals are the repairs that keep what guests send from the host's own network.
func seals(have Link, name string) []repair {
	var list []repair
	commands := SealCommands(name)
	if have.ipv6 {
		list = append(list, repair{reason: "lets guests speak IPv6 to this computer", ipv6Off: true, commands: commands[:1]})
	}
	if have.answersForAll {
		list = append(list, repair{reason: "answers ARP for all addresses of this computer", commands: commands[1:2]})
	}
	if have.linkLocal {
		list = append(list, repair{reason: "makes IPv6 addresses by itself", commands: commands[2:]})
	}
	if have.linkLocal || have.answersForAll {
		// Both are parts of one attribute, of which a request can have only one.
		list[len(list)-1].attrs = []*nl.RtAttr{sealed(have.inet6)}
	}
	return list
}

// sealed keeps the kernel from giving the link an IPv6 address of its own, and with it from sending router
// solicitations and multicast reports into the students' captures, and from answering ARP for other links' addresses.
// It may come together with bringing the link up, for the kernel makes the address only once there is a carrier, too.
func sealed(inet6 bool) *nl.RtAttr {
	arp := nl.NewRtAttr(inetARPIgnore, nl.Uint32Attr(ownAddressesOnly))
	families := []*nl.RtAttr{nested(unix.AF_INET, nested(unix.IFLA_INET_CONF, arp))}
	if inet6 { // Else the kernel refuses the whole request.
		mode := nl.NewRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(nl.IN6_ADDR_GEN_MODE_NONE))
		families = append(families, nested(unix.AF_INET6, mode))
	}
	return nested(unix.IFLA_AF_SPEC, families...)
}

// silenceIPv6 switches IPv6 off on a link. Rtnetlink shows these settings and cannot change them. Only what is not so
// yet is written, because in containers /proc/sys can be read-only.
func (h *Handle) silenceIPv6(name string) error {
	return h.inside(func() error {
		for _, s := range inet6Silence() {
			file := filepath.Join("/proc/sys", inet6Folder, name, s.name)
			if err := writeSetting(file, s.value); err != nil {
				return fmt.Errorf("%w: %w", ErrSealed, err)
			}
		}
		return nil
	})
}

const inet6Folder = "net/ipv6/conf"

type sysctl struct{ name, value string }

// inet6Silence are the settings of a link on which the host does not speak IPv6. The first one is enough; the others hold
// if somebody takes it back.
func inet6Silence() []sysctl {
	return []sysctl{{"disable_ipv6", "1"}, {"accept_ra", "0"}, {"autoconf", "0"}}
}

// writeSetting writes a setting of the calling thread's network namespace, unless it is so already.
func writeSetting(file, value string) error {
	have, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read setting: %w", err)
	}
	if string(have) == value+"\n" {
		return nil
	}
	if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
		return fmt.Errorf("change setting: %w", err)
	}
	return nil
}

// SealCommands returns the commands that keep what guests send on a link from the host's own network. The slashes let a
// name have dots.
func SealCommands(name string) []string {
	settings := []string{"sysctl -qw"}
	for _, s := range inet6Silence() {
		settings = append(settings, fmt.Sprintf("%s/%s/%s=%s", inet6Folder, name, s.name, s.value))
	}
	return []string{
		strings.Join(settings, " "),
		fmt.Sprintf("sysctl -qw net/ipv4/conf/%s/arp_ignore=%d", name, ownAddressesOnly),
		fmt.Sprintf("ip link set %s addrgenmode none", name),
	}
}
