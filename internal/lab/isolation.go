package lab

import (
	"fmt"
	"slices"

	"github.com/kvmlab/kvmlab/internal/yamlfile"
)

// Isolation says which network namespace a lab's links live in.
type Isolation uint8

// The isolations. The zero value is invalid.
const (
	_ Isolation = iota
	// Host puts bridges and taps into the host's own namespace, where `ip link`
	// shows them.
	Host
	// Netns gives the lab a namespace of its own, kvmlab-<lab>.
	Netns
)

// String gives the word that the lab file uses.
func (i Isolation) String() string {
	switch i {
	case Host:
		return "host"
	case Netns:
		return "netns"
	}
	return fmt.Sprintf("isolation(%d)", uint8(i))
}

// MarshalText writes the lab file's word.
func (i Isolation) MarshalText() ([]byte, error) { return word(i, Host, Netns) }

// UnmarshalText reads the lab file's word.
func (i *Isolation) UnmarshalText(text []byte) error { return fromWord(i, text, Host, Netns) }

// Internet says whether guests on a bridge get a way out of the lab.
type Internet uint8

// The ways out. The zero value is invalid.
const (
	_ Internet = iota
	// NoInternet keeps all traffic on the bridge.
	NoInternet
	// NAT forwards to the internet, under the host's own address.
	NAT
)

// String gives the word that the lab file uses.
func (i Internet) String() string {
	switch i {
	case NoInternet:
		return "none"
	case NAT:
		return "nat"
	}
	return fmt.Sprintf("internet(%d)", uint8(i))
}

// MarshalText writes the lab file's word.
func (i Internet) MarshalText() ([]byte, error) { return word(i, NoInternet, NAT) }

// UnmarshalText reads the lab file's word.
func (i *Internet) UnmarshalText(text []byte) error { return fromWord(i, text, NoInternet, NAT) }

func word[E yamlfile.Enum](e E, valid ...E) ([]byte, error) {
	if slices.Contains(valid, e) {
		return []byte(e.String()), nil
	}
	return nil, fmt.Errorf("write %v: not a valid value", e)
}

func fromWord[E yamlfile.Enum](e *E, text []byte, valid ...E) error {
	for _, v := range valid {
		if v.String() == string(text) {
			*e = v
			return nil
		}
	}
	return fmt.Errorf("read %q: not one of %v", text, valid)
}
