package mistake

import (
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/internal/conffile"
	"github.com/kvmlab/kvmlab/internal/diag"
)

// Where Debian's programs have their files.
const (
	dhcpdPath      = "/etc/dhcp/dhcpd.conf"
	defaultsPath   = "/etc/default/isc-dhcp-server"
	keaPath        = "/etc/kea/kea-dhcp4.conf"
	dnsmasqPath    = "/etc/dnsmasq.conf"
	dnsmasqDir     = "/etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new"
	interfacesPath = "/etc/network/interfaces"
)

// program describes one of the servers.
type program struct {
	id   Program
	name string // of the executable, which is also its identifier in the journal
	unit string
}

var programs = []program{
	{ISC, "dhcpd", "isc-dhcp-server"},
	{Kea, "kea-dhcp4", "kea-dhcp4-server"},
	{Dnsmasq, "dnsmasq", "dnsmasq"},
}

// config is what a program's files mean, whatever their language.
type config struct {
	program program
	// files are those that it was read from, the main one first.
	files   []string
	subnets []subnet
	relays  []relay
	// hosts are reservations; they are global.
	hosts []host
	// listens are the cards that are named; nil when none is. all says that every card is served.
	listens []conffile.Value
	all     bool
}

// subnet is a network that a program lends addresses in.
type subnet struct {
	prefix netip.Prefix
	pos    diag.Pos
	ranges []lent
	// lease is the lease time in seconds that a client gets which asks for none, 0 when it is not known.
	lease         int
	leasePos      diag.Pos
	authoritative bool
	// options are by dhcpd's name; those that the program sends by itself are not among them.
	options map[string]setting
}

// lent is a range of addresses in a file.
type lent struct {
	Range

	pos diag.Pos
}

type setting struct {
	values []string
	pos    diag.Pos
}

type host struct {
	mac     net.HardwareAddr
	address netip.Addr
	macPos  diag.Pos
	pos     diag.Pos
}

// contains says whether an address lies in a range.
func (r Range) contains(a netip.Addr) bool { return r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0 }

// files reads the configuration of the program that the student has worked with.
func (f *finder) files() {
	p, ok := f.program()
	if !ok || f.ownFile(p) {
		return
	}
	var c *config
	switch p.id {
	case ISC:
		c = f.readISC(p)
	case Kea:
		c = f.readKea(p)
	case Dnsmasq:
		c = f.readDnsmasq(p)
	}
	f.read = c.files
	f.refused(p, c.files)
	f.judge(c)
}

// allowed are the programs of the task.
func (f *finder) allowed() []program {
	return slices.DeleteFunc(slices.Clone(programs), func(p program) bool {
		return len(f.want.Programs) > 0 && !slices.Contains(f.want.Programs, p.id)
	})
}

// program is the one that the student works with: one that runs before one that was started and failed, before one
// whose files name the network; of equals, the one whose files were changed last.
func (f *finder) program() (program, bool) {
	var best program
	var last time.Time
	score := -1
	for _, p := range f.allowed() {
		s := 0
		if f.process(p) != nil {
			s += 4
		}
		if u := f.unit(p.unit); u != nil && u.Active != "inactive" {
			s += 2
		}
		named, changed := f.named(p)
		if named {
			s++
		}
		if s > score || s == score && s > 0 && changed.After(last) {
			best, last, score = p, changed, s
		}
	}
	return best, score >= 0
}

// named says whether a program's files name the network, comments apart, and when one was changed last that does.
func (f *finder) named(p program) (found bool, changed time.Time) {
	if !f.want.Address.IsValid() {
		return false, changed
	}
	network := strings.TrimSuffix(f.network().Addr().String(), "0")
	for name, file := range f.seen.Files {
		if !p.owns(name) {
			continue
		}
		for line := range strings.Lines(file.Text) {
			line = strings.TrimLeft(line, " \t")
			if strings.Contains(line, network) && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "//") {
				found = true
				if file.Modified.After(changed) {
					changed = file.Modified
				}
				break
			}
		}
	}
	return found, changed
}

