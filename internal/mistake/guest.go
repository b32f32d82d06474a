package mistake

import (
	"net"
	"net/netip"
	"time"
)

// Guest is what was read from the student's guest at one moment. The zero value knows nothing, and nothing is
// concluded from it.
type Guest struct {
	// Time is the guest's clock when it was read: files and daemons are compared by the same clock.
	Time time.Time
	// Files are the configuration, lease and misplaced files by their path. A file that does not exist is absent. Nil
	// when no files were read.
	Files map[string]File
	// Links are the guest's network cards, in the kernel's order; nil when they were not read.
	Links []Link
	// Sockets are the UDP sockets bound to port 67 or 547 (`ss -lnup`), and packet sockets (`ss -0lnp`).
	Sockets []Socket
	// Units are the systemd units of DHCP servers and of the network. A unit that is not installed is absent.
	Units []Unit
	// Processes are the running DHCP servers.
	Processes []Process
	// Journal is what the servers and their start scripts have said since the boot, oldest first.
	Journal []Entry
}

// File is a text file in the guest.
type File struct {
	Text     string
	Modified time.Time
}

// Link is a network card in the guest.
type Link struct {
	Name string
	MAC  net.HardwareAddr
	// Up is the administrative state; Carrier says that the cable is plugged in, which is only known of a link that
	// is up.
	Up, Carrier bool
	Addresses   []netip.Prefix
}

// Socket is a socket of a DHCP server. A UDP socket has Local; a packet socket has Packet set and, when it is bound to
// one card, Interface.
type Socket struct {
	Packet bool
	Local  netip.AddrPort
	// Interface is what the socket is bound to, or "" for every one.
	Interface string
	// Program and PID are of the process that has it open.
	Program string
	PID     int
}

// Unit is a systemd unit.
type Unit struct {
	Name string
	// Active is systemd's ActiveState: active, inactive, failed, activating.
	Active string
	// Since is when the unit became active last (ActiveEnterTimestamp); zero when it never was.
	Since time.Time
	// Exited says that it is active but has no process any more, as SysV scripts can be (SubState exited).
	Exited bool
}

// Process is a running DHCP server.
type Process struct {
	PID     int
	Started time.Time
	// Args are the program and its arguments.
	Args []string
}

// Entry is one line of the journal.
type Entry struct {
	Time time.Time
	// Program is the identifier before the line: dhcpd, kea-dhcp4, isc-dhcp-server (its start script), sh.
	Program string
	PID     int
	Text    string
}
