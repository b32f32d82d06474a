package supervisor

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// pastOther reads the ring of what is no evidence, oldest frame first. One file is open at a time; a file that the
// ring has dropped before its turn is left out, and what was written after the beginning is not read.
type pastOther struct {
	files  []string
	last   int64 // octets of the newest file
	file   *os.File
	reader *capture.Reader
}

// openPastOther fixes what is past; to be called while nobody writes.
func openPastOther(dir string) (*pastOther, error) {
	files, err := tapes(dir, tapeOther)
	if err != nil || len(files) == 0 {
		return &pastOther{}, err
	}
	info, err := os.Stat(files[len(files)-1])
	if err != nil {
		return nil, fmt.Errorf("open capture file: %w", err)
	}
	return &pastOther{files: files, last: info.Size()}, nil
}

// next reads on, false at the end.
func (p *pastOther) next() (capture.Frame, bool) {
	for {
		if p.reader != nil {
			if f, err := p.reader.Next(); err == nil {
				return f, true
			}
		}
		p.close()
		if len(p.files) == 0 {
			return capture.Frame{}, false
		}
		p.open()
	}
}

// open opens the next file, if it is still there.
func (p *pastOther) open() {
	name := p.files[0]
	p.files = p.files[1:]
	file, err := os.Open(filepath.Clean(name))
	if err != nil {
		return
	}
	var in io.Reader = file
	if len(p.files) == 0 {
		in = io.LimitReader(file, p.last)
	}
	p.file = file
	p.reader, err = capture.NewReader(in)
	if err != nil { // not even its header was written
		p.close()
	}
}

func (p *pastOther) close() {
	if p.file != nil {
		_ = p.file.Close() // it was only read
	}
	p.file, p.reader = nil, nil
}

// past is everything that was captured and is still kept, in the order of the numbers: the evidence, which is in
// memory, and the rest on disk.
type past struct {
	evidence []capture.Frame
	other    *pastOther
	head     *capture.Frame // of other, read and not yet returned
}

// past fixes what is past; the lock is held, so that no frame is between disk and hub.
func (r *recorder) past() (*past, error) {
	other, err := openPastOther(r.dir)
	if err != nil {
		return nil, err
	}
	return &past{evidence: r.kept.all(), other: other}, nil
}

// next is the oldest frame not yet read, false at the end.
func (p *past) next() (capture.Frame, bool) {
	if p.head == nil {
		if f, ok := p.other.next(); ok {
			p.head = &f
		}
	}
	if len(p.evidence) > 0 && (p.head == nil || byNumber(p.evidence[0], *p.head) < 0) {
		f := p.evidence[0]
		p.evidence = p.evidence[1:]
		return f, true
	}
	if p.head == nil {
		return capture.Frame{}, false
	}
	f := *p.head
	p.head = nil
	return f, true
}

func (p *past) close() { p.other.close() }
