package main_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kvmlab/kvmlab/internal/nstest"
	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// TestFragmentsAgainstTshark divides the DHCP messages of a capture into IP fragments, some of them out of order, and
// wants what tshark puts together.
func TestFragmentsAgainstTshark(t *testing.T) {
	t.Parallel()
	nstest.RequireCommand(t, "tshark", "capinfos")
	path := filepath.Join(t.TempDir(), "fragments.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := capture.NewWriter(file, "kvmlab test", capture.Link{Name: "s0"})
	if err != nil {
		t.Fatal(err)
	}
	for i, frame := range framesOf(t, "../../internal/watch/testdata/classroom.pcap") {
		frame.Interface = "s0"
		parts := []capture.Frame{frame}
		if capture.Decode(frame).DHCP != nil {
			parts = fragmentsOf(frame, uint16(0x5000+i))
		}
		switch i % 3 {
		case 1:
			slices.Reverse(parts)
		case 2:
			if len(parts) > 1 { // the first comes last
				parts = append(parts[1:], parts[0])
			}
		}
		for _, part := range parts {
			if err := out.Write(part); err != nil {
				t.Fatal(err)
			}
		}
	}
	lost := fragmentsOf(framesOf(t, "../../internal/watch/testdata/classroom.pcap")[0], 0x7000)[0]
	lost.Interface = "s0"
	if err := errors.Join(out.Write(lost), out.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
	compareWithTshark(t, path)
}

func framesOf(t *testing.T, path string) (frames []capture.Frame) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := capture.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
}

// fragmentsOf divides a frame's IPv4 packet, which has no options, into fragments of 120 octets.
func fragmentsOf(frame capture.Frame, id uint16) (parts []capture.Frame) {
	const headers, size = 14 + 20, 120
	payload := frame.Data[headers:]
	payload = payload[:capture.Decode(frame).IP.TotalLen-20] // without Ethernet's padding
	for at := 0; at < len(payload); at += size {
		end := min(at+size, len(payload))
		data := slices.Concat(frame.Data[:headers], payload[at:end])
		ip := data[14:headers]
		binary.BigEndian.PutUint16(ip[2:], uint16(len(data)-14))
		binary.BigEndian.PutUint16(ip[4:], id)
		field := uint16(at / 8)
		if end < len(payload) {
			field |= 0x2000 // more fragments
		}
		binary.BigEndian.PutUint16(ip[6:], field)
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip))
		part := frame
		part.Data, part.Length = data, len(data)
		parts = append(parts, part)
	}
	return parts
}

// onesSum adds 16-bit words in ones' complement (RFC 1071).
func onesSum(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
