package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// A lab's rolling capture is two rings of files. What DHCP is taught with has one of its own, so that a download in a
// guest does not push it out.
const (
	rollingFileSize = 4 << 20 // octets, after which the next file begins
	rollingFiles    = 4       // of each ring
	ringLessons     = "dhcp"  // DHCP, ARP and ICMP
	ringOther       = "other" // everything else
	rollingSuffix   = ".pcapng"
)

// rollingRing writes frames to files of bounded size and removes the oldest ones. Every frame is handed to the kernel
// at once, so that it survives the end of this process, however it ends.
type rollingRing struct {
	dir, kind string
	links     []capture.Link
	number    int
	file      *os.File
	out       *capture.Writer
}

// openRing goes on after the files that are there.
func openRing(dir, kind string, links []capture.Link) (*rollingRing, error) {
	r := &rollingRing{dir: dir, kind: kind, links: links}
	files, err := ringFiles(dir, kind)
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		r.number = ringNumber(files[len(files)-1], kind)
	}
	return r, nil
}

// ringFiles lists the files of a ring, oldest first.
func ringFiles(dir, kind string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, kind+"-*"+rollingSuffix))
	if err != nil {
		return nil, fmt.Errorf("list captures: %w", err)
	}
	slices.Sort(files) // the numbers have leading zeros
	return files, nil
}

func ringNumber(file, kind string) int {
	text := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), kind+"-"), rollingSuffix)
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// write appends a frame. After an error the next frame begins a new file.
func (r *rollingRing) write(f capture.Frame) error {
	if r.out == nil || r.out.Size() >= rollingFileSize {
		if err := r.turn(); err != nil {
			return err
		}
	}
	if err := errors.Join(r.out.Write(f), r.out.Flush()); err != nil {
		return errors.Join(err, r.close())
	}
	return nil
}

// turn begins the next file and removes what is too old.
func (r *rollingRing) turn() error {
	if err := r.close(); err != nil {
		return err
	}
	r.number++
	path := filepath.Join(r.dir, fmt.Sprintf("%s-%08d%s", r.kind, r.number, rollingSuffix))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return fmt.Errorf("begin capture file: %w", err)
	}
	out, err := capture.NewWriter(file, "kvmlab", r.links...)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	r.file, r.out = file, out
	files, err := ringFiles(r.dir, r.kind)
	if err != nil {
		return err
	}
	for len(files) > rollingFiles {
		if err := os.Remove(files[0]); err != nil {
			return fmt.Errorf("remove old capture file: %w", err)
		}
		files = files[1:]
	}
	return nil
}

func (r *rollingRing) close() error {
	if r.file == nil {
		return nil
	}
	err := errors.Join(r.out.Flush(), r.file.Close())
	r.file, r.out = nil, nil
	return err
}

// pastFrames reads what both rings hold, oldest frame first. The files are opened at once, so that they can be read to
// their end even after their names are gone; what is written later is not read.
type pastFrames struct {
	rings [2]*pastRing
	heads [2]*capture.Frame
}

// pastRing reads the files of one ring one after the other.
type pastRing struct {
	files  []pastFile
	reader *capture.Reader
}

type pastFile struct {
	*os.File
	size int64
}

func openPast(dir string) (*pastFrames, error) {
	p := &pastFrames{}
	for i, kind := range []string{ringLessons, ringOther} {
		p.rings[i] = &pastRing{}
		names, err := ringFiles(dir, kind)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		for _, name := range names {
			file, err := os.Open(name)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("open capture file: %w", err), p.close())
			}
			info, err := file.Stat()
			if err != nil {
				return nil, errors.Join(fmt.Errorf("open capture file: %w", err), file.Close(), p.close())
			}
			p.rings[i].files = append(p.rings[i].files, pastFile{file, info.Size()})
		}
	}
	return p, nil
}

// next is the oldest frame not yet read, false at the end.
func (p *pastFrames) next() (capture.Frame, bool) {
	for i := range p.rings {
		if p.heads[i] == nil {
			if f, ok := p.rings[i].next(); ok {
				p.heads[i] = &f
			}
		}
	}
	oldest := -1
	for i, head := range p.heads {
		if head != nil && (oldest < 0 || head.Time.Before(p.heads[oldest].Time)) {
			oldest = i
		}
	}
	if oldest < 0 {
		return capture.Frame{}, false
	}
	f := *p.heads[oldest]
	p.heads[oldest] = nil
	return f, true
}

// next reads on. A file that breaks off, because its writer was killed, ends there.
func (r *pastRing) next() (capture.Frame, bool) {
	for {
		if r.reader != nil {
			if f, err := r.reader.Next(); err == nil {
				return f, true
			}
			r.reader = nil
			_ = r.files[0].Close() // it was only read
			r.files = r.files[1:]
		}
		if len(r.files) == 0 {
			return capture.Frame{}, false
		}
		reader, err := capture.NewReader(io.LimitReader(r.files[0], r.files[0].size))
		if err != nil { // not even its header was written
			_ = r.files[0].Close()
			r.files = r.files[1:]
			continue
		}
		r.reader = reader
	}
}

func (p *pastFrames) close() error {
	var errs []error
	for _, ring := range p.rings {
		if ring != nil {
			for _, file := range ring.files {
				errs = append(errs, file.Close())
			}
		}
	}
	return errors.Join(errs...)
}
