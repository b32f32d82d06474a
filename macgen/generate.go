package macgen

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// firstOctet makes every generated address unicast and locally administered, as in the class note.
const firstOctet = 0x02

// attempts bounds the search for a free address. Five octets leave 2^40 addresses: even with a million
// of them taken, a thousand misses in a row do not happen by chance, only with a broken source.
const attempts = 1000

// Random makes an address 02:xx:xx:xx:xx:xx of which r gives the last five octets; r is
// crypto/rand.Reader outside tests. An address that taken reports as in use is not returned; a nil
// taken means that none is. The error is the reader's, or [ErrExhausted].
func Random(r io.Reader, taken func(MAC) bool) (MAC, error) {
	for range attempts {
		mac := MAC{firstOctet}
		if _, err := io.ReadFull(r, mac[1:]); err != nil {
			return MAC{}, fmt.Errorf("make a random MAC address: %w", err)
		}
		if taken == nil || !taken(mac) {
			return mac, nil
		}
	}
	return MAC{}, fmt.Errorf("make a random MAC address: %w in %d attempts", ErrExhausted, attempts)
}

// Derive makes an address 02:xx:xx:xx:xx:xx from HMAC-SHA256 of name under seed: the same seed and name
// give the same address on every machine, as long as the same addresses are taken, and who does not
// know the seed cannot tell the address from a random one. A taken address makes it try the next; nil
// means that none is taken. The error is [ErrExhausted].
func Derive(seed []byte, name string, taken func(MAC) bool) (MAC, error) {
	for attempt := range uint32(attempts) {
		h := hmac.New(sha256.New, seed)
		// A hash never fails to write. The counter has a fixed width and comes first, so that no
		// name can look like another name with another counter.
		_ = binary.Write(h, binary.BigEndian, attempt)
		_, _ = io.WriteString(h, name)
		mac := MAC{firstOctet}
		copy(mac[1:], h.Sum(nil))
		if taken == nil || !taken(mac) {
			return mac, nil
		}
	}
	return MAC{}, fmt.Errorf("derive a MAC address for %q: %w in %d attempts", name, ErrExhausted, attempts)
}
