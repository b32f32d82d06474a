package lab

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/kvmlab/kvmlab/internal/diag"
)

// Encode gives the bytes of lab.json: indented JSON with a final newline.
func (l *Lab) Encode() ([]byte, error) {
	out := *l
	out.Bridges, out.Guests = notNil(out.Bridges), notNil(out.Guests)
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode lab %q: %w", l.Name, err)
	}
	return append(data, '\n'), nil
}

// Decode reads the bytes of lab.json; file is the name for messages. A file of a
// newer version gives a diagnostic [diag.StateNewer], anything else that cannot
// be understood [diag.StateUnreadable].
func Decode(file string, data []byte) (*Lab, error) {
	unreadable := func(err error) error {
		return diag.New(diag.StateUnreadable, diag.Args{"file": file}).At(diag.Pos{File: file}).Wrap(err)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, unreadable(err)
	}
	if head.Version > Version {
		return nil, diag.New(diag.StateNewer, diag.Args{"file": file, "version": head.Version, "known": Version}).
			At(diag.Pos{File: file})
	}
	if head.Version < 1 {
		return nil, unreadable(fmt.Errorf("version %d", head.Version))
	}
	// Unknown keys are refused: in a file of our own version they mean damage.
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	var l Lab
	if err := in.Decode(&l); err != nil {
		return nil, unreadable(err)
	}
	if l.Name == "" {
		return nil, unreadable(fmt.Errorf("no name"))
	}
	return &l, nil
}
