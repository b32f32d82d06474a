package supervisor

import (
	"errors"
	"fmt"
	"os"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// logSlack is how many octets of frames that are kept no more a log may hold beside twice what is kept.
const logSlack = 4 << 20

// evidenceLog is the evidence on disk: every frame is appended as it comes. When the file has grown, what is still
// kept is written anew, and only then the old file removed.
type evidenceLog struct {
	dir    string
	links  []capture.Link
	number int
	tape   *tape
	limit  int64 // octets, after which the file is written anew
	behind bool  // a frame is missing on the disk
	pause  pause
}

// openLog reads into kept what an earlier supervisor has left, and goes on after it. It returns the newest number.
func openLog(dir string, links []capture.Link, kept *evidence) (*evidenceLog, uint64, error) {
	l := &evidenceLog{dir: dir, links: links}
	files, err := tapes(dir, tapeEvidence)
	if err != nil {
		return nil, 0, err
	}
	l.number = tapeNumber(files, tapeEvidence)
	newest := uint64(0)
	for _, file := range files {
		// After a kill in the middle of writing anew, the old file is there beside the new one.
		err := eachFrame(file, func(f capture.Frame) {
			if kind := kindOf(f.Data); kind != kindOther && (f.Serial == 0 || f.Serial > newest) {
				kept.keep(kind, f)
			}
			newest = max(newest, f.Serial)
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return l, newest, nil
}

// eachFrame reads a file. One that breaks off, because its writer was killed, ends there.
func eachFrame(path string, do func(capture.Frame)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open capture file: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	reader, err := capture.NewReader(file)
	if err != nil {
		return nil //nolint:nilerr // not even its header was written
	}
	for {
		f, err := reader.Next()
		if err != nil {
			return nil //nolint:nilerr // its end, or where it breaks off
		}
		do(f)
	}
}

// write appends a frame that kept holds already. While the disk is full the frame is in memory alone; it goes to the
// disk with the others when there is room again.
func (l *evidenceLog) write(f capture.Frame, kept *evidence) error {
	err := errDiskFull
	if (l.tape == nil || l.behind || l.tape.size >= l.limit) && !l.pause.lasts(f.Time) {
		if err = l.renew(kept); err == nil {
			return nil
		}
		l.pause.begin(f.Time)
	}
	if l.tape == nil || l.behind {
		l.behind = true
		return err
	}
	if err := l.tape.write(f); err != nil {
		l.behind = true
		l.pause.begin(f.Time)
		return err
	}
	return nil
}

// renew writes a file that holds what is kept, under a name that nobody reads, and puts it into the place of the old
// ones.
func (l *evidenceLog) renew(kept *evidence) error {
	next, err := l.copy(kept)
	if err != nil {
		return err
	}
	old := l.tape
	l.tape, l.number, l.behind = next, l.number+1, false
	l.limit = 2*next.size + logSlack
	files, err := tapes(l.dir, tapeEvidence)
	if err != nil {
		return errors.Join(err, old.close())
	}
	return errors.Join(old.close(), removeTapes(files[:max(0, len(files)-1)]))
}

// copy writes what is kept into a new file, whole or not at all.
func (l *evidenceLog) copy(kept *evidence) (_ *tape, err error) {
	const draft = "draft"
	if err := os.RemoveAll(tapePath(l.dir, draft, 0)); err != nil { // of a supervisor that was killed
		return nil, fmt.Errorf("begin capture file: %w", err)
	}
	next, err := newTape(l.dir, draft, 0, l.links)
	if err != nil {
		return nil, err
	}
	for _, f := range kept.all() {
		if err = next.out.Write(f); err == nil && next.block.Len() > 1<<16 {
			err = next.save()
		}
		if err != nil {
			break
		}
	}
	err = errors.Join(err, next.save())
	if err == nil {
		err = os.Rename(tapePath(l.dir, draft, 0), tapePath(l.dir, tapeEvidence, l.number+1))
	}
	if err != nil {
		return nil, errors.Join(err, next.close(), os.Remove(tapePath(l.dir, draft, 0)))
	}
	return next, nil
}

// close writes what the disk had no room for, if it has now.
func (l *evidenceLog) close(kept *evidence) error {
	var err error
	if l.behind {
		err = l.renew(kept)
	}
	return errors.Join(err, l.tape.close())
}
