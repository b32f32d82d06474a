package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/kvmlab/kvmlab/internal/diag"
	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/station"
	"github.com/kvmlab/kvmlab/internal/supervisor"
	"github.com/kvmlab/kvmlab/internal/watch"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// endLimit bounds how long a supervisor may take to hand over the last frames.
const endLimit = 5 * time.Second

// labWire is a lab's frames: a source that ends cleanly when ctx does.
type labWire struct {
	app    *app
	client *supervisor.Client
	stream *supervisor.FrameStream
	names  *watch.Names
	lab    *lab.Lab

	stop func() bool
	once sync.Once
}

// openLabWire connects to the supervisor of a lab, or of the only one when none is named.
func openLabWire(ctx context.Context, a *app, name, command, since string) (*labWire, error) {
	from, err := parseSince(since, a.now())
	if err != nil {
		return nil, err
	}
	return connectWire(ctx, a, name, command, func(w *labWire) (*supervisor.FrameStream, error) {
		// Not under ctx: its end must not cut the stream, see end.
		return w.client.Frames(context.WithoutCancel(ctx), from)
	})
}

// openKeptWire is openLabWire for what was kept for checks, which ends by itself.
func openKeptWire(ctx context.Context, a *app, name, command string) (*labWire, error) {
	return connectWire(ctx, a, name, command, func(w *labWire) (*supervisor.FrameStream, error) {
		return w.client.Evidence(ctx)
	})
}

// connectWire finds a lab and opens a stream of its supervisor.
func connectWire(
	ctx context.Context, a *app, name, command string, open func(*labWire) (*supervisor.FrameStream, error),
) (*labWire, error) {
	if os.Geteuid() != 0 {
		return nil, diag.New(diag.NotRoot, diag.Args{"command": "kvmlab"})
	}
	name, err := chooseLab(a, name, command)
	if err != nil {
		return nil, err
	}
	files, err := a.dirs.Lab(name)
	if err != nil {
		return nil, err
	}
	l, err := readLab(files)
	if err != nil {
		return nil, err
	}
	w := &labWire{app: a, client: supervisor.NewClient(files.SupervisorSocket()), names: watch.NewNames(), lab: l}
	if w.stream, err = open(w); err != nil {
		w.client.Close()
		if refused := new(net.OpError); errors.As(err, &refused) {
			return nil, diag.New(diag.SupervisorDead, diag.Args{"lab": name}).Wrap(err)
		}
		if errors.Is(err, supervisor.ErrBusy) {
			return nil, diag.New(diag.TooManyReaders, diag.Args{"lab": name, "most": supervisor.MostReaders}).Wrap(err)
		}
		return nil, err
	}
	w.nameStations(ctx)
	w.stop = context.AfterFunc(ctx, w.end)
	return w, nil
}

// chooseLab checks the name of a lab, or finds the only lab.
func chooseLab(a *app, name, command string) (string, error) {
	known, err := a.dirs.Labs()
	switch {
	case err != nil:
		return "", err
	case name != "" && !slices.Contains(known, name):
		return "", noSuchLab(name, known)
	case name != "":
		return name, nil
	case len(known) == 0:
		return "", diag.New(diag.NoLabs, diag.Args{"command": command})
	case len(known) > 1:
		return "", diag.New(diag.WhichLab, diag.Args{"known": known, "command": command})
	}
	return known[0], nil
}

// parseSince makes of --since what the supervisor understands.
func parseSince(text string, now time.Time) (string, error) {
	if text == "" || text == "up" {
		return text, nil
	}
	if span, err := time.ParseDuration(text); err == nil && span >= 0 {
		return now.Add(-span).Format(time.RFC3339Nano), nil
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if clock, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			year, month, day := now.Date()
			at := time.Date(year, month, day, clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
			if at.After(now) {
				at = at.AddDate(0, 0, -1)
			}
			return at.Format(time.RFC3339Nano), nil
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.Format(time.RFC3339Nano), nil
	}
	return "", diag.New(diag.BadFlag, diag.Args{
		"flag": "--since", "value": text, "allowed": "up, a time span such as 5m, a time of day such as 10:30",
	})
}

// nameStations tells who is who: the guests by the lab file, the host by its bridges.
func (w *labWire) nameStations(ctx context.Context) {
	for _, guest := range w.lab.Guests {
		for i, nic := range guest.NICs {
			name := guest.Name
			if i > 0 {
				name += ":" + nic.Name
			}
			w.names.Tell(nic.MAC[:], name, watch.Client)
		}
	}
	var bridges []string
	for _, b := range w.lab.Bridges {
		bridges = append(bridges, b.Name)
	}
	for mac, name := range station.Names(bridges) {
		w.names.Tell(mac[:], name, watch.Stranger)
	}
	ctx, cancel := context.WithTimeout(ctx, supervisorAnswer)
	defer cancel()
	st, err := w.client.Status(ctx)
	if err != nil {
		w.app.log.Debug("ask the supervisor for its links", "lab", w.lab.Name, "err", err)
		return
	}
	for _, link := range st.Links {
		role, name := watch.Stranger, link.Name
		if bridge, ok := w.lab.Bridge(link.Name); ok && bridge.DHCP != nil {
			role, name = watch.Server, "server"
		}
		if address, err := net.ParseMAC(link.MAC); err == nil {
			w.names.Tell(capture.HardwareAddr(address), name, role)
		}
	}
}

// end asks the supervisor for the last frames; Next then goes on to io.EOF.
func (w *labWire) end() {
	w.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), endLimit)
		defer cancel()
		if err := w.stream.End(ctx); err != nil {
			w.app.log.Warn("end capture", "lab", w.lab.Name, "err", err)
			_ = w.stream.Close() // wakes Next
		}
	})
}

// Next waits for a frame. The end of the supervisor, however it comes, is the end of the wire.
func (w *labWire) Next() (capture.Frame, error) {
	f, err := w.stream.Next()
	if err != nil {
		return capture.Frame{}, io.EOF
	}
	return f, nil
}

// Close ends the connection.
func (w *labWire) Close() error {
	w.stop()
	err := w.stream.Close()
	w.client.Close()
	return err
}

// tellDrops warns of frames that are missing.
func (w *labWire) tellDrops() {
	var list diag.List
	for link, counts := range w.stream.Counts() {
		if counts.Dropped > 0 {
			list = append(list, diag.New(diag.FramesDropped, diag.Args{"count": counts.Dropped, "link": link}))
		}
	}
	w.app.showDiagnostics(list)
}

// runLive shows a lab's wire until it ends or the user does.
func (o *watchOptions) runLive(ctx context.Context, selection watch.Selection) (err error) {
	w, err := openLabWire(ctx, o.app, o.lab, "watch", o.since)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := o.show(ctx, w.lab.Name, w, watch.NewFollower(w.names), selection); err != nil {
		return err
	}
	w.tellDrops()
	return nil
}