// owns says whether a file is in one of a program's places.
func (p program) owns(name string) bool {
	dir, base := path.Split(name)
	switch p.id {
	case ISC:
		return dir == "/etc/dhcp/" && base != "dhclient.conf"
	case Kea:
		return dir == "/etc/kea/"
	case Dnsmasq:
		return name == dnsmasqPath || dir == "/etc/dnsmasq.d/"
	}
	return false
}

// ownFile says whether a program runs with a configuration that is not the one of its package: what that says is not
// known.
func (f *finder) ownFile(p program) bool {
	process := f.process(p)
	if process == nil {
		return false
	}
	usual := map[Program]string{ISC: dhcpdPath, Kea: keaPath, Dnsmasq: dnsmasqPath}[p.id]
	if p.id == ISC {
		usual = dhcpdFile(f.texts())
	}
	for i, arg := range process.Args {
		if i > 0 && slices.Contains([]string{"-cf", "-c", "-C", "--conf-file"}, process.Args[i-1]) && arg != usual {
			return true
		}
		if file, ok := strings.CutPrefix(arg, "--conf-file="); ok && file != usual {
			return true
		}
	}
	return false
}

// process is the running process of a program, for IPv4.
func (f *finder) process(p program) *Process {
	for i := range f.seen.Processes {
		x := &f.seen.Processes[i]
		if len(x.Args) > 0 && path.Base(x.Args[0]) == p.name && !slices.Contains(x.Args, "-6") {
			return x
		}
	}
	return nil
}

func (f *finder) unit(name string) *Unit {
	for i := range f.seen.Units {
		if strings.TrimSuffix(f.seen.Units[i].Name, ".service") == name {
			return &f.seen.Units[i]
		}
	}
	return nil
}

// texts are the files without their times, as conffile takes them.
func (f *finder) texts() map[string]string {
	texts := make(map[string]string, len(f.seen.Files))
	for name, file := range f.seen.Files {
		texts[name] = file.Text
	}
	return texts
}

// link is a card of the guest, nil when it has none of that name.
func (f *finder) link(name string) *Link {
	for i := range f.seen.Links {
		if f.seen.Links[i].Name == name {
			return &f.seen.Links[i]
		}
	}
	return nil
}

// problem turns a departure from a grammar into a finding.
func (f *finder) problem(p conffile.Problem) {
	var d *diag.Diagnostic
	switch p.Kind {
	case conffile.ForeignCharacter:
		d = foreign(p.Text)
	case conffile.WrongBracket:
		d = diag.New(diag.BracketForBrace, diag.Args{"given": p.Text})
	case conffile.MissingSemicolon:
		d = diag.New(diag.SemicolonMissing, diag.Args{"statement": p.Text})
	case conffile.MissingOpening:
		d = diag.New(diag.BraceMissing, diag.Args{"block": p.Text})
	case conffile.MissingClosing:
		d = diag.New(diag.BraceUnclosed, diag.Args{"block": p.Text})
	case conffile.StrayClosing, conffile.StraySemicolon:
		d = diag.New(diag.SignStray, diag.Args{"given": p.Text})
	case conffile.UnclosedString:
		d = diag.New(diag.QuoteUnclosed, diag.Args{"text": p.Text})
	case conffile.MissingFile, conffile.IncludeLoop:
		d = diag.New(diag.IncludeMissing, diag.Args{"file": p.Text})
	case conffile.TooMuch:
		d = diag.New(diag.FileTooMuch, diag.Args{"file": p.Pos.File})
	case conffile.SpacedAssignment:
		d = diag.New(diag.AssignmentSpaced, diag.Args{"variable": p.Text})
	case conffile.TrailingComma:
		d = diag.New(diag.CommaTrailing, nil)
	case conffile.MissingComma, conffile.BadSyntax:
		d = diag.New(diag.JSONBroken, diag.Args{"found": p.Text})
	}
	f.add(rankSyntax, d.At(p.Pos))
}
