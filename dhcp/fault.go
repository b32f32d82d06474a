package dhcp

import "time"

// faultSet is what the teaching faults change in the server's judgement.
type faultSet struct {
	poolFull bool
	nak      bool
	lease    time.Duration
	mask     ip4
	options  []Option
}
