package capture

import (
	"fmt"
	"io"
	"runtime"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// snapLength is what a file claims to hold of each frame at the most: more than the largest that a virtual link passes.
const snapLength = 256 << 10

// nanoseconds is the time resolution of every file that Writer writes: 10^-9 s.
const nanoseconds = 9

// Link describes an interface in a pcapng file.
type Link struct {
	Name        string // "br1"
	Description string // "bridge br1 of lab three-taps"
}

// Counts says how a capture on one link went.
type Counts struct {
	Received uint64 `json:"received"` // frames that the link handed over, dropped ones included
	Dropped  uint64 `json:"dropped"`  // frames that were lost because nobody took them in time
}

// Writer writes pcapng. It buffers: Flush hands everything on.
type Writer struct {
	ng    *pcapgo.NgWriter
	out   io.Writer
	links map[string]int
	size  *countingWriter
}

// countingWriter counts what passes.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// NewWriter begins a file with a section header that names application, and describes links. There must be at least one.
func NewWriter(w io.Writer, application string, links ...Link) (*Writer, error) {
	if len(links) == 0 {
		return nil, fmt.Errorf("begin capture file: no link to describe")
	}
	out := &Writer{out: w, links: map[string]int{}, size: &countingWriter{w: w}}
	var err error
	out.ng, err = pcapgo.NewNgWriterInterface(out.size, ngInterface(links[0]), pcapgo.NgWriterOptions{
		SectionInfo: pcapgo.NgSectionInfo{Hardware: runtime.GOARCH, OS: runtime.GOOS, Application: application},
	})
	if err != nil {
		return nil, fmt.Errorf("begin capture file: %w", err)
	}
	out.links[links[0].Name] = 0
	for _, link := range links[1:] {
		if err := out.AddLink(link); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func ngInterface(link Link) pcapgo.NgInterface {
	return pcapgo.NgInterface{
		Name: link.Name, Description: link.Description, OS: runtime.GOOS,
		LinkType: layers.LinkTypeEthernet, TimestampResolution: nanoseconds, SnapLength: snapLength,
	}
}

// AddLink describes one more link, unless it is there.
func (w *Writer) AddLink(link Link) error {
	if _, there := w.links[link.Name]; there {
		return nil
	}
	id, err := w.ng.AddInterface(ngInterface(link))
	if err != nil {
		return fmt.Errorf("describe link %q in capture file: %w", link.Name, err)
	}
	w.links[link.Name] = id
	return nil
}

// Write writes a frame with its comment and its number, if it has them. A frame of a link that was not described
// before describes it. It takes Ethernet frames only, as every link of a lab carries.
func (w *Writer) Write(f Frame) error {
	if f.Link != LinkEthernet {
		return fmt.Errorf("write frame to capture file: a %s frame among Ethernet frames", f.Link)
	}
	if err := w.AddLink(Link{Name: f.Interface}); err != nil {
		return err
	}
	info := gopacket.CaptureInfo{
		Timestamp: f.Time, CaptureLength: len(f.Data), Length: max(f.Length, len(f.Data)), InterfaceIndex: w.links[f.Interface],
	}
	var options pcapgo.NgPacketOptions
	if f.Comment != "" {
		options.Comments = []string{f.Comment}
	}
	if f.Serial > 0 {
		options.PacketID = &f.Serial
	}
	if err := w.ng.WritePacketWithOptions(info, f.Data, options); err != nil {
		return fmt.Errorf("write frame to capture file: %w", err)
	}
	return nil
}

// WriteCounts writes how many frames a link had, in an interface statistics block.
func (w *Writer) WriteCounts(link string, counts Counts, at Frame) error {
	id, there := w.links[link]
	if !there {
		return fmt.Errorf("write counts of link %q to capture file: it is not in it", link)
	}
	err := w.ng.WriteInterfaceStats(id, pcapgo.NgInterfaceStatistics{
		LastUpdate: at.Time, PacketsReceived: counts.Received, PacketsDropped: counts.Dropped,
	})
	if err != nil {
		return fmt.Errorf("write counts to capture file: %w", err)
	}
	return nil
}

// Flush hands everything written so far to the underlying writer.
func (w *Writer) Flush() error {
	if err := w.ng.Flush(); err != nil {
		return fmt.Errorf("write capture file: %w", err)
	}
	return nil
}

// Size is how many octets have been handed on, without those still buffered.
func (w *Writer) Size() int64 { return w.size.n }
