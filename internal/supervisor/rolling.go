package supervisor

import (
	"errors"
	"slices"
	"time"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// A lab's rolling capture is the evidence, which has budgets (see evidence), and everything else, which is kept in a
// ring of files.
const (
	rollingFileSize = 4 << 20 // octets, after which the next file begins
	rollingFiles    = 4
	tapeEvidence    = "dhcp"  // DHCP, ARP and ICMP
	tapeOther       = "other" // everything else
)

// retryAfter is how long a disk that has refused something is left alone.
const retryAfter = time.Second

// errDiskFull is returned while the disk is left alone.
var errDiskFull = errors.New("the disk has refused the last capture file")

// pause is the time after the disk has refused something.
type pause struct{ since time.Time }

func (p *pause) begin(now time.Time) { p.since = now }

// lasts reports whether the pause is not over, by the clock of frames, which may be set back.
func (p *pause) lasts(now time.Time) bool {
	passed := now.Sub(p.since)
	return passed >= 0 && passed < retryAfter
}

// rollingRing writes frames to files of bounded size and removes the oldest ones.
type rollingRing struct {
	dir    string
	links  []capture.Link
	number int
	tape   *tape
	pause  pause
}

// openRing goes on after the files that are there.
func openRing(dir string, links []capture.Link) (*rollingRing, error) {
	files, err := tapes(dir, tapeOther)
	if err != nil {
		return nil, err
	}
	return &rollingRing{dir: dir, links: links, number: tapeNumber(files, tapeOther)}, nil
}

// write appends a frame. When the disk is full the frame is lost, and not what was kept before it.
func (r *rollingRing) write(f capture.Frame) error {
	if r.tape == nil || r.tape.size >= rollingFileSize {
		if r.pause.lasts(f.Time) {
			return errDiskFull
		}
		if err := r.turn(); err != nil {
			r.pause.begin(f.Time)
			return err
		}
	}
	return r.tape.write(f)
}

// turn begins the next file, and only then removes what is too old.
func (r *rollingRing) turn() error {
	next, err := newTape(r.dir, tapeOther, r.number+1, r.links)
	if err != nil {
		return err
	}
	old := r.tape
	r.tape, r.number = next, r.number+1
	files, err := tapes(r.dir, tapeOther)
	if err != nil {
		return errors.Join(err, old.close())
	}
	return errors.Join(old.close(), removeTapes(files[:max(0, len(files)-rollingFiles)]))
}

// newest is the number of the newest frame that the files hold.
func (r *rollingRing) newest() (newest uint64, err error) {
	files, err := tapes(r.dir, tapeOther)
	for _, file := range slices.Backward(files) {
		if newest > 0 || err != nil {
			break
		}
		err = eachFrame(file, func(f capture.Frame) { newest = max(newest, f.Serial) })
	}
	return newest, err
}

func (r *rollingRing) close() error { return r.tape.close() }
