package macgen_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kvmlab/kvmlab/macgen"
)

func macs() *rapid.Generator[macgen.MAC] {
	return rapid.Custom(func(t *rapid.T) macgen.MAC {
		return macgen.MAC(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "octets"))
	})
}

func TestParse(t *testing.T) {
	want := macgen.MAC{0x02, 0x5e, 0x10, 0, 0xff, 0x01}
	for _, text := range []string{"02:5e:10:00:ff:01", "02:5E:10:00:FF:01", "02-5e-10-00-ff-01", "025e.1000.ff01"} {
		if got, err := macgen.Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "auto", "02:5e:10:00:ff", "02:5e:10:00:ff:01:02", "02:5e:10:00:ff:0g", "2:5e:10:0:ff:1", "02:5e:10:00:ff:01 ", "02:5e:10:00:ff:01:aa:bb"} {
		if got, err := macgen.Parse(text); !errors.Is(err, macgen.ErrSyntax) {
			t.Errorf("Parse(%q) = %v, %v; want ErrSyntax", text, got, err)
		}
	}
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mac := macs().Draw(t, "mac")
		if got, err := macgen.Parse(mac.String()); err != nil || got != mac {
			t.Fatalf("Parse(%q) = %v, %v", mac.String(), got, err)
		}
		if want := net.HardwareAddr(mac[:]).String(); mac.String() != want {
			t.Fatalf("String = %q, want %q", mac.String(), want)
		}
		data, err := json.Marshal(map[string]macgen.MAC{"mac": mac})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]macgen.MAC
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]macgen.MAC{"mac": mac}, back); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestHardwareAddrIsACopy(t *testing.T) {
	mac := macgen.MAC{0x02}
	mac.HardwareAddr()[0] = 0xff
	if mac[0] != 0x02 {
		t.Error("writing to the HardwareAddr changed the MAC")
	}
}

func TestRandomIsLocalUnicastAndFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few enough addresses, and repeated, so that some drawn address is often taken.
		seed := rapid.SliceOfN(rapid.ByteRange(0, 1), 5, 50).Draw(t, "random")
		free := append(bytes.Clone(seed), 9, 9, 9, 9, 9) // Never taken: the last resort.
		free = free[len(free)%5:]
		taken := rapid.SliceOf(rapid.Custom(func(t *rapid.T) macgen.MAC {
			return macgen.MAC(append([]byte{2}, rapid.SliceOfN(rapid.ByteRange(0, 1), 5, 5).Draw(t, "taken")...))
		})).Draw(t, "taken")
		mac, err := macgen.Random(bytes.NewReader(free), isTaken(taken))
		if err != nil {
			t.Fatal(err)
		}
		checkGenerated(t, mac, taken)
	})
}

func TestDeriveIsRepeatableLocalUnicastAndFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOf(rapid.Byte()).Draw(t, "seed")
		name := rapid.String().Draw(t, "name")
		var taken []macgen.MAC
		for range rapid.IntRange(1, 5).Draw(t, "guests of one name") {
			mac, err := macgen.Derive(seed, name, isTaken(taken))
			if err != nil {
				t.Fatal(err)
			}
			again, err := macgen.Derive(seed, name, isTaken(taken))
			if err != nil || again != mac {
				t.Fatalf("derived %v, then %v, %v", mac, again, err)
			}
			checkGenerated(t, mac, taken)
			taken = append(taken, mac)
		}
		other, err := macgen.Derive(append(seed, 'x'), name, nil)
		if err != nil || other == taken[0] {
			t.Fatalf("another seed derived %v, %v", other, err)
		}
	})
}

// TestDeriveStaysTheSame fails when the derivation changes: addresses handed out to students would
// change with it.
func TestDeriveStaysTheSame(t *testing.T) {
	got, err := macgen.Derive([]byte("class of 2026"), "ana/pc1/eth0", nil)
	if want := "02:b7:aa:04:08:a2"; err != nil || got.String() != want {
		t.Errorf("Derive = %v, %v; want %s", got, err, want)
	}
}

func TestGenerateErrors(t *testing.T) {
	all := func(macgen.MAC) bool { return true }
	if _, err := macgen.Random(rand.Reader, all); !errors.Is(err, macgen.ErrExhausted) {
		t.Errorf("Random with every address taken: %v", err)
	}
	if _, err := macgen.Derive(nil, "", all); !errors.Is(err, macgen.ErrExhausted) {
		t.Errorf("Derive with every address taken: %v", err)
	}
	if _, err := macgen.Random(strings.NewReader("abc"), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Random from a short reader: %v", err)
	}
}

func isTaken(taken []macgen.MAC) func(macgen.MAC) bool {
	return func(mac macgen.MAC) bool { return slices.Contains(taken, mac) }
}

func checkGenerated(t *rapid.T, mac macgen.MAC, taken []macgen.MAC) {
	if mac[0] != 0x02 || !mac.IsLocal() || mac.IsMulticast() || macgen.ValidateStation(mac) != nil {
		t.Fatalf("%v is not a local unicast address", mac)
	}
	if isTaken(taken)(mac) {
		t.Fatalf("%v is taken", mac)
	}
}

func TestValidateAndExplain(t *testing.T) {
	for _, tt := range []struct {
		mac     string
		invalid error
		explain []string
	}{
		{"02:00:00:00:00:01", nil, []string{"0000 0010", "one station", "assigned locally"}},
		{"52:54:00:12:34:56", nil, []string{"0101 0010", "one station", "assigned locally"}},
		{"00:1b:21:aa:bb:cc", nil, []string{"0000 0000", "one station", "a manufacturer assigned it"}},
		{"01:00:5e:00:00:01", macgen.ErrMulticast, []string{"0000 0001", "a group of stations", "a manufacturer"}},
		{"33:33:00:00:00:01", macgen.ErrMulticast, []string{"0011 0011", "a group", "locally"}},
		{"ff:ff:ff:ff:ff:ff", macgen.ErrMulticast, []string{"broadcast", "every station"}},
		{"00:00:00:00:00:00", macgen.ErrZero, []string{"0000 0000"}},
	} {
		t.Run(tt.mac, func(t *testing.T) {
			mac, err := macgen.Parse(tt.mac)
			if err != nil {
				t.Fatal(err)
			}
			if err := macgen.ValidateStation(mac); !errors.Is(err, tt.invalid) {
				t.Errorf("ValidateStation = %v, want %v", err, tt.invalid)
			}
			for _, want := range tt.explain {
				if got := macgen.Explain(mac); !strings.Contains(got, want) {
					t.Errorf("Explain = %q, lacks %q", got, want)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"02:5e:10:00:ff:01", "02-5e-10-00-ff-01", "025e.1000.ff01", "", "02:5e", "02:5e:10:00:ff:01:aa:bb"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mac, err := macgen.Parse(text)
		if err != nil {
			if !errors.Is(err, macgen.ErrSyntax) || !mac.IsZero() {
				t.Fatalf("Parse(%q) = %v, %v", text, mac, err)
			}
			return
		}
		if again, err := macgen.Parse(mac.String()); err != nil || again != mac {
			t.Fatalf("Parse(%q) = %v, but its String gives %v, %v", text, mac, again, err)
		}
	})
}
