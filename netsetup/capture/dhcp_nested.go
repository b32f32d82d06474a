package capture

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kvmlab/kvmlab/untrusted"
)

// readRelay reads the sub-options of option 82 (RFC 3046 section 2.0).
func readRelay(b []byte) (any, error) {
	out := map[int]*Option{}
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return nil, fmt.Errorf("ends inside sub-option %d", b[0])
		}
		code, value := int(b[0]), b[2:2+int(b[1])]
		info := relayTable[code]
		sub := &Option{Name: info.name, Raw: Hex(value)}
		decoded, err := decodeForm(info.form, value)
		if err != nil {
			sub.Malformed = err.Error()
		} else {
			sub.Value = decoded
		}
		if info.form == formHex && len(value) > 0 && printable(value) {
			sub.Text = string(value)
		}
		out[code] = sub
		b = b[2+int(b[1]):]
	}
	return out, nil
}

// Limits of a domain name (RFC 1035 section 2.3.4).
const (
	maxLabel = 63
	maxName  = 255
)

// readDomains reads names in the form of RFC 1035 section 3.1, compressed within the option (RFC 3397 section 2).
func readDomains(b []byte) (any, error) {
	names := []string{}
	for at := 0; at < len(b); {
		name, next, err := readName(b, at)
		if err != nil {
			return nil, err
		}
		names, at = append(names, name), next
	}
	return names, nil
}

// readName reads one name at b[at:] and returns where the next one begins. A pointer may only lead backwards, so that
// reading always ends. A name without an end mark is a partial one (RFC 4702 section 2.3.1).
func readName(b []byte, at int) (name string, next int, err error) {
	var labels []string
	next, length, limit := -1, 0, at
	for at < len(b) && b[at] != 0 {
		size := int(b[at])
		if size&0xc0 == 0xc0 {
			if at+1 >= len(b) {
				return "", 0, errors.New("ends inside a compressed name")
			}
			if next < 0 {
				next = at + 2
			}
			if at = (size&0x3f)<<8 | int(b[at+1]); at >= limit {
				return "", 0, errors.New("a compressed name points forward")
			}
			limit = at
			continue
		}
		label, err := readLabel(b[at:])
		if err != nil {
			return "", 0, err
		}
		if length += size + 1; length > maxName {
			return "", 0, fmt.Errorf("a name longer than %d octets", maxName)
		}
		labels = append(labels, label)
		at += 1 + size
	}
	if next < 0 {
		next = at + 1
	}
	return strings.Join(labels, "."), next, nil
}

// readLabel reads the label at the beginning of b.
func readLabel(b []byte) (string, error) {
	size := int(b[0])
	switch {
	case size > maxLabel:
		return "", fmt.Errorf("a label of type 0x%02x", size)
	case 1+size > len(b):
		return "", errors.New("ends inside a name")
	}
	return untrusted.Visible(string(b[1 : 1+size])), nil
}
