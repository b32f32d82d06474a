//kvmlab:needs tcpdump tshark

package capture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// exchange is four frames on two links, two of them with comments.
func exchange(tb testing.TB) []capture.Frame {
	tb.Helper()
	var frames []capture.Frame
	for i := range 4 {
		data := udpFrame(tb, dhcpMessage(53, 1, byte(i+1), 255))
		frames = append(frames, capture.Frame{
			Time: noon.Add(time.Duration(i)*time.Second + 1), Interface: []string{"br1", "br2"}[i/3], Data: data, Length: len(data),
		})
	}
	frames[1].Comment = "2/4 OFFER 192.168.1.2 to pc1"
	frames[2].Comment = "año: a comment that is not ASCII"
	frames[3].Data = frames[3].Data[:100] // the capture cut it
	return frames
}

func writeFile(tb testing.TB, frames []capture.Frame) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := capture.NewWriter(&out, "kvmlab test",
		capture.Link{Name: "br1", Description: "bridge br1 of lab three-taps"}, capture.Link{Name: "br2"})
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range frames {
		if err := w.Write(f); err != nil {
			tb.Fatal(err)
		}
	}
	last := capture.Frame{Time: noon.Add(time.Minute)}
	if err := errors.Join(w.WriteCounts("br1", capture.Counts{Received: 3, Dropped: 1}, last), w.Flush()); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// readAll reads until the first error.
func readAll(in io.Reader) (frames []capture.Frame, r *capture.Reader, err error) {
	if r, err = capture.NewReader(in); err != nil {
		return nil, nil, err
	}
	for {
		f, err := r.Next()
		if err != nil {
			return frames, r, err
		}
		frames = append(frames, f)
	}
}

func TestPcapngRoundTrip(t *testing.T) {
	t.Parallel()
	want := exchange(t)
	got, r, err := readAll(bytes.NewReader(writeFile(t, want)))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-written +read:\n%s", d)
	}
	if c := r.Counts()["br1"]; c != (capture.Counts{Received: 3, Dropped: 1}) {
		t.Errorf("counts %+v", c)
	}
	links := []capture.Link{{Name: "br1", Description: "bridge br1 of lab three-taps"}, {Name: "br2"}}
	if d := cmp.Diff(links, r.Links()); d != "" {
		t.Errorf("links: %s", d)
	}
}

// TestPcapngForWireshark: capinfos and tshark read the file without a word of complaint and see the same.
func TestPcapngForWireshark(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "capinfos", "tshark")
	file := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(file, writeFile(t, exchange(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	info := runQuietly(t, "capinfos", file)
	for _, want := range []string{
		"Number of packets:   4", "Time precision = nanoseconds (9)", "Name = br1", "Description = bridge br1 of lab three-taps",
		"Encapsulation = Ethernet", "Number of stat entries = 1",
	} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, info)
		}
	}
	got := runQuietly(t, "tshark", "-r", file, "-T", "fields", "-E", "separator=;", "-e", "frame.time_epoch", "-e", "frame.interface_name",
		"-e", "frame.comment", "-e", "frame.len", "-e", "frame.cap_len")
	var want strings.Builder
	for _, f := range exchange(t) {
		fmt.Fprintf(&want, "%d.%09d;%s;%s;%d;%d\n", f.Time.Unix(), f.Time.Nanosecond(), f.Interface, f.Comment, f.Length, len(f.Data))
	}
	if d := cmp.Diff(want.String(), got); d != "" {
		t.Errorf("-ours +tshark:\n%s", d)
	}
}

// runQuietly runs a program that must succeed and write nothing to standard error but Wireshark's remark about root.
func runQuietly(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	said := strings.ReplaceAll(stderr.String(), "Running as user \"root\" and group \"root\". This could be dangerous.\n", "")
	if err != nil || said != "" {
		tb.Fatalf("%s: %v\n%s", name, err, said)
	}
	return string(out)
}

// pcapFile writes the old format by hand, in either byte order and resolution.
func pcapFile(order binary.AppendByteOrder, nano bool, frames []capture.Frame) []byte {
	magic, unit := uint32(0xa1b2c3d4), 1000
	if nano {
		magic, unit = 0xa1b23c4d, 1
	}
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(order.AppendUint32(b, 65535), 1)
	for _, f := range frames {
		b = order.AppendUint32(b, uint32(f.Time.Unix()))
		b = order.AppendUint32(b, uint32(f.Time.Nanosecond()/unit))
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(f.Data))), uint32(f.Length))
		b = append(b, f.Data...)
	}
	return b
}

func TestPcapReader(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		for _, nano := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, nanoseconds %v", name, nano), func(t *testing.T) {
				t.Parallel()
				want := exchange(t)
				got, _, err := readAll(bytes.NewReader(pcapFile(order, nano, want)))
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				for i := range want {
					want[i].Interface, want[i].Comment = "", ""
					if !nano {
						want[i].Time = want[i].Time.Truncate(time.Microsecond)
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("-want +got:\n%s", d)
				}
			})
		}
	}
}

// TestTruncatedFiles cuts files of each kind at every octet: what is whole before the cut is read, and the cut is told
// unless it is between two blocks.
func TestTruncatedFiles(t *testing.T) {
	t.Parallel()
	frames := exchange(t)
	for name, file := range map[string][]byte{
		"pcapng": writeFile(t, frames), "pcap": pcapFile(binary.LittleEndian, true, frames),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ends := map[int]bool{}
			for cut := range len(file) {
				got, _, err := readAll(bytes.NewReader(file[:cut]))
				var (
					format    *capture.FormatError
					truncated *capture.TruncatedError
				)
				switch {
				case errors.As(err, &format):
					if len(got) > 0 {
						t.Fatalf("cut at %d: %d frames of no capture file", cut, len(got))
					}
				case errors.As(err, &truncated):
					if truncated.Frames != len(got) {
						t.Fatalf("cut at %d: %d frames read, %d told", cut, len(got), truncated.Frames)
					}
				case errors.Is(err, io.EOF):
					ends[cut] = true
				default:
					t.Fatalf("cut at %d: %v", cut, err)
				}
			}
			if len(ends) < len(frames) || len(ends) > len(frames)+5 {
				t.Errorf("%d cuts look like the end of a file: %v", len(ends), ends)
			}
		})
	}
}

func TestForeignFiles(t *testing.T) {
	t.Parallel()
	wireless := pcapFile(binary.LittleEndian, false, nil)
	binary.LittleEndian.PutUint32(wireless[20:], 105)
	for name, test := range map[string]struct {
		data string
		want string
	}{
		"empty":        {"", "an empty file; expected a pcap or pcapng file"},
		"three octets": {"abc", "a file of 3 octets"},
		"text":         {"version: 1\n", "a file that begins with 76657273"},
		"wireless":     {string(wireless), "link type 105"},
		"gzip":         {"\x1f\x8bxx", "a damaged gzip file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := capture.NewReader(strings.NewReader(test.data))
			var format *capture.FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

// FuzzReader: no file makes the reader panic or use memory without bound.
func FuzzReader(f *testing.F) {
	frames := exchange(f)
	f.Add(writeFile(f, frames))
	f.Add(pcapFile(binary.BigEndian, false, frames))
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, _, err := readAll(bytes.NewReader(data))
		packed := bytes.HasPrefix(data, []byte{0x1f, 0x8b})
		if err == nil || len(frames) > len(data) && !packed {
			t.Fatalf("%d frames from %d octets, error %v", len(frames), len(data), err)
		}
	})
}
