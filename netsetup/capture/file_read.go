package capture

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/kvmlab/kvmlab/untrusted"
)

// FormatError is returned by NewReader for what is no capture file, or one of whose frames nothing can be decoded.
type FormatError struct {
	Found string // what is there instead
	Err   error  // the cause, if any
}

// Error says what was found and what was expected.
func (e *FormatError) Error() string {
	text := e.Found + "; expected a pcap or pcapng file of Ethernet, Linux cooked or raw IP frames"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// TruncatedError is returned by Reader.Next when the file ends in the middle, or goes on with something that is no
// frame. What was read before is good.
type TruncatedError struct {
	Frames int // how many whole frames were read before
	Err    error
}

// Error says where reading stopped.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("the capture file breaks off after %d whole frames: %v", e.Frames, e.Err)
}

// Unwrap gives the cause.
func (e *TruncatedError) Unwrap() error { return e.Err }

// Reader reads frames from a pcap file (either byte order, microseconds or nanoseconds) or a pcapng file, which may be
// compressed by gzip.
type Reader struct {
	next   func() (Frame, error)
	frames int
	alien  map[int]int
	counts map[string]Counts
	links  []Link
}

// The first octets of capture files, read as big-endian numbers.
const (
	magicPcapMicro   = 0xa1b2c3d4
	magicPcapNano    = 0xa1b23c4d
	magicPcapMicroLE = 0xd4c3b2a1
	magicPcapNanoLE  = 0x4d3cb2a1
	magicPcapng      = 0x0a0d0d0a
	magicGzip        = 0x1f8b // the first two (RFC 1952 section 2.3.1)
)

// NewReader recognises the format of r by its first octets.
func NewReader(r io.Reader) (*Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	if head, err := buffered.Peek(2); err == nil && binary.BigEndian.Uint16(head) == magicGzip {
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, &FormatError{Found: "a damaged gzip file", Err: err}
		}
		buffered = bufio.NewReaderSize(unpacked, 64<<10)
	}
	head, err := buffered.Peek(4)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return nil, &FormatError{Found: "an empty file"}
	case len(head) < 4 && errors.Is(err, io.EOF):
		return nil, &FormatError{Found: fmt.Sprintf("a file of %d octets", len(head))}
	case err != nil:
		return nil, fmt.Errorf("read capture file: %w", err)
	}
	reader := &Reader{counts: map[string]Counts{}, alien: map[int]int{}}
	switch magic := binary.BigEndian.Uint32(head); magic {
	case magicPcapng:
		err = reader.openNg(buffered)
	case magicPcapMicro, magicPcapNano, magicPcapMicroLE, magicPcapNanoLE:
		err = reader.openPcap(buffered)
	default:
		return nil, &FormatError{Found: fmt.Sprintf("a file that begins with %x", head)}
	}
	if err != nil {
		return nil, err
	}
	return reader, nil
}

func (r *Reader) openPcap(in io.Reader) error {
	pcap, err := pcapgo.NewReader(in)
	if err != nil {
		return &FormatError{Found: "a damaged pcap header", Err: err}
	}
	// The upper bits say whether frames end in a check sequence (draft-ietf-opsawg-pcap section 4).
	number := pcap.LinkType() & 0xffff
	link := linkTypeOf(number)
	if link == LinkUnknown {
		return &FormatError{Found: fmt.Sprintf("a pcap file of %s frames (link type %d)", number, number)}
	}
	r.next = func() (Frame, error) {
		data, info, err := pcap.ReadPacketData()
		if errors.Is(err, io.EOF) && info.CaptureLength > 0 {
			err = io.ErrUnexpectedEOF // after the frame's header
		}
		return Frame{Time: info.Timestamp, Link: link, Data: data, Length: info.Length}, err
	}
	return nil
}

func (r *Reader) openNg(in io.Reader) error {
	ng := &ngFile{reader: r}
	var err error
	ng.NgReader, err = pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{
		WantMixedLinkType: true, SkipUnknownVersion: true, StatisticsCallback: ng.count,
	})
	if err != nil {
		return &FormatError{Found: "a damaged pcapng header", Err: err}
	}
	r.next = ng.next
	return nil
}

// ngFile reads frames and what is told about links.
type ngFile struct {
	*pcapgo.NgReader

	reader    *Reader
	described int
}

// nameOf is the name of an interface, made visible: a file may be from anywhere.
func (ng *ngFile) nameOf(index int) string {
	if link, err := ng.Interface(index); err == nil {
		return untrusted.Visible(link.Name)
	}
	return ""
}

func (ng *ngFile) count(index int, s pcapgo.NgInterfaceStatistics) {
	ng.reader.counts[ng.nameOf(index)] = Counts{Received: known(s.PacketsReceived), Dropped: known(s.PacketsDropped)}
}

// next gives every frame, also of interfaces whose frames cannot be decoded: they count in the numbers of packets.
func (ng *ngFile) next() (Frame, error) {
	data, info, about, err := ng.ReadPacketDataWithOptions()
	ng.describe()
	if err != nil {
		return Frame{}, err
	}
	number := numberOf(info)
	link := linkTypeOf(number)
	if link == LinkUnknown {
		ng.reader.alien[int(number)]++
	}
	f := Frame{
		Time: info.Timestamp, Link: link, Data: data, Length: info.Length, Interface: ng.nameOf(info.InterfaceIndex),
		Comment: untrusted.VisibleLines(strings.Join(about.Comments, "\n")),
	}
	if about.PacketID != nil {
		f.Serial = *about.PacketID
	}
	return f, nil
}

// describe notes the links that were described since the last call.
func (ng *ngFile) describe() {
	for ; ng.described < ng.NInterfaces(); ng.described++ {
		if link, err := ng.Interface(ng.described); err == nil {
			ng.reader.links = append(ng.reader.links, Link{
				Name: ng.nameOf(ng.described), Description: untrusted.Visible(link.Description),
			})
		}
	}
}

// numberOf is the link type of a frame's interface; pcapgo hands it over with each frame of a file that may mix them.
func numberOf(info gopacket.CaptureInfo) layers.LinkType {
	if len(info.AncillaryData) > 0 {
		if number, ok := info.AncillaryData[0].(layers.LinkType); ok {
			return number
		}
	}
	return layers.LinkTypeEthernet
}

// known makes a count that a file does not tell 0.
func known(n uint64) uint64 {
	if n == math.MaxUint64 {
		return 0
	}
	return n
}

// Next returns the next frame, io.EOF after the last one, and a *TruncatedError when the file breaks off.
func (r *Reader) Next() (Frame, error) {
	f, err := r.next()
	switch {
	case err == nil:
		r.frames++
		return f, nil
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return Frame{}, io.EOF
	default:
		return Frame{}, &TruncatedError{Frames: r.frames, Err: err}
	}
}

// Counts gives what the file has told so far about frames received and dropped, by link.
func (r *Reader) Counts() map[string]Counts { return r.counts }

// Alien counts the frames read so far that cannot be decoded, by the number of their link type.
func (r *Reader) Alien() map[int]int { return r.alien }

// Links gives the links that a pcapng file has described so far.
func (r *Reader) Links() []Link { return r.links }
