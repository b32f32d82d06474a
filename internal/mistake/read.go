package mistake

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/kvmlab/kvmlab/untrusted"
)

//go:embed read.sh
var readScript string

// Read runs one script in a guest, through run, and returns what it has found. run executes a program there and returns
// what it printed. The guest needs a shell, iproute2, tar and coreutils; without systemd its units and journal stay empty.
// Errors: those of run; ErrNonsense.
func Read(ctx context.Context, run func(ctx context.Context, argv ...string) ([]byte, error)) (Guest, error) {
	out, err := run(ctx, "/bin/sh", "-c", readScript)
	if err != nil {
		return Guest{}, fmt.Errorf("read the guest's state: %w", err)
	}
	return Parse(out)
}

// tick is the unit of a process's start in /proc, which Linux shows in hundredths of a second on every machine.
const tick = 10 * time.Millisecond

// What is read of a guest at most. The script gives far less, but the guest is the student's, who may have put another
// program in the place of any that it runs.
const (
	// maxFile is how much is kept of a file: a configuration is never so large, a list of leases may be.
	maxFile = 256 << 10
	// maxFiles and maxUnpacked are how many files there are, and how large they are together when they are unpacked.
	maxFiles    = 512
	maxUnpacked = 16 << 20
	// maxPath is how long a path can be (PATH_MAX).
	maxPath = 4096
	// maxEntries is how many links, sockets, processes, units and lines of the journal there are of each.
	maxEntries = 2048
	// maxCommand is how long a command line is (ARG_MAX of 32 pages, as it was for long; servers have a hundred octets).
	maxCommand = 128 << 10
	// maxLinks is how long the list of links is, in octets of JSON.
	maxLinks = 512 << 10
)

// ErrNonsense means that the guest's answer is none that the script gives: it was cut off, another program answered in its
// place, or it is larger than anything that it could be.
var ErrNonsense = errors.New("the guest answers nonsense")

// errNumber is something in the place of a number. It is not quoted, for it may be of any length.
var errNumber = errors.New("not a number")

// reading takes the script's output apart.
type reading struct {
	guest Guest
	// boot is when the guest was booted, by its clock.
	boot time.Time
	// archive is the files' section so far.
	archive strings.Builder
	unit    Unit
	gone    bool // the unit is not installed
}

// Parse takes the output of the script apart. Lines that it does not know are passed over; an output that was cut off is
// ErrNonsense, because what is missing would be taken for absent.
func Parse(out []byte) (Guest, error) {
	r := &reading{guest: Guest{Links: []Link{}, Processes: []Process{}}}
	section, ended := "", false
	for raw := range bytes.Lines(out) {
		line := strings.TrimRight(string(raw), "\r\n")
		var err error
		if name, ok := strings.CutPrefix(line, "@"); ok {
			var rest string
			section, rest, _ = strings.Cut(name, " ")
			r.endUnit()
			ended = section == "end"
			if section == "time" {
				err = r.time(strings.Fields(rest))
			}
		} else {
			err = r.line(section, line)
		}
		if err != nil {
			return Guest{}, fmt.Errorf("%w: its %s: %w", ErrNonsense, untrusted.VisibleBytes([]byte(section), 20), err)
		}
	}
	if !ended {
		return Guest{}, fmt.Errorf("%w: the output ends before its end", ErrNonsense)
	}
	if err := r.files(); err != nil {
		return Guest{}, fmt.Errorf("%w: its files: %w", ErrNonsense, err)
	}
	return r.guest, nil
}

// time reads the guest's clock and for how long it has been up.
func (r *reading) time(fields []string) error {
	if len(fields) != 2 {
		return errors.New("no time")
	}
	now, err := seconds(fields[0])
	if err != nil {
		return err
	}
	up, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return errNumber
	}
	r.guest.Time = now
	r.boot = now.Add(-time.Duration(up * float64(time.Second)))
	return nil
}

// files unpacks the archive of the files.
func (r *reading) files() error {
	r.guest.Files = map[string]File{}
	if r.archive.Len() == 0 {
		return nil
	}
	packed, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(r.archive.String())))
	if err != nil {
		return err
	}
	archive := tar.NewReader(untrusted.Reader(packed, maxUnpacked))
	kept := untrusted.NewBudget(maxUnpacked) // a sparse file is larger than what it is unpacked from
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || len(h.Name) > maxPath {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(archive, maxFile))
		if err != nil {
			return err
		}
		if n == maxFiles || !kept.Take(len(text)) {
			return fmt.Errorf("%w: over %d files or %d octets", untrusted.ErrTooMuch, maxFiles, maxUnpacked)
		}
		r.guest.Files[h.Name] = File{Text: string(text), Modified: h.ModTime.UTC()}
	}
}

func (r *reading) endUnit() {
	if r.unit.Name != "" && !r.gone {
		r.guest.Units = append(r.guest.Units, r.unit)
	}
	r.unit, r.gone = Unit{}, false
}

