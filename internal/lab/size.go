package lab

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Size is an amount of memory in bytes. Its text form is a number with a unit:
// "128MiB".
type Size uint64

// The binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// ErrSize is returned for a text that is no size.
var ErrSize = errors.New("not a size such as 128MiB or 1GiB")

// sizeForm is a decimal number and a unit. M and MB are refused on purpose:
// people mean by them now 1000² and now 1024², and memory comes in MiB.
var sizeForm = regexp.MustCompile(`^([0-9]{1,12}) ?(KiB|MiB|GiB)$`)

// ParseSize reads "128MiB", "65536KiB" or "1GiB". The unit is required and its
// case matters, as in IEC 80000-13.
func ParseSize(text string) (Size, error) {
	m := sizeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q: %w", text, ErrSize)
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	unit := map[string]Size{"KiB": KiB, "MiB": MiB, "GiB": GiB}[m[2]]
	if err != nil || n > math.MaxUint64/uint64(unit) {
		return 0, fmt.Errorf("%q: %w", text, ErrSize)
	}
	return Size(n) * unit, nil
}

// String writes s in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range []struct {
		size Size
		name string
	}{{GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s >= u.size && s%u.size == 0 {
			return strconv.FormatUint(uint64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatUint(uint64(s), 10) + "B"
}

// KiB gives s in kibibytes, rounded down, as libvirt counts memory.
func (s Size) KiB() uint64 { return uint64(s / KiB) }

// MarshalText writes the text form.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the text form.
func (s *Size) UnmarshalText(text []byte) error {
	v, err := ParseSize(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}
