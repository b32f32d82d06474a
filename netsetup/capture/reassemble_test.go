package capture_test

import (
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

const ipHeaderEnd = 14 + 20 // Ethernet and an IPv4 header without options

// fragments divides a frame's IPv4 packet into fragments of size octets, which 8 must divide.
func fragments(frame []byte, size int) (parts [][]byte) {
	payload := frame[ipHeaderEnd:]
	for at := 0; at < len(payload); at += size {
		end := min(at+size, len(payload))
		part := append(append([]byte{}, frame[:ipHeaderEnd]...), payload[at:end]...)
		setFragment(part, at, end < len(payload))
		parts = append(parts, part)
	}
	return parts
}

// setFragment writes the fields of a fragment into a frame's IPv4 header.
func setFragment(frame []byte, at int, more bool) {
	header := frame[14:ipHeaderEnd]
	binary.BigEndian.PutUint16(header[2:], uint16(len(frame)-14))
	field := uint16(at / 8)
	if more {
		field |= 0x2000
	}
	binary.BigEndian.PutUint16(header[6:], field)
	binary.BigEndian.PutUint16(header[10:], 0)
	sum := uint32(0)
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
}

func frameAt(t time.Time, data []byte) capture.Frame {
	return capture.Frame{Time: t, Interface: "br1", Data: data, Length: len(data)}
}

func TestReassemble(t *testing.T) {
	t.Parallel()
	frame := udpFrame(t, dhcpMessage(append([]byte{53, 1, 1, 60, 200}, make([]byte, 201)...)...))
	frame[len(frame)-1] = 255
	frame = udpFrame(t, frame[ipHeaderEnd+8:]) // its checksum anew
	want := decode(frame)
	if want.DHCP == nil || want.Malformed != "" {
		t.Fatalf("the whole frame is %+v", want)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{8, 64, 200, 400} {
		for range 10 {
			parts := fragments(frame, size)
			random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			r := new(capture.Reassembler)
			for i, part := range parts[:len(parts)-1] {
				r.Decode(frameAt(noon, part)) // seen twice: it counts once
				got := r.Decode(frameAt(noon, part))
				if got.IP == nil || got.UDP != nil || got.DHCP != nil || got.Malformed != "" {
					t.Fatalf("fragment %d of %d is %+v", i+1, len(parts), got)
				}
			}
			got := r.Decode(frameAt(noon, parts[len(parts)-1]))
			if d := cmp.Diff(asJSON(t, want.UDP, want.DHCP), asJSON(t, got.UDP, got.DHCP)); d != "" {
				t.Fatalf("%d fragments (-whole +reassembled):\n%s", len(parts), d)
			}
			if got.IP.Fragments != len(parts) || got.Malformed != "" {
				t.Errorf("from %d fragments, want %d; malformed: %q", got.IP.Fragments, len(parts), got.Malformed)
			}
			for _, field := range got.Fields() {
				if field.Start < 0 || field.End > len(got.Data()) || field.Start > field.End {
					t.Errorf("%s covers %d to %d of %d octets", field.Key, field.Start, field.End, len(got.Data()))
				}
			}
		}
	}
}

func asJSON(t *testing.T, layers ...any) string {
	t.Helper()
	out, err := json.MarshalIndent(layers, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// feed gives all parts to r and returns the last packet.
func feed(r *capture.Reassembler, parts [][]byte) (p *capture.Packet) {
	for _, part := range parts {
		p = r.Decode(frameAt(noon, part))
	}
	return p
}

// TestNotReassembled: fragments that do not make a packet stay fragments.
func TestNotReassembled(t *testing.T) {
	t.Parallel()
	frame := udpFrame(t, dhcpMessage(53, 1, 1, 255))
	three := func() [][]byte { return fragments(frame, 96) }
	for name, parts := range map[string][][]byte{
		"one is missing": {three()[0], three()[2]},
		"overlapping": func() [][]byte {
			p := three()
			setFragment(p[1], 88, true)
			return p
		}(),
		"beyond the end": func() [][]byte {
			p := three()
			late := append([]byte{}, p[0]...)
			setFragment(late, 400, true)
			return [][]byte{p[0], p[1], late, p[2]}
		}(),
		"of another packet": func() [][]byte {
			p := three()
			p[1][14+4]++ // the identification
			setFragment(p[1], 96, true)
			return p
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if p := feed(new(capture.Reassembler), parts); p.UDP != nil || p.IP == nil || !p.IP.Fragment() {
				t.Errorf("the last one is %+v", p)
			}
		})
	}
	t.Run("too late", func(t *testing.T) {
		t.Parallel()
		r, p := new(capture.Reassembler), three()
		r.Decode(frameAt(noon, p[0]))
		r.Decode(frameAt(noon.Add(31*time.Second), p[1]))
		if got := r.Decode(frameAt(noon.Add(31*time.Second), p[2])); got.UDP != nil {
			t.Errorf("a fragment that waited for 31 s was used: %+v", got)
		}
	})
	t.Run("too many at once", func(t *testing.T) {
		t.Parallel()
		r, p := new(capture.Reassembler), three()
		r.Decode(frameAt(noon, p[0]))
		for id := range uint16(64) {
			other := append([]byte{}, p[0]...)
			binary.BigEndian.PutUint16(other[14+4:], 0x4000+id)
			r.Decode(frameAt(noon, other))
		}
		r.Decode(frameAt(noon, p[1]))
		if got := r.Decode(frameAt(noon, p[2])); got.UDP != nil {
			t.Error("more packets are kept than promised")
		}
	})
}

// FuzzReassembler: no sequence of frames makes it panic, and fields stay inside what they are said to be of.
func FuzzReassembler(f *testing.F) {
	parts := fragments(udpFrame(f, dhcpMessage(53, 1, 1, 255)), 96)
	f.Add(parts[0], parts[1], parts[2])
	f.Add(parts[2], parts[2], parts[0])
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		r := new(capture.Reassembler)
		for _, data := range [][]byte{a, b, c, b, a} {
			p := r.Decode(frameAt(noon, data))
			if out, err := json.Marshal(p); err != nil || !json.Valid(out) {
				t.Fatalf("marshal: %v", err)
			}
			for _, field := range p.Fields() {
				if field.Start < 0 || field.End > len(p.Data()) || field.Start > field.End {
					t.Fatalf("%s covers %d to %d of %d octets", field.Key, field.Start, field.End, len(p.Data()))
				}
			}
		}
	})
}