// seconds reads a Unix time with a fraction.
func seconds(text string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, errNumber
	}
	ns, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return time.Unix(s, ns).UTC(), nil
}

func (r *reading) line(section, line string) error {
	if g := &r.guest; max(len(g.Links), len(g.Sockets), len(g.Units), len(g.Processes), len(g.Journal)) > maxEntries {
		return fmt.Errorf("%w: over %d entries", untrusted.ErrTooMuch, maxEntries)
	}
	switch section {
	case "files":
		r.archive.WriteString(line)
	case "links":
		return r.links(line)
	case "udp":
		r.socket(line, false)
	case "packet":
		r.socket(line, true)
	case "units":
		r.unitLine(line)
	case "processes":
		return r.process(line)
	case "journal":
		r.journal(line)
	}
	return nil
}

// links reads the output of ip -j address show, which is one line.
func (r *reading) links(line string) error {
	if strings.TrimSpace(line) == "" {
		return nil
	}
	if len(line) > maxLinks {
		return fmt.Errorf("%w: over %d octets", untrusted.ErrTooMuch, maxLinks)
	}
	var list []struct {
		Name    string   `json:"ifname"`
		Flags   []string `json:"flags"`
		Address string   `json:"address"`
		Info    []struct {
			Local  string `json:"local"`
			Length int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(line), &list); err != nil {
		return errors.New("not what ip address prints")
	}
	for _, x := range list {
		l := Link{Name: x.Name}
		l.MAC, _ = net.ParseMAC(x.Address) // a link may have none
		for _, flag := range x.Flags {
			l.Up = l.Up || flag == "UP"
			l.Carrier = l.Carrier || flag == "LOWER_UP"
		}
		for _, a := range x.Info {
			if addr, err := netip.ParseAddr(a.Local); err == nil {
				l.Addresses = append(l.Addresses, netip.PrefixFrom(addr, a.Length))
			}
		}
		r.guest.Links = append(r.guest.Links, l)
	}
	return nil
}

var socketOwner = regexp.MustCompile(`\(\("([^"]+)",pid=(\d+)`)

// socket reads a line of ss: "UNCONN 0 0 0.0.0.0%eth1:67 0.0.0.0:* users:…", and "p_raw UNCONN 0 0 *:eth1 * users:…".
func (r *reading) socket(line string, packet bool) {
	fields := strings.Fields(line)
	at := 3
	if packet {
		at = 4
	}
	if len(fields) <= at {
		return
	}
	s := Socket{Packet: packet}
	if m := socketOwner.FindStringSubmatch(line); m != nil {
		s.Program = m[1]
		s.PID, _ = strconv.Atoi(m[2])
	}
	colon := strings.LastIndexByte(fields[at], ':')
	if colon < 0 {
		return
	}
	host, port := fields[at][:colon], fields[at][colon+1:]
	if packet {
		if port != "*" {
			s.Interface = port
		}
	} else {
		host, s.Interface, _ = strings.Cut(host, "%")
		number, err := strconv.ParseUint(port, 10, 16)
		if host == "*" {
			host = "::"
		}
		addr, addrErr := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil || addrErr != nil {
			return
		}
		s.Local = netip.AddrPortFrom(addr, uint16(number))
	}
	r.guest.Sockets = append(r.guest.Sockets, s)
}

// unitTime is how systemctl prints a time with --timestamp=us+utc.
const unitTime = "Mon 2006-01-02 15:04:05.999999 MST"

// unitLine reads KEY=VALUE; an empty line ends a unit.
func (r *reading) unitLine(line string) {
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		r.endUnit()
		return
	}
	switch key {
	case "Id":
		r.unit.Name = value
	case "LoadState":
		r.gone = value == "not-found"
	case "ActiveState":
		r.unit.Active = value
	case "SubState":
		r.unit.Exited = value == "exited"
	case "ActiveEnterTimestamp":
		r.unit.Since, _ = time.Parse(unitTime, value) // it is empty for one that never was active
	}
}

// process reads "PID TICKS CMDLINE", the last in base64.
func (r *reading) process(line string) error {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return nil // it has ended meanwhile
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return errNumber
	}
	ticks, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return errNumber
	}
	command, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil || len(command) > maxCommand {
		return errors.New("not a command line")
	}
	r.guest.Processes = append(r.guest.Processes, Process{
		PID: pid, Started: r.boot.Add(time.Duration(ticks) * tick),
		Args: strings.Split(strings.TrimRight(string(command), "\x00"), "\x00"),
	})
	return nil
}

var journalLine = regexp.MustCompile(`^(\d+\.\d+) \S+ ([^\[:]+)(?:\[(\d+)\])?: (.*)$`)

func (r *reading) journal(line string) {
	m := journalLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	e := Entry{Program: m[2], Text: m[4]}
	e.Time, _ = seconds(m[1])
	e.PID, _ = strconv.Atoi(m[3])
	r.guest.Journal = append(r.guest.Journal, e)
}
