package state

import "fmt"

// Kind says what a journal record reports about a change.
type Kind uint8

// The kinds of Record. The zero value is invalid.
const (
	_      Kind = iota
	Begin       // the change is about to start: from here on its object may exist
	Done        // the change is complete
	Failed      // the change, or taking it back, ended with an error; its object may exist in part
	Undone      // the change was taken back
)

var kindNames = [...]string{Begin: "begin", Done: "done", Failed: "failed", Undone: "undone"}

// String returns the name that the journal carries.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// MarshalText writes the kind by its name.
func (k Kind) MarshalText() ([]byte, error) {
	if k == 0 || int(k) >= len(kindNames) {
		return nil, fmt.Errorf("marshal record kind %d: unknown", uint8(k))
	}
	return []byte(kindNames[k]), nil
}

// UnmarshalText reads a kind by its name.
func (k *Kind) UnmarshalText(text []byte) error {
	for kind, name := range kindNames {
		if kind > 0 && name == string(text) {
			*k = Kind(kind)
			return nil
		}
	}
	return fmt.Errorf("unknown record kind %q", text)
}
