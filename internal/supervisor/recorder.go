package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kvmlab/kvmlab/internal/lab"
	"github.com/kvmlab/kvmlab/internal/station"
	"github.com/kvmlab/kvmlab/macgen"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// recorder captures what passes on the lab's bridges: it keeps a bounded past of it on disk and shows it to readers as
// it happens.
type recorder struct {
	links   []capture.Link
	sources []*capture.Source
	hosts   map[macgen.MAC]bool // the addresses of the links themselves
	hub     *frameHub
	dir     string
	logger  *slog.Logger

	mu      sync.Mutex // guards what follows; held from a frame's way to the disk to its way into the hub
	serial  uint64     // of the newest frame
	kept    *evidence
	log     *evidenceLog // of kept; nil, as other, in a lab without bridges
	other   *rollingRing
	floods  *floodWatch
	unkept  uint64                   // frames that the disk had no room for
	failed  bool                     // the last write to the disk failed, and that was logged
	drains  []*drain                 // asked for, not yet done
	streams map[string]chan struct{} // by id; closed to end the stream
}

// drain waits until every source has handed over what had arrived when it was asked for.
type drain struct {
	waiting map[*capture.Source]uint64 // what Drained must reach
	done    chan struct{}
}

// openRecorder begins to listen on every bridge. A lab without bridges has nothing to listen on.
func openRecorder(l *lab.Lab, dir, netNS string, logger *slog.Logger) (_ *recorder, err error) {
	r := &recorder{
		hub: newFrameHub(), dir: dir, logger: logger, hosts: map[macgen.MAC]bool{}, streams: map[string]chan struct{}{},
	}
	for _, bridge := range l.Bridges {
		r.links = append(r.links, capture.Link{
			Name: bridge.Name, Description: fmt.Sprintf("bridge %s of lab %s", bridge.Name, l.Name),
		})
	}
	for _, link := range r.links {
		source, err := capture.OpenSource(capture.SourceOptions{Interface: link.Name, NetNS: netNS})
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.sources = append(r.sources, source)
		r.hosts[macgen.MAC(source.HardwareAddr())] = true
	}
	r.kept = newEvidence(func(address macgen.MAC) bool {
		_, _, guest := l.Station(address)
		return guest || r.hosts[address] || station.Is(address[:])
	})
	r.floods = newFloodWatch(r.kept.ours)
	if len(r.links) > 0 {
		err = r.openPast()
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// openPast goes on after what an earlier supervisor has kept.
func (r *recorder) openPast() (err error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil { // the lab may be older than its captures
		return fmt.Errorf("create capture folder: %w", err)
	}
	if r.log, r.serial, err = openLog(r.dir, r.links, r.kept); err != nil {
		return err
	}
	r.other, err = openRing(r.dir, r.links)
	if err != nil {
		return err
	}
	newest, err := r.other.newest()
	r.serial = max(r.serial, newest)
	return err
}

// Close closes the sockets and files.
func (r *recorder) Close() error {
	var errs []error
	for _, source := range r.sources {
		errs = append(errs, source.Close())
	}
	if r.log != nil {
		errs = append(errs, r.log.close(r.kept))
	}
	if r.other != nil {
		errs = append(errs, r.other.close())
	}
	return errors.Join(errs...)
}

// Run records until ctx ends, and then what has arrived until then.
func (r *recorder) Run(ctx context.Context) error {
	var group errgroup.Group
	for _, source := range r.sources {
		group.Go(func() error { return r.read(ctx, source) })
	}
	stop := context.AfterFunc(ctx, func() {
		for _, source := range r.sources {
			if _, err := source.Wake(); err != nil {
				r.logger.Warn("wake capture", "err", err)
			}
		}
	})
	defer stop()
	err := group.Wait()
	r.mu.Lock()
	for _, d := range r.drains { // nothing more will come
		close(d.done)
	}
	r.drains = nil
	r.mu.Unlock()
	r.hub.close()
	return errors.Join(err, r.Close())
}

// read takes the frames of one source.
func (r *recorder) read(ctx context.Context, source *capture.Source) error {
	for {
		frame, err := source.Next()
		switch {
		case errors.Is(err, capture.ErrDrained):
			r.drained(source)
			if ctx.Err() != nil {
				return nil
			}
		case err != nil:
			return err
		default:
			r.take(frame)
		}
	}
}

// take numbers a frame, keeps it and shows it. A disk that is full does not end the lab: the frame is shown all the
// same.
func (r *recorder) take(f capture.Frame) {
	kind := kindOf(f.Data)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	f.Serial = r.serial
	if !r.hosts[senderOf(f.Data)] { // kvmlab's own server answers as often as it is asked
		r.floods.see(kind, f)
	}
	err := r.keep(kind, f)
	if err != nil {
		r.unkept++
	}
	if err != nil && !r.failed {
		r.logger.Warn("keep captured frame", "iface", f.Interface, "err", err)
	}
	r.failed = err != nil
	r.hub.publish(f)
}

// keep puts a frame where it is kept.
func (r *recorder) keep(kind frameKind, f capture.Frame) error {
	if kind == kindOther {
		return r.other.write(f)
	}
	r.kept.keep(kind, f)
	return r.log.write(f, r.kept)
}

// drain returns when everything that was on the wire before the call has been taken.
func (r *recorder) drain(ctx context.Context) error {
	d := &drain{waiting: map[*capture.Source]uint64{}, done: make(chan struct{})}
	r.mu.Lock()
	for _, source := range r.sources {
		// The first number that is enough is one more than the wakes so far; Wake tells which it is.
		n, err := source.Wake()
		if err != nil {
			r.mu.Unlock()
			return err
		}
		d.waiting[source] = n
	}
	r.drains = append(r.drains, d)
	r.mu.Unlock()
	if len(r.sources) == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-d.done:
		return nil
	}
}

// drained ends the drains that waited for this source alone.
func (r *recorder) drained(source *capture.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var left []*drain
	for _, d := range r.drains {
		if n, ok := d.waiting[source]; ok && source.Drained() >= n {
			delete(d.waiting, source)
		}
		if len(d.waiting) == 0 {
			close(d.done)
			continue
		}
		left = append(left, d)
	}
	r.drains = left
}

// counts tells how many frames each link has had and lost since the recorder began.
func (r *recorder) counts() map[string]capture.Counts {
	out := map[string]capture.Counts{}
	for i, source := range r.sources {
		counts, err := source.Counts()
		if err != nil {
			r.logger.Warn("count captured frames", "iface", r.links[i].Name, "err", err)
		}
		out[r.links[i].Name] = counts
	}
	return out
}

// status describes the links for GET /v1/status.
func (r *recorder) status() []LinkStatus {
	out := []LinkStatus{}
	counts := r.counts()
	for i, link := range r.links {
		c := counts[link.Name]
		out = append(out, LinkStatus{
			Name: link.Name, MAC: r.sources[i].HardwareAddr().String(), Received: c.Received, Dropped: c.Dropped,
		})
	}
	return out
}

// troubles tells what has stood in the way of the evidence: floods, and how many frames the disk has refused.
func (r *recorder) troubles(now time.Time, station func(macgen.MAC) (guest, nic string, ok bool)) ([]Flood, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.floods.list(now, station), r.unkept
}
